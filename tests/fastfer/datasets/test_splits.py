"""Splits: stratified, seeded, official ones kept, and no group on two sides."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from fastfer.datasets.splits import FLOORS, split_rows


def table(
    labels: Sequence[int],
    images: Sequence[str] | None = None,
    splits: Sequence[str | None] | None = None,
    problems: frozenset[int] = frozenset(),
) -> pl.DataFrame:
    count = len(labels)
    return pl.DataFrame(
        {
            "label": pl.Series(labels, dtype=pl.Int8),
            "image_path": list(images or map(str, range(count))),
            "official_split": pl.Series(splits or [None] * count, dtype=pl.String),
            "problem": pl.Series(["bad" if i in problems else None for i in range(count)], dtype=pl.String),
        }
    )


def test_official_test_is_kept_and_validation_is_a_tenth_of_each_class_of_train() -> None:
    labels = [0] * 1000 + [1] * 280 + [0] * 100 + [1] * 50
    rows = table(labels, splits=["train"] * 1280 + ["test"] * 150)
    split = split_rows(rows, {}, seed=0)
    counts = rows.with_columns(split).group_by("split", "label").len().sort("split", "label")
    assert counts.rows() == [
        ("test", 0, 100), ("test", 1, 50), ("train", 0, 900), ("train", 1, 252), ("val", 0, 100), ("val", 1, 28),
    ]  # fmt: skip
    assert split.to_list() == split_rows(rows, {}, seed=0).to_list()
    assert split.to_list() != split_rows(rows, {}, seed=1).to_list()


def test_an_official_validation_split_is_kept_too() -> None:
    official = ["train", "val", "test", "train"] * 30
    assert split_rows(table([0, 1, 2, 3] * 30, splits=official), {}, seed=0).to_list() == official


def test_a_small_class_still_gets_its_floor_for_validation() -> None:
    split = split_rows(table([0] * 500 + [1] * 26, splits=["train"] * 526), {}, seed=0)
    assert split[500:].to_list().count("val") == FLOORS["val"]


def test_train_copies_of_official_test_images_are_never_validated_on() -> None:
    """Their scores would come out too well; they stay in train, where the dataset's authors put them."""
    copies = {f"{i}": f"{200 + i}" for i in range(40)}
    groups = copies | {name: name for name in copies.values()}
    for seed in range(5):
        split = split_rows(table([0] * 240, splits=["train"] * 200 + ["test"] * 40), groups, seed)
        assert set(split[:40]) == {"train"}
        assert set(split[200:]) == {"test"}
        assert split[40:200].to_list().count("val") >= 16


images_of_labels = st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=4), min_size=1, max_size=60)


@settings(max_examples=150)
@given(images_of_labels, st.integers(0, 5), st.data())
def test_no_group_is_ever_in_two_splits_and_every_good_row_is_in_one(
    images: list[list[int]], seed: int, data: st.DataObject
) -> None:
    """Of images, and of groups of images, whichever they are; with official splits, among train and validation."""
    labels = [label for image in images for label in image]
    names = [f"image {i}" for i, image in enumerate(images) for _ in image]
    member = st.integers(0, max(0, len(images) // 2)).map(lambda i: f"image {i}")
    groups = data.draw(st.dictionaries(st.sampled_from(names), member))
    officially = data.draw(st.booleans())
    side = {name: data.draw(st.sampled_from(["train", "test"])) if officially else None for name in set(names)}
    official = [side[name] for name in names]
    rows = table(labels, names, official, problems=frozenset({3}))
    split = split_rows(rows, groups, seed)
    assert split.is_null().to_list() == rows["problem"].is_not_null().to_list()
    dealt = rows.with_columns(split, group=pl.Series([groups.get(name, name) for name in names])).drop_nulls("split")
    if officially:
        assert ((dealt["official_split"] == "test") == (dealt["split"] == "test")).all()
        tested = dealt.filter(split="test")["group"].unique().implode()
        assert dealt.filter(pl.col("group").is_in(tested), split="val").is_empty()
        dealt = dealt.filter(pl.col("split") != "test", ~pl.col("group").is_in(tested))
    assert dealt.group_by("group").agg(pl.col("split").n_unique())["split"].max() in (1, None)


def test_groups_are_dealt_seventy_ten_twenty_in_every_class_whatever_their_size() -> None:
    rng = np.random.default_rng(0)
    labels: list[int] = []
    names: list[str] = []
    sizes: list[int] = []
    for i in range(4000):
        size = int(rng.integers(1, 5))
        labels += rng.choice(7, size, p=[0.04, 0.04, 0.01, 0.34, 0.11, 0.08, 0.38]).tolist()
        names += [f"image {i}"] * size
        sizes += [size] * size
    rows = table(labels, names)
    dealt = rows.with_columns(split_rows(rows, {}, seed=0), size=pl.Series(sizes))
    for by in ("label", "size"):  # large groups must not gather on one side
        for (_,), part in dealt.group_by(by):
            found = dict(part["split"].value_counts(normalize=True).rows())
            for name, due in (("train", 0.7), ("val", 0.1), ("test", 0.2)):
                assert abs(found[name] - due) < 0.04, (by, name, found)


def test_small_classes_get_enough_to_be_tested_on() -> None:
    split = split_rows(table([0] * 300 + [1] * 46), {}, seed=0)
    small = split[300:].to_list()
    assert small.count("test") == FLOORS["test"]
    assert small.count("val") == FLOORS["val"]
    assert small.count("train") >= 20
