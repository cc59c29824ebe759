"""The page about the data: what the photographs and the records made of them are like, datasets side by side.

Measuring the photographs takes nearly all of its time when it is made first (`analysis.photographs`), and none of it
when it is made again. What is not there yet is named on the page, with the command that makes it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fastfer.analysis.photographs import Photographs, measure
from fastfer.datasets import Source, find_dataset
from fastfer.report.document import Document, Section
from fastfer.report.eda_photographs import faces_section, photographs_section
from fastfer.report.eda_pictures import VARIANT, augmentation_section, faces_of_classes_section
from fastfer.report.eda_records import classes_section, detector_section, duplicates_section
from fastfer.report.eda_subject import Subject
from fastfer.report.locale import Locale, locale_of
from fastfer.report.write import write_page
from fastfer.variants import open_records
from pipelines.errors import InputError
from pipelines.progress import Say, Track, unsaid, untracked
from pipelines.records import read_manifest

BALANCED: Final = "augmented"


def make_eda(
    sources: Sequence[Source],
    shards: Path,
    out: Path,
    *,
    lang: str = "en",
    seed: int = 0,
    workers: int = 2,
    track: Track = untracked,
    say: Say = unsaid,
) -> Path:
    """Write the page about some datasets, its figures, tables and pictures into the folder `out`.

    Args:
        sources: the datasets' folders, of each dataset one.
        shards: the folder of all records; gets the measures of the photographs.
        out: the page's folder; an earlier page there is replaced.
        lang: the language of all that is said, see `locale_of`.
        seed: of the faces that are shown and what is drawn for them.
        workers: threads that measure.
        track: told of each image and figure.
        say: told why photographs cannot be read; the page only names the command that says so too.

    Returns:
        The path of `index.html`.

    Raises:
        InputError: there is no such language, a dataset is unknown, none of them has photographs or records, or `out`
            holds something else.
    """
    _ = locale_of(lang)
    names = [find_dataset(source.dataset).name for source in sources]
    subjects = [
        subject_of(source.dataset, shards, *photographs_of(source, shards, workers, track)) for source in sources
    ]
    if all(one.photographs is None and one.manifest is None for one in subjects):
        raise InputError(f"neither photographs nor records of {', '.join(names)}: {subjects[0].unread}")
    for one in subjects:
        if one.unread:
            say(f"no photographs of {one.dataset}: {one.unread}")
    both = f" {_('and')} "
    document = Document(
        title=_("The data: {datasets}", datasets=both.join(names)),
        sections=eda_sections(subjects, shards, seed, track, _),
        lang=_.lang,
    )
    return write_page(document, out, source=both.join(str(source.root) for source in sources), track=track)


def eda_sections(subjects: Sequence[Subject], shards: Path, seed: int, track: Track, _: Locale) -> list[Section]:
    """The parts of the page, which the report of the runs has too."""
    return [
        classes_section(subjects, _),
        photographs_section(subjects, _),
        faces_section(subjects, _),
        detector_section(subjects, _),
        duplicates_section(subjects, shards, _),
        faces_of_classes_section(subjects, shards, seed, track, _),
        augmentation_section(subjects, shards, seed, _),
    ]


def subject_of(dataset: str, shards: Path, photographs: Photographs | None = None, unread: str = "") -> Subject:
    """A dataset with what there is of its records."""
    try:
        info = open_records(shards, dataset, VARIANT)
    except InputError:
        return Subject(dataset=dataset, photographs=photographs, unread=unread)
    return Subject(
        dataset=dataset,
        photographs=photographs,
        manifest=read_manifest(shards / dataset / VARIANT),
        counts=info.counts | _balanced(shards, dataset),
        unread=unread,
    )


def photographs_of(source: Source, shards: Path, workers: int, track: Track) -> tuple[Photographs | None, str]:
    """The measures, or None and why there are none."""
    try:
        return measure(source, shards, workers=workers, track=track), ""
    except InputError as error:
        return None, str(error)


def _balanced(shards: Path, dataset: str) -> dict[str, dict[str, int]]:
    """The counts of train with its offline copies, where there are any."""
    try:
        counts = open_records(shards, dataset, BALANCED).counts
    except InputError:
        return {}
    return {"train, balanced": counts["train"]} if "train" in counts else {}
