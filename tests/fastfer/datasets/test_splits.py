"""Splits: stratified, seeded, and no group on two sides."""

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from fastfer.datasets.splits import FLOORS, split_groups, split_official


def table(labels: list[int], splits: list[str | None] | None = None, problems: set[int] = frozenset()) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "label": pl.Series(labels, dtype=pl.Int8),
            "official_split": pl.Series(splits or [None] * len(labels), dtype=pl.String),
            "problem": pl.Series(["bad" if i in problems else None for i in range(len(labels))], dtype=pl.String),
        }
    )


def test_official_test_is_kept_and_validation_is_a_tenth_of_each_class_of_train() -> None:
    labels = [0] * 1000 + [1] * 280 + [0] * 100 + [1] * 50
    rows = table(labels, ["train"] * 1280 + ["test"] * 150)
    split = split_official(rows, seed=0)
    counts = rows.with_columns(split).group_by("split", "label").len().sort("split", "label")
    assert counts.rows() == [
        ("test", 0, 100), ("test", 1, 50), ("train", 0, 900), ("train", 1, 252), ("val", 0, 100), ("val", 1, 28),
    ]  # fmt: skip
    assert split.to_list() == split_official(rows, seed=0).to_list()
    assert split.to_list() != split_official(rows, seed=1).to_list()


def test_a_small_class_still_gets_its_floor_for_validation() -> None:
    split = split_official(table([0] * 500 + [1] * 26, ["train"] * 526), seed=0)
    assert split[500:].to_list().count("val") == FLOORS["val"]


groups_of_labels = st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=4), min_size=1, max_size=80)


@settings(max_examples=100, deadline=None)
@given(groups_of_labels, st.integers(0, 5))
def test_no_group_is_ever_in_two_splits_and_every_good_row_is_in_one(groups: list[list[int]], seed: int) -> None:
    labels = [label for group in groups for label in group]
    names = [f"image {i}" for i, group in enumerate(groups) for _ in group]
    rows = table(labels, problems={3})
    split = split_groups(rows, names, seed)
    dealt = pl.DataFrame({"group": names, "split": split}).drop_nulls()
    assert dealt.group_by("group").agg(pl.col("split").n_unique())["split"].max() in (1, None)
    assert split.is_null().to_list() == rows["problem"].is_not_null().to_list()


def test_groups_are_dealt_seventy_ten_twenty_in_every_class_whatever_their_size() -> None:
    rng = np.random.default_rng(0)
    labels, names, sizes = [], [], []
    for i in range(4000):
        size = int(rng.integers(1, 5))
        labels += rng.choice(7, size, p=[0.04, 0.04, 0.01, 0.34, 0.11, 0.08, 0.38]).tolist()
        names += [f"image {i}"] * size
        sizes += [size] * size
    rows = table(labels).with_columns(split_groups(table(labels), names, seed=0), size=pl.Series(sizes))
    for by in ("label", "size"):  # large groups must not gather on one side
        for (_,), part in rows.group_by(by):
            share = part["split"].value_counts(normalize=True)
            found = dict(share.rows())
            for name, due in (("train", 0.7), ("val", 0.1), ("test", 0.2)):
                assert abs(found[name] - due) < 0.04, (by, name, found)


def test_small_classes_get_enough_to_be_tested_on() -> None:
    labels = [0] * 300 + [1] * 46
    split = split_groups(table(labels), [str(i) for i in range(346)], seed=0)
    small = split[300:].to_list()
    assert small.count("test") == FLOORS["test"]
    assert small.count("val") == FLOORS["val"]
    assert small.count("train") >= 20
