"""What to draw before anything is drawn: one `ImagePlan` per image, with the labels its faces show and are given.

A plan costs nothing to make, so counts can be checked without drawing, and an image can be drawn alone: all its random
numbers come from `(seed, dataset, stream, index)`.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal

import numpy as np

from fastfer.labels import CLASSES
from pipelines.errors import InputError

Fault = Literal["missing", "empty", "cut short", "not an image"]

FULL_SIZE: Final = 600
"""The number of faces the tables of counts are written for; from here on every class has its floor."""

SMALLEST: Final = 4 * len(CLASSES)
"""Fewer faces cannot give every class something to train on and something to test on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoConfig:
    """What demo data to make.

    Attributes:
        seed: The same seed gives the same bytes.
        faces: About this many labelled faces in each of the two datasets, at least 28. From 600 on every class has
            enough for the study's splits (5 for validation, 15 for testing, 20 for training); below, less.
        label_noise: Share of the faces whose written label is changed to another class, 0..1. The images stay the same.
    """

    seed: int = 0
    faces: int = FULL_SIZE
    label_noise: float = 0.0

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise InputError(f"The seed of the demo data is {self.seed}: give 0 or more.")
        if self.faces < SMALLEST:
            raise InputError(f"{self.faces} demo faces are too few for seven classes: ask for {SMALLEST} or more.")
        if not 0 <= self.label_noise <= 1:
            raise InputError(f"The label noise of the demo data is {self.label_noise}: give a share from 0 to 1.")


class DemoSet(IntEnum):
    """The two datasets; the number is part of every image's seed."""

    RAFDB = 0
    EXPW = 1

    @property
    def folder(self) -> str:
        """The dataset's name and folder."""
        return f"demo-{self.name.lower()}"


class Stream(IntEnum):
    """Independent sources of random numbers, so that one choice more here changes nothing there."""

    PLAN = 0
    IMAGE = 1
    LABEL_NOISE = 2
    COPY = 3
    REPEATED_ROWS = 4


def generator(seed: int, dataset: DemoSet, stream: Stream, index: int = 0) -> np.random.Generator:
    """The random numbers of one image, or of one dataset's plan, for one purpose."""
    return np.random.default_rng((seed, dataset, stream, index))


@dataclass(frozen=True, kw_only=True, slots=True)
class ImagePlan:
    """One image to make."""

    dataset: DemoSet
    index: int  # counts the dataset's images; seeds their random numbers
    path: str  # relative to the dataset's folder
    labels: tuple[int, ...]  # the expression each annotated face shows, canonical
    written: tuple[int, ...]  # the label each is given in the list, canonical
    bystander: bool = False  # one more face that nobody annotated
    copy_of: "ImagePlan | None" = None  # a near-duplicate: that image, recoloured, resized and encoded again
    query: int | None = None  # class of the emotion word in the file's name
    fault: Fault | None = None  # why the file cannot be read

    @property
    def full_path(self) -> str:
        """The image's path from the folder that holds both datasets."""
        return f"{self.dataset.folder}/{self.path}"


def scaled(counts: dict[str, int], faces: int, *, at_least: int) -> list[int]:
    """Canonical labels, class by class, for about `faces` faces by a table written for `FULL_SIZE`."""
    share = faces / FULL_SIZE
    return [CLASSES.index(name) for name, count in counts.items() for _ in range(max(at_least, round(count * share)))]


def written_labels(config: DemoConfig, dataset: DemoSet, index: int, labels: tuple[int, ...]) -> tuple[int, ...]:
    """The labels as the list gives them: `config.label_noise` of them changed to any other class."""
    rng = generator(config.seed, dataset, Stream.LABEL_NOISE, index)
    changed, steps = rng.random(len(labels)) < config.label_noise, rng.integers(1, len(CLASSES), len(labels))
    return tuple(
        (label + int(step)) % len(CLASSES) if flip else label
        for label, flip, step in zip(labels, changed, steps, strict=True)
    )
