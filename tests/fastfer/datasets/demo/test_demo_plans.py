"""What the demo sets plan to draw: classes, splits, label noise."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastfer.datasets.demo import DemoConfig, expw, rafdb
from fastfer.datasets.demo.plan import ImagePlan
from fastfer.datasets.splits import split_rows


def planned_rows(plans: list[ImagePlan]) -> pl.DataFrame:
    """What a reader would make of the readable images of a plan."""
    rows = [
        {
            "label": label,
            "image_path": image.path,
            "official_split": "train" if "/train_" in image.path else "test",
            "problem": None,
        }
        for image in plans
        if image.fault is None
        for label in image.written
    ]
    return pl.DataFrame(rows, schema_overrides={"label": pl.Int8, "problem": pl.String})


def by_split(rows: pl.DataFrame, split: pl.Series) -> dict[str, NDArray[np.int64]]:
    labels, names = rows["label"].to_numpy(), split.to_numpy()
    return {name: np.bincount(labels[names == name], minlength=7) for name in ("train", "val", "test")}


@pytest.mark.parametrize("seed", range(3))
def test_the_default_demo_rafdb_has_enough_of_every_class_and_is_imbalanced(seed: int) -> None:
    rows = planned_rows(rafdb.plan(DemoConfig(seed=seed)))
    counts = by_split(rows, split_rows(rows, {}, seed))
    assert 550 <= len(rows) <= 650
    assert counts["train"].min() >= 20
    assert counts["val"].min() >= 5
    assert counts["test"].min() >= 15
    assert counts["train"].max() / counts["train"].min() > 8


@pytest.mark.parametrize("seed", range(3))
def test_the_default_demo_expw_has_enough_of_every_class_and_is_imbalanced(seed: int) -> None:
    rows = planned_rows(expw.plan(DemoConfig(seed=seed)))
    counts = by_split(rows, split_rows(rows.with_columns(official_split=pl.lit(None, pl.String)), {}, seed))
    assert 550 <= len(rows) <= 650
    assert counts["train"].min() >= 20
    assert counts["val"].min() >= 5
    assert counts["test"].min() >= 15
    assert counts["train"].max() / counts["train"].min() > 5


@settings(max_examples=20)
@given(st.integers(28, 1500), st.integers(0, 9))
def test_every_class_is_there_at_any_size_and_no_image_is_planned_twice(faces: int, seed: int) -> None:
    config = DemoConfig(faces=faces, seed=seed)
    portraits_, scenes = rafdb.plan(config), expw.plan(config)
    for split in ("train", "test"):
        assert {label for image in portraits_ if f"/{split}_" in image.path for label in image.labels} == set(range(7))
    assert {label for image in scenes for label in image.labels} == set(range(7))
    for plans in (portraits_, scenes):
        assert len({image.path for image in plans}) == len({image.index for image in plans}) == len(plans)
        assert 0.75 * faces <= sum(len(image.labels) for image in plans) <= 1.3 * faces + 25


def test_label_noise_changes_its_share_of_the_written_labels_and_nothing_else() -> None:
    clean, noisy = (expw.plan(DemoConfig(faces=3000, label_noise=noise)) for noise in (0.0, 0.25))
    labels, written = (np.concatenate([getattr(image, name) for image in noisy]) for name in ("labels", "written"))
    assert 0.22 < (labels != written).mean() < 0.28
    assert set(written[labels == 3]) == set(range(7))
    assert [image.labels for image in clean] == [image.labels for image in noisy]
    assert all(image.labels == image.written for image in clean)


def test_about_three_in_ten_scene_names_speak_of_another_emotion() -> None:
    scenes = expw.plan(DemoConfig(faces=3000))
    assert 0.26 < np.mean([image.query != image.labels[0] for image in scenes]) < 0.34
