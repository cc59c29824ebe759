"""Tests of one finished run: other splits, mirrored images, missed faces, what is refused, what is known already."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss

from fastfer.cells import train_and_test, unseen
from fastfer.evaluation.evaluate import MISSED, FinishedRun, Loading, evaluate, known_scores
from fastfer.evaluation.metrics import METRICS, score
from fastfer.evaluation.predict import Predictions, Preprocessing
from fastfer.leaks import leaking_rows
from fastfer.training import checkpoint
from fastfer.training.learner import validation_scores
from pipelines.errors import InputError
from pipelines.progress import untracked
from pipelines.records import read_manifest
from tests.fastfer.conftest import DEMO_SETS
from tests.fastfer.training.test_fit import train_config


@pytest.fixture(scope="module")
def said() -> list[str]:
    """What was said while `run` was made."""
    return []


@pytest.fixture(scope="module")
def run(shards: Path, tmp_path_factory: pytest.TempPathFactory, said: list[str]) -> FinishedRun:
    folder = tmp_path_factory.mktemp("runs")
    config = train_config(shards, folder, aug="none", mixup=0.0, epochs=1, ema=0.5, loader="auto", cache=folder / "c")
    trained, _ = train_and_test(config, track=untracked, epochs=unseen, say=said.append)
    return FinishedRun.open(trained.folder)


def test_a_loader_is_chosen_once_and_said(run: FinishedRun, said: list[str], shards: Path, tmp_path: Path) -> None:
    """For training and its test; and for a test alone."""
    assert [line for line in said if "loader" in line] == [line for line in said if line.startswith("loader: resident")]
    assert sum("loader" in line for line in said) == 1
    assert run.settings["loader"] == "resident"
    again: list[str] = []
    dataset, loading = run.settings["dataset"], Loading(loader="auto", cache=tmp_path)
    evaluate(run, dataset, shards=shards, loading=loading, say=again.append)
    assert [line.split(",")[0] for line in again] == ["loader: resident"]


def probabilities(folder: Path) -> np.ndarray:
    return pl.read_parquet(folder / "predictions.parquet")["probabilities"].to_numpy()


def test_the_mirror_image_counts_half(run: FinishedRun, shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = run.settings["dataset"]
    evaluate(run, dataset, shards=shards, flip=True)
    flipped = run.results(dataset, flip=True)
    assert flipped.parent.name == "other"
    with monkeypatch.context() as patch:
        plain = Preprocessing.__call__
        patch.setattr(Preprocessing, "__call__", lambda self, img: plain(self, img.flip(3)))
        evaluate(run, dataset, shards=shards, split="test")
        mirrored = probabilities(run.folder)
    evaluate(run, dataset, shards=shards)
    assert np.abs(mirrored - probabilities(run.folder)).max() > 1e-3
    assert probabilities(flipped) == pytest.approx((mirrored + probabilities(run.folder)) / 2, abs=1e-6)


def test_the_confusion_matrices_have_the_true_classes_as_rows(run: FinishedRun, shards: Path) -> None:
    evaluate(run, run.settings["dataset"], shards=shards)
    table = pl.read_parquet(run.folder / "predictions.parquet")
    counts, shares = (
        pl.read_csv(run.folder / name).select(pl.exclude(pl.String)).to_numpy()
        for name in ("confusion.csv", "confusion_normalised.csv")
    )
    expected = np.zeros(counts.shape, int)
    np.add.at(expected, (table["label"].to_numpy(), table["predicted"].to_numpy()), 1)
    assert (expected != expected.T).any()
    assert np.array_equal(counts, expected)
    assert shares == pytest.approx(expected / expected.sum(1, keepdims=True), abs=1e-6)


def test_an_epochs_scores_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    label, probability = rng.choice(4, 90, p=[0.6, 0.2, 0.15, 0.05]), rng.dirichlet(np.ones(4), 90)
    scores = validation_scores(Predictions(np.arange(90), label, probability))
    predicted = probability.argmax(1)
    assert scores == pytest.approx(
        {
            "val_loss": log_loss(label, probability),
            "val_accuracy": accuracy_score(label, predicted),
            "val_balanced_accuracy": balanced_accuracy_score(label, predicted),
            "val_macro_f1": f1_score(label, predicted, average="macro"),
        }
    )


def test_what_duplicates_a_training_image_is_not_tested_across(run: FinishedRun, shards: Path) -> None:
    home, other = run.settings["dataset"], next(name for name in DEMO_SETS if name != run.settings["dataset"])
    leaking = leaking_rows(shards, home, other, "preprocessed")
    metrics = evaluate(run, other, shards=shards)
    tested = pl.read_parquet(run.results(other) / "predictions.parquet")
    manifest = read_manifest(shards / other / "preprocessed").filter(split="test", status="kept")
    assert metrics["test_set"]["left_out"] == len(leaking) > 0
    assert set(tested["row"]) == set(manifest["row"]) - set(leaking)


def test_another_split_goes_to_a_folder_of_its_own(run: FinishedRun, shards: Path) -> None:
    before = (run.folder / "metrics.json").read_bytes()
    metrics = evaluate(run, run.settings["dataset"], shards=shards, split="val")
    assert metrics["test_set"]["split"] == "val"
    assert (run.folder / "other" / f"{run.settings['dataset']}-val" / "metrics.json").is_file()
    assert (run.folder / "metrics.json").read_bytes() == before
    last = pl.read_csv(run.folder / "epochs.csv").row(-1, named=True)
    assert metrics["accuracy"]["value"] == pytest.approx(last["val_accuracy"])  # the averaged weights are kept
    assert metrics["balanced_accuracy"]["value"] == pytest.approx(last["val_balanced_accuracy"])
    assert metrics["log_loss"]["value"] == pytest.approx(last["val_loss"], rel=1e-5)


def test_scores_without_missed_faces_are_those_of_the_other_rows(shards: Path, run: FinishedRun) -> None:
    dataset = DEMO_SETS[1]
    metrics = evaluate(run, dataset, shards=shards)
    table = pl.read_parquet(run.results(dataset) / "predictions.parquet")
    found = table.filter(~pl.col("how").is_in(MISSED))
    assert metrics["found_only"]["n"] == len(found)
    again = score(
        found["label"].to_numpy(),
        found["probabilities"].to_numpy(),
        classes=tuple(checkpoint.load(run.folder / "best.pth")["classes"]),
    )
    assert {name: metrics["found_only"][name] for name in (metric.name for metric in METRICS)} == {
        name: again[name] for name in (metric.name for metric in METRICS)
    }


def test_a_test_is_known_as_long_as_its_records_are_the_same(run: FinishedRun, shards: Path) -> None:
    dataset = run.settings["dataset"]
    metrics = evaluate(run, dataset, shards=shards)
    assert known_scores(run, dataset, shards) == json.loads(json.dumps(metrics))
    assert known_scores(run, DEMO_SETS[1], shards, split="train") is None
    path = run.folder / "metrics.json"
    other = metrics | {"test_set": metrics["test_set"] | {"records_sha256": "of other records"}}
    path.write_text(json.dumps(other))
    assert known_scores(run, dataset, shards) is None
    path.write_text(json.dumps(metrics))


def test_faces_made_otherwise_are_refused(run: FinishedRun, shards: Path, tmp_path: Path) -> None:
    for name in ("config.json", "training.json"):
        (tmp_path / name).write_bytes((run.folder / name).read_bytes())
    content = checkpoint.load(run.folder / "best.pth")
    assert content["faces"] == [
        {"size_px": 48, "color": "gray", "detector": "mtcnn", "face_scale": content["faces"][0]["face_scale"]}
    ]
    content["faces"][0]["detector"] = "retinaface"
    checkpoint.save(tmp_path / "best.pth", content)
    with pytest.raises(InputError, match="detector mtcnn instead of retinaface"):
        evaluate(FinishedRun.open(tmp_path), run.settings["dataset"], shards=shards)
    torch.save({key: value for key, value in content.items() if key != "faces"}, tmp_path / "best.pth")
    with pytest.raises(InputError, match="no checkpoint of fastfer"):
        evaluate(FinishedRun.open(tmp_path), run.settings["dataset"], shards=shards)
