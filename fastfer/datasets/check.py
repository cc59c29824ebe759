"""Is a dataset's folder complete? Its counts beside the published ones, and every image decoded once."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import polars as pl

from fastfer.datasets import Reading, Source, find_dataset, read
from fastfer.datasets.table import kind_of_reason
from fastfer.faces.images import UnreadableImageError, read_image
from fastfer.labels import CLASSES, EXPW_TO_CANONICAL, RAFDB_TO_CANONICAL
from pipelines.progress import Track, untracked

Counts = Mapping[str, Mapping[str, int]]
ALL: Final = "all"
"""Stands for the split where none is official."""


def _by_class(published: tuple[int, ...], canonical: Mapping[int, int]) -> dict[str, int]:
    return {CLASSES[canonical[number]]: count for number, count in zip(sorted(canonical), published, strict=True)}


PUBLISHED: Final[Mapping[str, Counts]] = {
    "rafdb": {
        "train": _by_class((1290, 281, 717, 4772, 1982, 705, 2524), RAFDB_TO_CANONICAL),
        "test": _by_class((329, 74, 160, 1185, 478, 162, 680), RAFDB_TO_CANONICAL),
    },
    "expw": {ALL: _by_class((3671, 3995, 1088, 30537, 10559, 7060, 34883), EXPW_TO_CANONICAL)},
}
"""Faces by split and class as the datasets' authors give them (RAF-DB basic; ExpW's label list)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Completeness:
    """What a folder holds: usable rows by split and class, and by reason what is not usable: lines, and images."""

    reading: Reading
    counts: Counts
    published: Counts
    bad_lines: Mapping[str, list[str]]
    bad_images: Mapping[str, list[str]]

    @property
    def faults(self) -> list[str]:
        """Why the folder is not complete; an empty list if it is."""
        found = [f"{len(images)} with {reason}" for reason, images in self.bad_images.items()]
        for split, classes in self.published.items():
            due, there = sum(classes.values()), sum(self.counts.get(split, {}).values())
            if there < due:
                found.append(f"{there} of {due} published faces" + ("" if split == ALL else f" in {split}"))
        return found


def check(source: Source, *, workers: int = 2, track: Track = untracked) -> Completeness:
    """Read a dataset's annotation and decode each of its images.

    Raises:
        InputError: it cannot be read at all; see `fastfer.datasets.read`.
    """
    reading = read(source)
    usable = reading.rows.filter(pl.col("problem").is_null())
    images = usable["image_path"].unique(maintain_order=True).to_list()
    bad_images: dict[str, list[str]] = {}
    with (
        ThreadPoolExecutor(workers) as pool,
        track(f"Reading {source.dataset}", total=len(images), unit="images") as advance,
    ):
        for image, reason in zip(images, pool.map(partial(_reason, source.root), images), strict=True):
            if reason is not None:
                bad_images.setdefault(reason, []).append(image)
            advance(1)
    counted = usable.select(pl.col("official_split").fill_null(ALL), "label")
    return Completeness(
        reading=reading,
        counts=_counts(counted),
        published=PUBLISHED.get(find_dataset(source.dataset).name, {}),
        bad_lines=_bad_lines(reading.rows),
        bad_images=bad_images,
    )


def _reason(root: Path, image: str) -> str | None:
    try:
        read_image(root, image)
    except UnreadableImageError as error:
        return str(error)
    return None


def _counts(counted: pl.DataFrame) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for split, label, count in counted.group_by("official_split", "label").len().sort("label").iter_rows():
        counts.setdefault(split, dict.fromkeys(CLASSES, 0))[CLASSES[label]] = count
    return counts


def _bad_lines(rows: pl.DataFrame) -> dict[str, list[str]]:
    """Keys of the lines that cannot become samples, by reason."""
    bad = rows.filter(pl.col("problem").is_not_null()).group_by(kind_of_reason(pl.col("problem")), maintain_order=True)
    return {str(reason): keys for reason, keys in bad.agg("key").iter_rows()}
