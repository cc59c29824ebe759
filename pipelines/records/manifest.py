"""The manifest, one row for each input row: read only as a writer writes it."""

import re
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipelines.errors import InputError
from pipelines.records.tables import read_table

MANIFEST_NAME: Final = "manifest.parquet"
SPLITS: Final = ("train", "val", "test")
SHARD: Final = re.compile(r"(?P<split>[a-z]+)-[0-9]{5}")
"""Names of shards; sorted, they are in order."""
LAST_SHARD: Final = 99_999
AGAIN: Final = "remove the folder and make the records again"
"""What to do about damaged ones."""
TEXT: Final = ("key", "split", "status", "shard")
NUMBERS: Final = ("row", "label", "position")
"""Columns that every manifest has, of strings and of whole numbers."""


def read_manifest(folder: Path) -> pl.DataFrame:
    """The manifest: columns row, key, label, split, status ("kept" or "dropped"), reason, shard, position and more.

    Raises:
        InputError: it is no table, or lists what no writer does.
    """
    path = folder / MANIFEST_NAME
    manifest = read_table(path, again=AGAIN)
    if (what := _impossible_rows(manifest)) is not None:
        raise InputError(f"{path} is damaged ({what}): {AGAIN}")
    return manifest


def _impossible_rows(manifest: pl.DataFrame) -> str | None:
    """What a manifest lists that no writer does: no columns, names that lead elsewhere, places that are none."""
    schema = manifest.schema
    for name in (*TEXT, *NUMBERS):
        if name not in schema or not (schema[name] == pl.String if name in TEXT else schema[name].is_integer()):
            return f"it has no column {name} of {'strings' if name in TEXT else 'whole numbers'}"
    kept = manifest.filter(pl.col("status") == "kept")
    for name in (*TEXT, *NUMBERS):
        if kept[name].null_count():
            return f"kept samples without {name}"
    position = pl.col("position")
    found = kept.group_by("split", "shard").agg(pl.len(), position.n_unique(), low=position.min(), high=position.max())
    for split, shard, samples, places, low, high in found.sort("split", "shard").iter_rows():
        if not is_shard_of(split, shard):
            return f"the shard {shard} of split {split}"
        if (low, high, places) != (0, samples - 1, samples):
            return f"the positions of {shard}"
    return None


def is_shard_of(split: object, name: object) -> bool:
    """Whether this is a name that a writer gives to a shard of the split."""
    found = SHARD.fullmatch(name) if isinstance(name, str) else None
    return found is not None and found["split"] == split and split in SPLITS


def shard_name(split: str, number: int) -> str:
    """The name of a split's shard.

    Raises:
        InputError: `number` is more than names have digits for.
    """
    if number > LAST_SHARD:
        raise InputError(f"the {split} split would have more than {LAST_SHARD + 1:,} shards: take a larger SHARD_ROWS=")
    return f"{split}-{number:05d}"


def read_labels(folder: Path, split: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The manifest's label and row of every sample of a split, in stored order: two of int64 `N`."""
    kept = read_manifest(folder).filter(pl.col("split") == split, pl.col("status") == "kept").sort("shard", "position")
    label_N, row_N = (kept[name].cast(pl.Int64).to_numpy(writable=True) for name in ("label", "row"))
    return label_N, row_N
