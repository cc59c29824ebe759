"""Datasets trained on together: nothing is trained on that duplicates a test image, and each test set is tested on."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch

from fastfer.cells import train_and_test, unseen
from fastfer.evaluation.cross import counterparts
from fastfer.evaluation.evaluate import FinishedRun, known_scores
from fastfer.leaks import duplicates_of, left_out_of_training
from fastfer.together import REASON, known_parts, training_parts
from fastfer.training.run import Run
from pipelines.progress import untracked
from pipelines.records import ShardReader, find_faults, read_info, read_manifest
from tests.fastfer.conftest import DEMO_SETS
from tests.fastfer.training.test_fit import quiet, train_config

TOGETHER = "+".join(DEMO_SETS)


@pytest.fixture(scope="module")
def own_shards(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The records of the session, in a folder to which joint parts may be added."""
    folder = tmp_path_factory.mktemp("joint")
    for dataset in DEMO_SETS:
        (folder / dataset).symlink_to(shards / dataset)
    return folder


@pytest.mark.parametrize("variant", ["preprocessed", "augmented"])
def test_training_images_that_duplicate_a_test_image_are_left_out(own_shards: Path, variant: str) -> None:
    left_out = left_out_of_training(duplicates_of(own_shards, DEMO_SETS))
    assert len(left_out)  # the demo plants some
    assert known_parts(own_shards, DEMO_SETS, variant) is None
    parts = training_parts(own_shards, DEMO_SETS, variant)
    assert known_parts(own_shards, DEMO_SETS, variant) == parts
    assert training_parts(own_shards, DEMO_SETS, variant) == parts
    for part in parts:
        source = own_shards / part.dataset / variant
        images = left_out.filter(pl.col("dataset") == part.dataset)["image_path"].to_list()
        before = read_manifest(source)
        gone = before.filter(pl.col("image_path").is_in(images), pl.col("split") == "train", pl.col("status") == "kept")
        assert part.left_out == len(gone)
        assert (part.folder == source) == (part.left_out == 0)
        after = read_manifest(part.folder)
        assert after.filter(pl.col("row").is_in(gone["row"].implode()))["reason"].to_list() == [REASON] * len(gone)
        assert find_faults(part.folder) == []
        kept = [
            sample.row for shard in read_info(part.folder).shards for sample in ShardReader(part.folder, shard.name)
        ]
        expected = before.filter(pl.col("status") == "kept")["row"]
        assert sorted(kept) == sorted(set(expected) - set(gone["row"]))
    assert sum(part.left_out for part in parts) > 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"demo-rafdb": 3}', '{"demo-rafdb": {}}'])
def test_a_list_of_parts_that_was_cut_is_made_again(own_shards: Path, text: str) -> None:
    parts = training_parts(own_shards, DEMO_SETS, "preprocessed")
    (own_shards / TOGETHER / "preprocessed" / "parts.json").write_text(text, encoding="utf-8")
    assert known_parts(own_shards, DEMO_SETS, "preprocessed") is None
    assert training_parts(own_shards, DEMO_SETS, "preprocessed") == parts


def test_a_part_that_was_removed_for_its_damage_is_made_again(own_shards: Path) -> None:
    parts = training_parts(own_shards, DEMO_SETS, "preprocessed")
    made = next(part.folder for part in parts if part.left_out)
    shutil.rmtree(made)
    assert training_parts(own_shards, DEMO_SETS, "preprocessed") == parts
    assert find_faults(made) == []


def test_one_dataset_is_its_own_part(shards: Path) -> None:
    (part,) = training_parts(shards, DEMO_SETS[:1], "augmented")
    assert (part.folder, part.left_out) == (shards / DEMO_SETS[0] / "augmented", 0)
    assert known_parts(shards, DEMO_SETS[:1], "augmented") == [part]


def test_other_records_are_looked_at_anew(own_shards: Path) -> None:
    parts = training_parts(own_shards, DEMO_SETS, "preprocessed")
    stated = own_shards / TOGETHER / "preprocessed" / "parts.json"
    known = json.loads(stated.read_text())
    known[DEMO_SETS[0]] = {"source_sha256": "of other records", "left_out": 99}
    stated.write_text(json.dumps(known))
    assert training_parts(own_shards, DEMO_SETS, "preprocessed") == parts


@pytest.mark.parametrize("sampling", ["size", "equal"])
def test_a_run_on_both_is_tested_on_each_and_on_all(own_shards: Path, tmp_path: Path, sampling: str) -> None:
    config = train_config(
        own_shards, tmp_path, dataset="+".join(reversed(DEMO_SETS)), aug="none", mixup=0.0, epochs=1, sampling=sampling
    )
    run, metrics = train_and_test(config, track=untracked, epochs=unseen, say=quiet)
    assert metrics is not None
    assert run.folder.name.startswith(f"{TOGETHER}-preprocessed-resnet10t-none-s0-")
    finished = FinishedRun.open(run.folder)
    assert finished.summary["left_out"] == {part.dataset: part.left_out for part in run.parts}
    assert counterparts(finished.datasets) == []
    table = pl.read_parquet(run.folder / "predictions.parquet")
    sizes = {}
    for dataset in DEMO_SETS:
        alone = known_scores(finished, dataset, own_shards)
        assert alone is not None  # tested when it was trained
        assert alone["test_set"]["left_out"] == 0
        own = pl.read_parquet(run.folder / "cross" / dataset / "predictions.parquet")
        joint = table.filter(pl.col("dataset") == dataset)
        assert joint["key"].to_list() == [f"{dataset}/{key}" for key in own["key"]]
        assert joint["probabilities"].to_list() == own["probabilities"].to_list()
        sizes[dataset] = alone["n"]
    assert metrics["n"] == len(table) == sum(sizes.values())
    assert metrics["test_set"]["dataset"] == TOGETHER


def test_equal_sampling_shows_as_many_of_each(own_shards: Path, tmp_path: Path) -> None:
    config = train_config(own_shards, tmp_path, dataset=TOGETHER, aug="none", sampling="equal", batch=8)
    run = Run.of(config)
    with run.open("train", torch.device("cpu")) as loader:
        rows, labels = (torch.cat(each) for each in zip(*((one.rows_B, one.label_B) for one in loader), strict=True))
        second = int((rows >= loader.offsets[1]).sum())  # type: ignore[attr-defined]
    assert abs(len(rows) - 2 * second) <= 8
    shown = torch.tensor(list(run.shown().values()))  # what the loss is told of rare classes
    assert shown.sum() > sum(run.info.counts["train"].values())
    assert (torch.bincount(labels, minlength=len(shown)) - shown).abs().max() <= 8  # a short batch, a pass begun
    by_size = Run.of(replace(config, sampling="size"))
    assert by_size.shown() == by_size.info.counts["train"]
    with by_size.open("val", torch.device("cpu")) as loader:
        assert sum(len(batch) for batch in loader) == sum(
            sum(read_info(own_shards / dataset / "preprocessed").counts["val"].values()) for dataset in DEMO_SETS
        )
