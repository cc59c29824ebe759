"""Tables as files: parquet for programs, CSV for people."""

import io
from pathlib import Path

import polars as pl

from pipelines.errors import InputError
from pipelines.records.files import write_atomically


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write a table as parquet, atomically."""
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    write_atomically(path, buffer.getvalue())


def write_csv(path: Path, table: pl.DataFrame) -> None:
    """Write a table as CSV, atomically."""
    write_atomically(path, table.write_csv().encode())  # polars' own error does not say that a disk is full


def read_table(path: Path, *, again: str = "remove it, and give the command that made it again") -> pl.DataFrame:
    """Read a table that `write_table` wrote; `again` is what to do about one that cannot be read.

    Raises:
        InputError: there is none, or it is cut short.
    """
    try:
        return pl.read_parquet(io.BytesIO(path.read_bytes()))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): {again}") from None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise InputError(f"{path} is damaged ({str(error).splitlines()[0]}): {again}") from None
