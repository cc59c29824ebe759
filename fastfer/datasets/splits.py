"""Adds `split` (train, val or test) to a dataset's rows, before any copy or augmentation is made.

Whole groups of faces are dealt out, so that faces of one image, or of near-duplicate images, never stand on two sides.
Where a dataset has official splits they are kept, and validation is taken from train (RAF-DB); else faces are dealt
70/10/20 (ExpW). Both are stratified by label and seeded.

The floors matter only to small sets: a class with enough faces gets its full fraction anyway.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

VAL_FRACTION: Final = 0.10
GROUP_FRACTIONS: Final = {"train": 0.70, "val": 0.10, "test": 0.20}
TRAIN_FRACTIONS: Final = {"train": 1 - VAL_FRACTION, "val": VAL_FRACTION}
"""Where the test split is official."""
FLOORS: Final = {"val": 6, "test": 17}
"""Faces of each class due to validation and test where a class has them: 5 and 15, and some that may be unreadable."""


def split_rows(rows: pl.DataFrame, groups: Mapping[str, str], seed: int) -> pl.Series:
    """The split of each row; null for rows with a problem. `groups` names the group of an image (default: itself).

    Official splits are kept; where there is no official validation split, a stratified `VAL_FRACTION` of train becomes
    one, by whole groups. A group that officially stands on two sides stays there: its train faces only stay in train
    (never in validation), so that validation scores are not helped by what was trained on.
    """
    placed = rows.with_row_index("at").with_columns(group=_group(rows, groups))
    good = placed.filter(pl.col("problem").is_null())
    split: list[str | None] = [None] * len(rows)

    def deal(part: pl.DataFrame, fractions: Mapping[str, float]) -> None:
        for at, name in zip(part["at"], _dealt(part, fractions, seed), strict=True):
            split[at] = name

    if good["official_split"].null_count() == len(good):
        deal(good, GROUP_FRACTIONS)
        return pl.Series("split", split, pl.String)
    for at, name in good.select("at", pl.col("official_split").fill_null("train")).iter_rows():
        split[at] = name
    if not (good["official_split"] == "val").any():
        outside = good.filter(pl.col("official_split") != "train")["group"].unique().implode()
        deal(good.filter((pl.col("official_split") == "train") & ~pl.col("group").is_in(outside)), TRAIN_FRACTIONS)
    return pl.Series("split", split, pl.String)


def _group(rows: pl.DataFrame, groups: Mapping[str, str]) -> pl.Series:
    return pl.Series("group", [groups.get(path, path) for path in rows["image_path"]], pl.String)


def _dealt(good: pl.DataFrame, fractions: Mapping[str, float], seed: int) -> list[str]:
    """Deal whole groups to the splits by iterative stratification.

    Groups with the rarest label come first, in random order, and each goes to the split that still lacks the largest
    share of that label; ties go to the one that lacks the largest share of all faces. After Sechidis et al. 2011, "On
    the stratification of multi-label data", by shares rather than counts, so that no split is filled first.
    """
    if good.is_empty():
        return []
    good = good.drop("at").with_row_index("at")
    total_K = np.bincount(good["label"].to_numpy())
    target = _targets(total_K, fractions)
    missing = {name: target_K.copy() for name, target_K in target.items()}

    def need(name: str, label: int) -> tuple[float, float]:
        share_of_label = missing[name][label] / max(target[name][label], 1)
        return share_of_label, missing[name].sum() / max(target[name].sum(), 1)

    split = [""] * len(good)
    rng = np.random.default_rng(seed)
    for places, labels in _rarest_first(good, total_K, rng):
        rarest = min(labels, key=lambda label: total_K[label])
        best = max(missing, key=partial(need, label=rarest))
        missing[best] -= np.bincount(labels, minlength=len(total_K))
        for at in places:
            split[at] = best
    return split


def _targets(total_K: NDArray[np.int64], fractions: Mapping[str, float]) -> dict[str, NDArray[np.int64]]:
    """Faces of each class due to each split: its fraction, or its floor where the class can spare that."""
    target = {
        name: np.maximum(np.rint(total_K * fraction).astype(np.int64), np.minimum(FLOORS[name], total_K * 2 // 5))
        for name, fraction in fractions.items()
        if name in FLOORS
    }
    return {"train": total_K - sum(target.values()), **target}


def _rarest_first(
    good: pl.DataFrame, total_K: NDArray[np.int64], rng: np.random.Generator
) -> list[tuple[list[int], list[int]]]:
    """Groups as (places, labels), those holding the rarest class first, in random order within a class."""
    grouped = good.group_by("group", maintain_order=True).agg("at", "label").select("at", "label")
    groups = list(grouped.iter_rows())
    chance = rng.random(len(groups))
    order = sorted(range(len(groups)), key=lambda i: (min(total_K[label] for label in groups[i][1]), chance[i]))
    return [groups[i] for i in order]
