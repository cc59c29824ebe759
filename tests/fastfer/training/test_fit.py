"""One small run, end to end: what it writes, that it learns, that it stops, that it repeats."""

import csv
import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from fastfer.cells import train_and_test, unseen
from fastfer.config import TrainConfig
from fastfer.evaluation.cross import cross
from fastfer.evaluation.evaluate import FinishedRun, evaluate, finished_runs
from fastfer.evaluation.metrics import METRICS
from fastfer.models import flops_per_image
from fastfer.training import checkpoint
from fastfer.training.early_stopping import EarlyStopping
from fastfer.training.fit import fit
from fastfer.training.learner import Learner, warmup_cosine
from fastfer.training.log import EpochRow
from fastfer.training.run import Run
from pipelines.augment import STRONG
from pipelines.errors import InputError
from pipelines.progress import untracked
from pipelines.records import info_sha256, read_manifest, sha256
from tests.fastfer.conftest import DEMO_SETS, SIZE_PX


def train_config(shards: Path, runs: Path, **changes: object) -> TrainConfig:
    start = TrainConfig(
        dataset="demo-rafdb",
        arch="resnet10t",
        aug="online",
        epochs=2,
        batch=16,
        lr=2e-3,
        mixup=0.2,
        warmup_epochs=0.5,
        pretrained=False,
        shards=shards,
        runs=runs,
    )
    return replace(start, **changes)


def quiet(_: object) -> None:
    pass


@pytest.fixture(scope="module")
def runs(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run for each demo set."""
    folder = tmp_path_factory.mktemp("runs")
    for dataset in DEMO_SETS:
        config = train_config(shards, folder, dataset=dataset)
        train_and_test(config, track=untracked, epochs=unseen, say=quiet)
    return folder


def test_a_run_folder_holds_what_the_design_says(runs: Path) -> None:
    run, _ = finished_runs(runs)[::-1]
    assert run.folder.name.startswith("demo-rafdb-augmented-resnet10t-online-s0-")
    assert {"config.json", "environment.json", "epochs.csv", "best.pth", "last.pth", "metrics.json"} <= {
        path.name for path in run.folder.iterdir()
    }
    lines = list(csv.DictReader((run.folder / "epochs.csv").read_text().splitlines()))
    assert [line["epoch"] for line in lines] == ["1", "2"]
    assert set(lines[0]) == set(EpochRow.__slots__)
    assert lines[0]["peak_gpu_mib"] == ""  # not measured here, never 0
    assert list(run.folder.glob("events.out.tfevents.*"))
    assert json.loads((run.folder / "config.json").read_text())["model"] == "resnet10t"
    flops = flops_per_image("resnet10t", channels=1, num_classes=7, image_size=SIZE_PX)
    assert run.summary["flops"] == flops > 0


def test_metrics_and_predictions_cover_the_whole_test_split(shards: Path, runs: Path) -> None:
    for run in finished_runs(runs):
        dataset = run.settings["dataset"]
        metrics = json.loads((run.folder / "metrics.json").read_text())
        tested = read_manifest(shards / dataset / "preprocessed").filter(
            (pl.col("split") == "test") & (pl.col("status") == "kept")
        )
        predictions = pl.read_parquet(run.folder / "predictions.parquet")
        assert metrics["n"] == len(tested) == len(predictions)
        assert set(predictions["key"]) == set(tested["key"])
        joined = predictions.join(tested, on="key", suffix="_manifest")
        assert joined["label"].to_list() == joined["label_manifest"].to_list()
        of = {"dataset": dataset, "variant": "preprocessed", "split": "test", "left_out": 0, "flip": False}
        digests = {
            "records_sha256": info_sha256(shards / dataset / "preprocessed"),
            "weights_sha256": sha256(run.folder / "best.pth"),
        }
        assert metrics["test_set"] == of | digests
        for metric in METRICS:
            assert set(metrics[metric.name]) == {"value", "low", "high"}
        counts = pl.read_csv(run.folder / "confusion.csv").drop("label")
        assert counts.sum_horizontal().sum() == metrics["n"]
        correct = (predictions["label"] == predictions["predicted"]).mean()
        assert metrics["accuracy"]["value"] == pytest.approx(correct)


def test_a_run_has_the_policys_table_among_its_settings(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training on under another table would be neither the one run nor the other."""

    def names() -> list[str]:
        return [Run.of(train_config(shards, tmp_path, aug=aug)).folder.name for aug in ("offline", "online")]

    offline, online = names()
    monkeypatch.setattr("fastfer.config.STRONG", replace(STRONG, groups=STRONG.groups[:-1]))
    assert names()[0] == offline
    assert names()[1] != online


def test_training_twice_from_one_seed_gives_the_same_weights(shards: Path, runs: Path, tmp_path: Path) -> None:
    run = Run.of(train_config(shards, tmp_path))
    fit(run)
    again = checkpoint.load(run.folder / "last.pth")["model"]
    first = checkpoint.load(runs / run.folder.name / "last.pth")["model"]
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_finished_run_is_not_trained_again(shards: Path, runs: Path) -> None:
    said: list[str] = []
    epochs: list[EpochRow] = []
    config = train_config(shards, runs)
    train_and_test(config, track=untracked, epochs=lambda _name: nullcontext(epochs.append), say=said.append)
    assert epochs == []
    assert "trained already" in said[0]


def test_other_settings_make_another_folder(shards: Path, runs: Path) -> None:
    config = train_config(shards, runs)
    folders = {Run.of(replace(config, **change)).folder for change in ({}, {"seed": 1}, {"lr": 1e-3}, {"epochs": 3})}
    assert len(folders) == 4
    assert Run.of(replace(config, workers=1)).folder in folders  # changes nothing of the result


def test_checkpoints_hold_plain_values_and_say_how_images_were_prepared(runs: Path) -> None:
    run = finished_runs(runs)[0]
    content = checkpoint.load(run.folder / "best.pth")
    assert content["preprocessing"]["channels"] == 1
    assert content["trained_on"]["records_sha256"] == run.settings["records_sha256"]
    for path in (runs / "nowhere.pth", run.folder / "epochs.csv"):
        with pytest.raises(InputError):
            checkpoint.load(path)


def test_cross_tests_each_run_on_the_other_set(shards: Path, runs: Path, tmp_path: Path) -> None:
    table = cross(finished_runs(runs), shards=shards, out=tmp_path / "cross.csv")
    assert sorted(table.select("trained_on", "tested_on").rows()) == sorted([DEMO_SETS, DEMO_SETS[::-1]])
    written = pl.read_csv(tmp_path / "cross.csv")
    for row in written.iter_rows(named=True):
        folder = runs / row["run"] / "cross" / row["tested_on"]
        away = json.loads((folder / "metrics.json").read_text())
        assert row["accuracy"] == pytest.approx(away["accuracy"]["value"])
        assert row["accuracy_drop"] == pytest.approx(row["accuracy_at_home"] - row["accuracy"])
        assert row["accuracy_drop_low"] < row["accuracy_drop"] < row["accuracy_drop_high"]
        spread = [row["accuracy_drop_high"] - row["accuracy_drop_low"], row["accuracy_high"] - row["accuracy_low"]]
        assert spread[0] > spread[1]  # two test sets vary more than one
        assert (folder / "predictions.parquet").is_file()


def test_a_run_that_did_not_end_cannot_be_tested(tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    with pytest.raises(InputError, match="no run in"):
        FinishedRun.open(tmp_path / "half")
    (tmp_path / "half/config.json").write_text("{}")
    with pytest.raises(InputError, match="has not ended"):
        FinishedRun.open(tmp_path / "half")


def test_a_model_of_other_classes_is_refused(runs: Path, records: Path, tmp_path: Path) -> None:
    run = finished_runs(runs)[0]
    (tmp_path / "rafdb").mkdir()
    (tmp_path / "rafdb/preprocessed").symlink_to(records)
    with pytest.raises(InputError, match="circle, square, cross"):
        evaluate(run, "rafdb", shards=tmp_path)


def test_wrong_loading_is_refused_before_a_folder_is_made(shards: Path, tmp_path: Path) -> None:
    for change, message in (({"loader": "tar"}, "no loader 'tar'"), ({"place": "shelf"}, "no place 'shelf'")):
        with pytest.raises(InputError, match=message):
            Run.of(train_config(shards, tmp_path, **change))
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_leaves_the_numbers_stops_the_run_with_a_sentence(shards: Path, tmp_path: Path) -> None:
    run = Run.of(train_config(shards, tmp_path, lr=1e30, aug="none", epochs=3))
    with pytest.raises(InputError, match=r"left the numbers in epoch .* lower LR="):
        fit(run)
    assert not run.is_trained


def test_one_value_to_normalise_over_is_refused(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"resnet10t normalises over a batch and its pixels.* larger BATCH="):
        fit(Run.of(train_config(shards, tmp_path, batch=1, image_size=32)))


@pytest.mark.parametrize("allocate", [partial(torch.empty, 2**50), partial(np.empty, 2**50)])
def test_what_does_not_fit_the_memory_is_refused(
    allocate: Callable[[], object], shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Learner, "epoch", lambda *_all: allocate())
    with pytest.raises(InputError, match=r"16 images of resnet10t .* the memory of the CPU: try a smaller BATCH="):
        fit(Run.of(train_config(shards, tmp_path)))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("batch", 10**400, "must be from 1 to 2147483647"),
        ("image_size", 0, "image_size is 0: it must be from 1"),
        ("mixup", 1e308, "below 1000"),
        ("workers", 2**31, "workers is 2147483648: it must be from 0 to 2147483647"),
    ],
)
def test_numbers_out_of_all_bounds_are_refused(name: str, value: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainConfig(dataset="rafdb", **{name: value})


def test_compiling_without_a_compiler_is_refused(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))  # nothing compiled before counts
    torch.compiler.reset()
    nowhere = {"cpp.cxx": (None, str(tmp_path / "g++"))}
    refused = pytest.raises(InputError, match=r"COMPILE=1 needs a C\+\+ compiler, .* install g\+\+")
    with torch._inductor.config.patch(nowhere), refused:
        fit(Run.of(train_config(shards, tmp_path, aug="none", mixup=0.0, compile=True)))


def test_early_stopping_waits_for_its_patience_and_ignores_crumbs() -> None:
    stopping = EarlyStopping(patience=2, min_delta=0.01)
    taken = [(stopping.improves(score), stopping.exhausted) for score in (0.5, 0.6, 0.605, 0.7, 0.69, 0.7)]
    assert taken == [(True, False), (True, False), (False, False), (True, False), (False, False), (False, True)]
    assert (stopping.best_epoch, stopping.best) == (4, 0.7)


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    factor = warmup_cosine(10, 110)
    assert [factor(step) for step in (0, 9, 10)] == [0.1, 1.0, 1.0]
    assert factor(60) == pytest.approx(0.5)
    assert factor(110) == pytest.approx(0.0)
