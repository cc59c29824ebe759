"""The parts of the page about the data that are pictures: faces of each class, and what augmentation does to one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fastfer.report.augmentation import augmentation_sheet, first_training_image
from fastfer.report.document import Missing, Picture, Section
from fastfer.report.eda_subject import Subject, missing_records
from fastfer.report.inspection import sample_sheet
from fastfer.report.locale import Locale
from fastfer.report.sheets import Tile, contact_sheet
from fastfer.variants import open_records
from pipelines.errors import InputError
from pipelines.progress import Track
from pipelines.records import ShardReader

VARIANT: Final = "preprocessed"
MEAN_OF: Final = 1000
"""Random train faces of a class in its mean face: more of them change no gray level that one could see."""
AUGMENTATIONS: Final = {
    "strong": (
        "online",
        "Online augmentation of {dataset}",
        "Policy strong: drawn anew for every face in every epoch.",
    ),
    "light": (
        "offline",
        "Offline augmentation of {dataset}",
        "Policy light: drawn once, for the copies that balance the train split.",
    ),
}
"""Policy -> its pictures' name, title and note."""


def faces_of_classes_section(subjects: Sequence[Subject], shards: Path, seed: int, track: Track, _: Locale) -> Section:
    """The mean face and a few faces of every class."""
    section = Section(
        title=_("Faces of each class"),
        paragraphs=[
            _(
                "Of the preprocessed records. A mean face is the mean of the train faces of a class, {most:,} random "
                "ones where there are more: where it is sharp, faces agree.",
                most=MEAN_OF,
            )
        ],
        missing=[part for one in subjects for part in missing_records(one, _)],
    )
    for one in subjects:
        if one.kept is None:
            continue
        means = mean_faces(shards, one.dataset, one.kept, seed=seed, track=track)
        if means:
            section.pictures.append(_mean_picture(one.dataset, means, _))
        else:
            section.missing.append(_no_train(one.dataset, _))
        section.pictures.append(
            Picture(
                name=f"samples-{one.dataset}",
                title=_("Faces of {dataset}", dataset=one.dataset),
                note=_("Random faces of all splits, a row for each class."),
                jpeg=sample_sheet(shards, one.dataset, VARIANT, seed=seed, _=_),
            )
        )
    return section


def mean_faces(
    shards: Path, dataset: str, kept: pl.DataFrame, *, seed: int, track: Track
) -> dict[str, tuple[NDArray[np.uint8], int]]:
    """The mean train face of each class that has one, uint8 `H x W x C`, and of how many it is."""
    info = open_records(shards, dataset, VARIANT)
    train = kept.filter(pl.col("split") == "train").sort("row")
    chosen = train.filter(pl.int_range(pl.len()).shuffle(seed).over("label") < MEAN_OF)
    sums = np.zeros((len(info.classes), info.size_px, info.size_px, info.channels), np.float64)
    counts = np.zeros(len(info.classes), np.int64)
    with track(f"Mean faces of {dataset}", total=len(chosen), unit="faces") as advance:
        for (shard,), rows in chosen.group_by("shard", maintain_order=True):
            with ShardReader(shards / dataset / VARIANT, str(shard)) as reader:
                for position, label in rows.select("position", "label").iter_rows():
                    sums[label] += reader.decode(position, info)
                    counts[label] += 1
                    advance(1)
    return {
        name: (np.asarray((sums[label] / counts[label]).round(), np.uint8), int(counts[label]))
        for label, name in enumerate(info.classes)
        if counts[label]
    }


def _mean_picture(dataset: str, means: dict[str, tuple[NDArray[np.uint8], int]], _: Locale) -> Picture:
    tiles = [
        Tile(img[..., 0] if img.shape[-1] == 1 else img, (name, _("mean of {count:,}", count=count)))
        for name, (img, count) in means.items()
    ]
    return Picture(
        name=f"mean-faces-{dataset}",
        title=_("Mean faces of {dataset}", dataset=dataset),
        note=_("Of the train split, by class."),
        jpeg=contact_sheet(tiles, _("{dataset}: mean face of each class", dataset=dataset)),
    )


def augmentation_section(subjects: Sequence[Subject], shards: Path, seed: int, _: Locale) -> Section:
    """What each policy does to the first train face of each dataset."""
    section = Section(
        title=_("What augmentation does"),
        paragraphs=[
            _(
                "One train face of each dataset, through the code that trains: each operation by itself, then all "
                "together. Validation and test faces are never augmented."
            )
        ],
        missing=[part for one in subjects for part in missing_records(one, _)],
    )
    for one in subjects:
        if one.manifest is None:
            continue
        try:
            img_HWC = first_training_image(shards, one.dataset, VARIANT)
        except InputError:
            section.missing.append(_no_train(one.dataset, _))
            continue
        for policy, (name, title, note) in AUGMENTATIONS.items():
            __, jpeg = augmentation_sheet(img_HWC, policy=policy, seed=seed, _=_)
            told = _(title, dataset=one.dataset)
            section.pictures.append(Picture(name=f"{name}-{one.dataset}", title=told, note=_(note), jpeg=jpeg))
    return section


def _no_train(dataset: str, _: Locale) -> Missing:
    sentence = _("The preprocessed records of {dataset} hold no train face", dataset=dataset)
    return Missing(sentence=sentence, command=f"make inspect DATASET={dataset}")
