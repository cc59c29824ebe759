"""The datasets a study knows: how each is read, split, and which detector it takes unless told otherwise."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import polars as pl

from fastfer.datasets import expw, rafdb
from fastfer.datasets.splits import split_groups, split_official
from pipelines.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """`read` makes the rows of a folder; `split` adds their split, seeded. Kinds are not tested across."""

    name: str
    kind: Literal["real", "demo"]
    read: Callable[[Path], pl.DataFrame]
    split: Callable[[pl.DataFrame, int], pl.Series]


def _split_by_image(rows: pl.DataFrame, seed: int) -> pl.Series:
    return split_groups(rows, rows["image_path"].to_list(), seed)


DATASETS: Final = {
    dataset.name: dataset
    for dataset in (
        Dataset(name="rafdb", kind="real", read=rafdb.read, split=split_official),
        Dataset(name="expw", kind="real", read=expw.read, split=_split_by_image),
        Dataset(name="demo-rafdb", kind="demo", read=rafdb.read, split=split_official),
        Dataset(name="demo-expw", kind="demo", read=expw.read, split=_split_by_image),
    )
}


def find_dataset(name: str) -> Dataset:
    """The dataset called `name`.

    Raises:
        InputError: there is none.
    """
    if name not in DATASETS:
        raise InputError(f"no dataset {name!r}: choose one of {', '.join(DATASETS)}")
    return DATASETS[name]


def read_rows(name: str, root: Path, seed: int) -> pl.DataFrame:
    """The dataset's rows with `row` (0, 1, ...) and `split`: each line of its annotation once, in the file's order.

    Raises:
        InputError: the dataset is unknown, its folder is missing or incomplete, or no row can become a sample.
    """
    dataset = find_dataset(name)
    if not root.is_dir():
        makes = "make demo-data" if dataset.kind == "demo" else "README.md says how to bring it, or give DATA_ROOT="
        raise InputError(f"no folder {root} with the {name} dataset: {makes}")
    rows = dataset.read(root)
    if rows["problem"].null_count() == 0:
        raise InputError(f"not one of the {len(rows)} lines of {name} in {root} is usable: {rows['problem'][0]}")
    return rows.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64), split=dataset.split(rows, seed))
