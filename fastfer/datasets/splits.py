"""Adds `split` (train, val or test) to a dataset's rows, before any copy or augmentation is made.

Two rules: an official test split is kept and validation taken from its train part (RAF-DB); or whole groups of faces
are dealt out, so that faces of one image never stand on two sides (ExpW). Both are stratified by label and seeded.

The floors matter only to small sets: a class with enough faces gets its full fraction anyway.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

VAL_FRACTION: Final = 0.10
GROUP_FRACTIONS: Final = {"train": 0.70, "val": 0.10, "test": 0.20}
FLOORS: Final = {"val": 6, "test": 17}
"""Faces of each class due to validation and test where a class has them: 5 and 15, and some that may be unreadable."""


def split_official(rows: pl.DataFrame, seed: int) -> pl.Series:
    """The official split, with a stratified `VAL_FRACTION` of each class of train as `val`; null for problem rows."""
    split = rows["official_split"].to_list()
    good = rows.with_row_index("at").filter(pl.col("problem").is_null() & (pl.col("official_split") == "train"))
    for label in good["label"].unique().sort():
        places = good.filter(pl.col("label") == label)["at"].to_numpy()
        count = max(round(len(places) * VAL_FRACTION), min(FLOORS["val"], len(places) // 2))
        for at in np.random.default_rng((seed, label)).permutation(places)[:count]:
            split[at] = "val"
    return pl.Series("split", split, pl.String)


def split_groups(rows: pl.DataFrame, groups: Sequence[str | None], seed: int) -> pl.Series:
    """Deal whole groups (one name per row) to the splits by iterative stratification; null for problem rows.

    Groups with the rarest label come first, in random order, and each goes to the split that still lacks the largest
    share of that label; ties go to the one that lacks the largest share of all faces. After Sechidis et al. 2011, "On
    the stratification of multi-label data", by shares rather than counts, so that no split is filled first.
    """
    good = rows.with_row_index("at").with_columns(pl.Series("group", groups)).filter(pl.col("problem").is_null())
    split: list[str | None] = [None] * len(rows)
    if good.is_empty():
        return pl.Series("split", split, pl.String)
    total_K = np.bincount(good["label"].to_numpy())
    target = _targets(total_K)
    missing = {name: target_K.copy() for name, target_K in target.items()}

    def need(name: str, label: int) -> tuple[float, float]:
        share_of_label = missing[name][label] / max(target[name][label], 1)
        return share_of_label, missing[name].sum() / max(target[name].sum(), 1)

    rng = np.random.default_rng(seed)
    for places, labels in _rarest_first(good, total_K, rng):
        rarest = min(labels, key=lambda label: total_K[label])
        best = max(missing, key=partial(need, label=rarest))
        missing[best] -= np.bincount(labels, minlength=len(total_K))
        for at in places:
            split[at] = best
    return pl.Series("split", split, pl.String)


def _targets(total_K: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Faces of each class due to each split: its fraction, or its floor where the class can spare that."""
    target = {
        name: np.maximum(np.rint(total_K * fraction).astype(np.int64), np.minimum(FLOORS[name], total_K * 2 // 5))
        for name, fraction in GROUP_FRACTIONS.items()
        if name in FLOORS
    }
    return {"train": total_K - target["val"] - target["test"], **target}


def _rarest_first(
    good: pl.DataFrame, total_K: NDArray[np.int64], rng: np.random.Generator
) -> list[tuple[list[int], list[int]]]:
    """Groups as (places, labels), those holding the rarest class first, in random order within a class."""
    grouped = good.group_by("group", maintain_order=True).agg("at", "label").select("at", "label")
    groups = list(grouped.iter_rows())
    chance = rng.random(len(groups))
    order = sorted(range(len(groups)), key=lambda i: (min(total_K[label] for label in groups[i][1]), chance[i]))
    return [groups[i] for i in order]
