"""What there is of a dataset for the page about the data."""

from dataclasses import dataclass, field

import polars as pl

from fastfer.analysis.photographs import Photographs
from fastfer.report.document import Missing


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What there is of one dataset: `counts` are faces by variant (with its splits) and class."""

    dataset: str
    photographs: Photographs | None = None
    manifest: pl.DataFrame | None = None
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    missing: tuple[Missing, ...] = ()

    @property
    def kept(self) -> pl.DataFrame | None:
        """The rows of the manifest that are in the records."""
        return None if self.manifest is None else self.manifest.filter(pl.col("status") == "kept")


def missing_records(subject: Subject) -> list[Missing]:
    """What to say where a part needs the records of a dataset that has none."""
    if subject.manifest is not None:
        return []
    sentence = f"This part needs the preprocessed records of {subject.dataset}"
    return [Missing(sentence=sentence, command=f"make shards DATASET={subject.dataset}")]
