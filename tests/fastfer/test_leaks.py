"""Near-duplicates across splits and datasets: listed, and left out where they would help a score."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fastfer.evaluation.predict import Predictions
from fastfer.leaks import duplicates_of, images_of, leaking_rows, left_out_of_tests, left_out_of_training
from pipelines.errors import InputError
from pipelines.records import read_manifest
from tests.fastfer.conftest import DEMO_SETS, planted_copies

RAFDB, EXPW = DEMO_SETS


def sides(pairs: pl.DataFrame) -> set[frozenset[str]]:
    return {
        frozenset((f"{one}/{image}", f"{other}/{other_image}"))
        for one, other, image, other_image in pairs.select(
            "dataset", "other_dataset", "image_path", "other_path"
        ).iter_rows()
    }


def test_pairs_within_and_across_are_listed_with_their_splits(raw: Path, shards: Path) -> None:
    pairs = duplicates_of(shards, DEMO_SETS)
    assert {frozenset(pair) for pair in planted_copies(raw)} <= sides(pairs)
    for dataset in DEMO_SETS:
        split = dict(read_manifest(shards / dataset / "preprocessed").select("image_path", "split").iter_rows())
        for one in pairs.filter(dataset=dataset).iter_rows(named=True):
            assert one["split"] == split[one["image_path"]]
    own = pairs.filter(pl.col("dataset") == pl.col("other_dataset"), dataset=EXPW)
    assert len(own) > 0
    assert (own["split"] == own["other_split"]).all()  # ExpW is split by groups


def test_rows_that_duplicate_training_images_are_not_tested_on(shards: Path) -> None:
    """Whatever is trained on and tested on: exactly the rows of the listed pairs."""
    left_out = left_out_of_tests(duplicates_of(shards, DEMO_SETS))
    assert len(left_out) > 0
    for home, away in ((RAFDB, EXPW), (EXPW, RAFDB)):
        copies = left_out.filter(trained_on=home, dataset=away)["image_path"]
        manifest = read_manifest(shards / away / "preprocessed")
        expected = manifest.filter(pl.col("image_path").is_in(copies.implode()), status="kept", split="test")[
            "row"
        ].to_list()
        assert leaking_rows(shards, home, away, "preprocessed") == expected
    everything = leaking_rows(shards, EXPW, EXPW, "preprocessed")
    assert everything == []  # no image of its own test split is trained on


def test_joint_training_leaves_out_train_images_that_copy_any_test_image(shards: Path) -> None:
    pairs = duplicates_of(shards, DEMO_SETS)
    left_out = left_out_of_training(pairs)
    test = {
        (dataset, image)
        for dataset in DEMO_SETS
        for image in images_of(shards, dataset).filter(split="test")["image_path"]
    }
    assert len(left_out) > 0
    assert not set(left_out.iter_rows()) & test
    gone = set(left_out.iter_rows())
    for one in pairs.iter_rows(named=True):
        ends = (
            (one["dataset"], one["image_path"], one["split"]),
            (one["other_dataset"], one["other_path"], one["other_split"]),
        )
        kept = [split for dataset, image, split in ends if (dataset, image) not in gone]
        assert sorted(kept) != ["test", "train"]


def test_records_that_are_gone_are_named(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no preprocessed records of rafdb"):
        leaking_rows(shards, "rafdb", EXPW, "preprocessed")
    with pytest.raises(InputError, match=r"no dataset 'x/\.\./y'"):
        duplicates_of(tmp_path, ["x/../y"])


def test_predictions_without_some_rows() -> None:
    found = Predictions(np.array([4, 7, 9]), np.array([0, 1, 0]), np.eye(3))
    rest = found.without([7, 8])
    assert rest.row_N.tolist() == [4, 9]
    assert rest.label_N.tolist() == [0, 0]
    assert rest.predicted_N.tolist() == [0, 2]
    assert found.without([]).row_N.tolist() == [4, 7, 9]
