"""One row per image of a dataset, made once and kept.

An image that is unchanged (same size, same time) is not read again, and a stopped run goes on after its last lot.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import polars as pl

from pipelines.errors import InputError
from pipelines.progress import Track, untracked
from pipelines.records import read_table, write_table

KEPT_EVERY: Final = 4096
"""Images after which what was made is written: a stopped run goes on from there."""
STATE_SCHEMA: Final = pl.Schema(
    {
        "image_path": pl.String(),  # relative to the dataset's folder
        "file_bytes": pl.Int64(),  # null if there is no such file
        "file_time": pl.Float64(),  # of its last change
    }
)
"""The columns that every row starts with: by what a changed file is known."""
Row = dict[str, Any]


def rows_per_image(
    root: Path,
    asked: pl.DataFrame,
    cache: Path,
    schema: pl.Schema,
    make: Callable[[Path, Row], Row],
    *,
    title: str,
    workers: int = 2,
    track: Track = untracked,
) -> pl.DataFrame:
    """The row (`schema`) of each image at `root / image_path`, in the order of `asked`.

    Those in the file `cache` whose image has not changed are taken from there; the others are made by threads and added
    to it.

    Args:
        root: the dataset's folder.
        asked: `image_path`, each once, and perhaps more columns of `schema` on which the row depends.
        cache: a parquet file; its folder is there.
        schema: `STATE_SCHEMA`, the other columns of `asked`, and what is made.
        make: gives the row of an image from `root` and the columns before it; what it leaves out becomes null.
        title: of the progress bar.
        workers: threads.
        track: told of each image read.
    """
    known_by = [*STATE_SCHEMA, *(name for name in asked.columns if name not in STATE_SCHEMA)]
    with ThreadPoolExecutor(workers) as pool:
        states = pool.map(partial(_state, root), asked["image_path"])
        state = pl.DataFrame(list(states), schema=STATE_SCHEMA, orient="row")
        wanted = asked.with_columns(state.drop("image_path"))
        known = kept_rows(cache, schema)
        new = wanted.join(known, on=known_by, how="anti", nulls_equal=True, maintain_order="left")
        known = known.filter(~pl.col("image_path").is_in(new["image_path"].implode()))
        with track(title, total=len(new), unit="images") as advance:
            for lot in new.iter_slices(KEPT_EVERY):
                made = []
                for one in pool.map(partial(make, root), lot.iter_rows(named=True)):
                    made.append(one)
                    advance(1)
                known = pl.concat([known, pl.DataFrame(made, schema=schema)])
                write_table(cache, known)
    return asked.select("image_path").join(known, on="image_path", how="left", maintain_order="left")


def asked_of(paths: Sequence[str]) -> pl.DataFrame:
    """The images at `paths`, for `rows_per_image` that depend on nothing else."""
    return pl.DataFrame({"image_path": paths}, schema={"image_path": pl.String()})


def kept_rows(cache: Path, schema: pl.Schema) -> pl.DataFrame:
    """What an earlier run kept; nothing if there is no such file, or it is damaged or of another version."""
    try:
        known = read_table(cache)
    except InputError:
        return schema.to_frame()
    return known if known.schema == schema else schema.to_frame()


def _state(root: Path, path: str) -> tuple[str, int | None, float | None]:
    try:
        state = (root / path).stat()
    except (OSError, ValueError):
        return path, None, None
    return path, state.st_size, float(state.st_mtime)
