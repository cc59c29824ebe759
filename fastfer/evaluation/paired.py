"""What `compare` writes, for those who read it: names, and differences between two runs with their paired intervals."""

from pathlib import Path
from typing import Final

import polars as pl

from pipelines.errors import InputError

PAIRS_NAME: Final = "compare.csv"
SEEDS_NAME: Final = "seeds.csv"

DIFFERENCES: Final = ("accuracy", "balanced_accuracy", "macro_f1")
"""Scores whose difference between two runs is given. They need the predicted classes only."""


def read_pairs(folder: Path) -> pl.DataFrame | None:
    """The pairs that `compare` wrote, if it did.

    Raises:
        InputError: the file is broken.
    """
    return _read(folder / PAIRS_NAME)


def read_seeds(folder: Path) -> pl.DataFrame | None:
    """The table over seeds that `compare` wrote, if it did.

    Raises:
        InputError: the file is broken.
    """
    return _read(folder / SEEDS_NAME)


def _read(path: Path) -> pl.DataFrame | None:
    if not path.is_file():
        return None
    try:
        return pl.read_csv(path, infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"{path} cannot be read ({str(error).splitlines()[0]}): make compare writes it again"
        ) from error


def paired_difference(
    pairs: pl.DataFrame, metric: str, *, run: str, base: str, tested_on: str
) -> tuple[float, float, float] | None:
    """How far a run is above another on the rows both were tested on: value, low and high of the 95% interval.

    None where the two were not compared, or without an interval. Which of them was called A does not matter.
    """
    columns = [f"{metric}_difference{side}" for side in ("", "_low", "_high")]
    of_test = pairs.filter(pl.col("tested_on") == tested_on)
    for run_a, run_b, sign in ((run, base, 1), (base, run, -1)):
        chosen = of_test.filter(pl.col("run_a") == run_a, pl.col("run_b") == run_b)
        if len(chosen) and None not in (values := chosen.select(columns).row(0)):
            value, *ends = (sign * number for number in values)
            return (value, min(ends), max(ends))
    return None
