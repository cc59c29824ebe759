"""The report's part about the data of its runs: how the faces were chosen, and what the data is like.

It shows what is there. Measuring photographs for the first time can take long, and so is left to `make eda`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastfer.analysis.photographs import PHOTOGRAPHS_NAME
from fastfer.datasets import DATASETS, Source
from fastfer.report.document import Section
from fastfer.report.eda import eda_sections, photographs_of, subject_of
from fastfer.report.eda_subject import Subject, missing_photographs, missing_records
from fastfer.report.locale import Locale
from fastfer.report.runs import Run
from fastfer.report.selection import funnel_section
from pipelines.progress import Track

SEED: Final = 0
"""Of the faces that are shown, as `make eda` has it by default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFolders:
    """Where the data of the runs lies: `data_root` holds the datasets' own folders."""

    data_root: Path
    shards: Path
    workers: int = 2


def data_sections(runs: Sequence[Run], folders: DataFolders | None, track: Track, _: Locale) -> dict[str, Section]:
    """The sections by their anchors on the page; none without folders, or for datasets that fastfer does not know."""
    of_runs = {name for run in runs for name in run.dataset.split("+")}
    of_tests = {result.dataset for run in runs for result in run.results()}
    names = sorted((of_runs | of_tests) & DATASETS.keys())
    if folders is None or not names:
        return {}
    subjects = [_subject(name, folders, track) for name in names]
    if all(one.photographs is None and one.manifest is None for one in subjects):
        missing = [part for one in subjects for part in (*missing_photographs(one, _), *missing_records(one, _))]
        return {"data": Section(title=_("The data"), missing=missing)}
    sections = [
        *(funnel_section(folders.shards, name, _) for name in names),
        *eda_sections(subjects, folders.shards, SEED, track, _),
    ]
    return {f"data-{number}": section for number, section in enumerate(sections, 1)}


def _subject(name: str, folders: DataFolders, track: Track) -> Subject:
    """What there is of a dataset; its photographs only if they have been measured."""
    if not (folders.shards / name / PHOTOGRAPHS_NAME).is_file():
        return subject_of(name, folders.shards)
    source = Source(dataset=name, root=folders.data_root / name)
    return subject_of(name, folders.shards, *photographs_of(source, folders.shards, folders.workers, track))
