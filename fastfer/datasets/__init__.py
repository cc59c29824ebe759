"""The datasets a study knows: how each is read, and which detector it takes unless told otherwise."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

import polars as pl

from fastfer.datasets import expw, folder, rafdb
from fastfer.datasets.source import Reading, Source
from pipelines.errors import InputError

__all__ = ["DATASETS", "Dataset", "Reading", "Source", "find_dataset", "read"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """`read` makes the rows of a folder. Models are tested across datasets of one kind only."""

    name: str
    kind: Literal["real", "demo", "own"]
    read: Callable[[Source], Reading]

    @property
    def detector(self) -> str:
        """The detector it takes by default; the demo sets must do without a download."""
        return "mtcnn" if self.kind == "demo" else "retinaface"


DATASETS: Final = {
    dataset.name: dataset
    for dataset in (
        Dataset(name="rafdb", kind="real", read=rafdb.read),
        Dataset(name="expw", kind="real", read=expw.read),
        Dataset(name="folder", kind="own", read=folder.read),
        Dataset(name="demo-rafdb", kind="demo", read=rafdb.read),
        Dataset(name="demo-expw", kind="demo", read=expw.read),
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


def read(source: Source) -> Reading:
    """The dataset's rows: each line of its annotation once, in the file's order.

    Raises:
        InputError: the dataset is unknown, its folder is missing or incomplete, a choice does not apply to it, or no
            row can become a sample.
    """
    dataset = find_dataset(source.dataset)
    if not source.root.is_dir():
        makes = "make demo-data" if dataset.kind == "demo" else "README.md says how to bring it, or give DATA_ROOT="
        raise InputError(f"no folder {source.root} with the {dataset.name} dataset: {makes}")
    if source.labels is not None and dataset.kind != "own":
        raise InputError(f"LABELS= names class folders of DATASET=folder; the labels of {dataset.name} are known")
    reading = dataset.read(source)
    rows = _confident(reading.rows, source)
    if rows["problem"].null_count() == 0:
        raise InputError(
            f"not one of the {len(rows)} lines of {dataset.name} in {source.root} is usable: {rows['problem'][0]}"
        )
    return replace(reading, rows=rows.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64)))


def _confident(rows: pl.DataFrame, source: Source) -> pl.DataFrame:
    """The rows, those below `min_confidence` with that as their problem."""
    if source.min_confidence is None:
        return rows
    if rows["box_confidence"].is_null().all():
        raise InputError(f"MIN_CONFIDENCE= is for datasets whose boxes have a confidence; {source.dataset} has none")
    unsure = pl.col("problem").is_null() & (pl.col("box_confidence") < source.min_confidence)
    reason = f"box confidence below {source.min_confidence:g}"
    return rows.with_columns(problem=pl.when(unsure).then(pl.lit(reason)).otherwise("problem"))
