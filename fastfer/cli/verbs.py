"""What a verb of the command line is made of: data, so that help, parser and documentation say the same."""

import argparse
import os
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Final

from pipelines.records import parse_place


@dataclass(frozen=True, slots=True)
class Option:
    """One `--name value`; `alone` is its value where none is given. `kind` turns the text into a value."""

    name: str
    help: str
    kind: Callable[[str], Any] = str
    default: Any = None
    required: bool = False
    alone: Any = None

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Add the option to a verb's parser; its help shows the default."""
        shown = "" if self.default is None else f" (default: {self.default})"
        parser.add_argument(
            f"--{self.name}",
            type=self.kind,
            default=self.default,
            required=self.required,
            nargs=None if self.alone is None else "?",
            const=self.alone,
            metavar=self.name.split("-")[-1].upper(),
            help=(self.help + shown).replace("%", "%%"),
        )


@dataclass(frozen=True, slots=True)
class Verb:
    """A command: its options, the examples that its help shows, and the function that runs it."""

    name: str
    summary: str
    options: tuple[Option, ...]
    examples: tuple[str, ...]
    run: Callable[[argparse.Namespace], None]


def switch(text: str) -> bool:
    """0 or 1, as make variables are written."""
    if text not in {"0", "1"}:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 0 nor 1")
    return text == "1"


def whole_number(text: str) -> int:
    """A whole number that fits 32 bits, as the counter-based generator takes it for a seed."""
    if not (text.isdecimal() and int(text) < 2**32):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 to 4294967295")
    return int(text)


def default_of(config: type, name: str) -> Any:
    """The default of a field of a settings dataclass: the command line has no defaults of its own."""
    default = {field.name: field.default for field in fields(config)}[name]
    return None if default is MISSING else default


def words(text: str) -> tuple[str, ...]:
    """A list, as `a,b` or `a b`.

    Raises:
        argparse.ArgumentTypeError: it is empty, or names something twice.
    """
    found = tuple(text.replace(",", " ").split())
    if not found or len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of different names, such as a,b")
    return found


DATASET: Final = Option("dataset", "rafdb, expw, folder, demo-rafdb or demo-expw", default="rafdb")
DATASETS: Final = Option("dataset", "one dataset, or several as rafdb+expw", default="rafdb+expw")
DATA_ROOT: Final = Option(
    "data-root", "the dataset's own folder, or s3://... (default: data/raw/<dataset>)", parse_place
)
OUT: Final = Option("out", "folder of all record variants, or s3://...", parse_place, Path("data/shards"))
SHARDS: Final = Option("shards", "folder of all record variants", parse_place, Path("data/shards"))
DATA_ROOTS: Final = Option("data-root", "folder of the raw datasets", Path, Path("data/raw"))
RUNS: Final = Option("runs", "folder of all runs", Path, Path("runs"))
RESULTS: Final = Option("results", "folder of the result tables", Path, Path("results"))
WORKERS: Final = Option("workers", "processes or threads", whole_number, os.cpu_count() or 1)
VARIANT: Final = Option("variant", "raw, preprocessed or augmented", str, "preprocessed")
LOCALE: Final = Option("locale", "language of the page, its figures and tables: en or pt", str, "en")
REPORTS: Final = Option("reports", "folder of all reports", Path, Path("reports"))
SEED: Final = Option("seed", "seed of all that is drawn", whole_number, 0)
