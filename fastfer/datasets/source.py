"""Where a dataset is read from and how, and what a reader makes of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from pipelines.errors import InputError

IMAGES: Final = ("auto", "original", "aligned")
"""Which images are read: photographs, or faces that are aligned already; auto takes photographs where there are any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A dataset's folder `root`, and choices that change its rows.

    `images` is one of `IMAGES`. `min_confidence` drops rows whose box the annotators' detector was less sure of.
    `labels` is a TOML file that maps the class folders of `DATASET=folder` to canonical names.
    """

    dataset: str
    root: Path
    images: str = "auto"
    min_confidence: float | None = None
    labels: Path | None = None

    def __post_init__(self) -> None:
        """Refuse impossible choices."""
        if self.images not in IMAGES:
            raise InputError(f"no source {self.images!r}: choose one of {', '.join(IMAGES)}")


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read.

    `rows` has one row (`ROW_SCHEMA`) per line of the annotation, with `row` 0, 1, ... once `read` returns it; `layout`
    says what was recognised; `cropped`, whether the images are aligned faces rather than photographs.
    """

    rows: pl.DataFrame
    layout: str
    cropped: bool
