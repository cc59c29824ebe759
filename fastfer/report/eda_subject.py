"""What there is of a dataset for the page about the data."""

from dataclasses import dataclass, field

import polars as pl

from fastfer.analysis.photographs import Photographs
from fastfer.datasets import find_dataset
from fastfer.report.document import Missing
from fastfer.report.locale import Locale


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What there is of one dataset: `counts` are faces by split and class, `unread` why its photographs cannot be read.

    Without photographs and without a reason they were not measured.
    """

    dataset: str
    photographs: Photographs | None = None
    manifest: pl.DataFrame | None = None
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    unread: str = ""

    @property
    def kept(self) -> pl.DataFrame | None:
        """The rows of the manifest that are in the records."""
        return None if self.manifest is None else self.manifest.filter(pl.col("status") == "kept")


def missing_photographs(subject: Subject, _: Locale) -> list[Missing]:
    """What to say where a part needs the photographs of a dataset that has none; the command tells why."""
    if subject.photographs is not None:
        return []
    if not subject.unread:
        sentence = _("The photographs of {dataset} are not measured yet", dataset=subject.dataset)
        return [Missing(sentence=sentence, command=f"make eda DATASET={subject.dataset}")]
    is_demo = find_dataset(subject.dataset).kind == "demo"
    check = f"make check DATASET={subject.dataset} DATA_ROOT=<{_('its folder')}>"
    sentence = _("The photographs of {dataset} cannot be read", dataset=subject.dataset)
    return [Missing(sentence=sentence, command="make demo-data" if is_demo else check)]


def missing_records(subject: Subject, _: Locale) -> list[Missing]:
    """Likewise of the preprocessed records."""
    if subject.manifest is not None:
        return []
    sentence = _("This part needs the preprocessed records of {dataset}", dataset=subject.dataset)
    return [Missing(sentence=sentence, command=f"make shards DATASET={subject.dataset}")]
