"""The record format: what a variant folder holds, and the small files that describe it.

A variant folder is `<split>-00000.tar` (a WebDataset shard) with `<split>-00000.idx` (DALI's index) for each shard,
`manifest.parquet` (one row per input row, kept or not) and, written last, `dataset.json`. A folder without
`dataset.json` is unfinished, whatever else is in it.

A sample's members share its key as base name, in the order of `MEMBERS`: `.jpg` the image, `.cls` the label as one
ASCII digit, `.row` the manifest row as eight bytes (little-endian int64), `.json` what else is known of it.
"""

import hashlib
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from pipelines.errors import InputError
from pipelines.records.files import sha256, write_atomically
from pipelines.records.manifest import AGAIN, MANIFEST_NAME, SPLITS, is_shard_of, read_manifest

FORMAT_VERSION: Final = 1
MEMBERS: Final = ("jpg", "cls", "row", "json")
INFO_NAME: Final = "dataset.json"
KEY: Final = re.compile(r"[A-Za-z0-9_=-]{1,90}")
"""Keys hold no dot (the extension starts at the first one) and fit a plain tar header with their extension."""
CHANNELS: Final = (1, 3)
LARGEST_PX: Final = 4096
"""More than any writer of ours makes; what is stated is allocated."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One record: `jpeg` as stored, `label` canonical (0..9), `row` its line in the manifest, `meta` JSON-ready."""

    key: str
    jpeg: bytes
    label: int
    row: int
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardInfo:
    """What `dataset.json` says of one shard. Pixel sums (one per channel) are exact integers over all its images."""

    name: str
    split: str
    samples: int
    tar_bytes: int
    tar_sha256: str
    index_sha256: str
    pixel_sum: list[int]
    pixel_square_sum: list[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetInfo:
    """The contents of `dataset.json`.

    `pixel_mean` and `pixel_std` are those of the training split, per channel, in 0..1. `settings` holds all that
    determined the bytes of the shards (among them the face detector); this package does not look inside it.
    """

    dataset: str
    variant: str
    classes: list[str]
    channels: int
    size_px: int
    pixel_mean: list[float]
    pixel_std: list[float]
    counts: dict[str, dict[str, int]]
    shards: list[ShardInfo]
    manifest_sha256: str
    settings: dict[str, Any]
    code_version: str
    format_version: int = FORMAT_VERSION

    def split_shards(self, split: str) -> list[ShardInfo]:
        """The shards of one split, in order."""
        return [shard for shard in self.shards if shard.split == split]

    def samples(self, split: str | None = None) -> int:
        """How many samples a split has, or all of them."""
        return sum(shard.samples for shard in self.shards if split in (None, shard.split))


def describe(
    folder: Path,
    shards: list[ShardInfo],
    *,
    dataset: str,
    variant: str,
    classes: tuple[str, ...],
    size_px: int,
    settings: dict[str, Any],
    code_version: str,
) -> DatasetInfo:
    """The `DatasetInfo` of finished shards and the manifest beside them in `folder`.

    Raises:
        InputError: no sample was kept.
    """
    manifest = read_manifest(folder)
    kept = manifest.filter(pl.col("status") == "kept")
    if not len(kept):
        reasons = manifest["reason"].drop_nulls()
        why = f"; the first: {reasons[0]}" if len(reasons) else ""
        raise InputError(f"none of the {len(manifest)} samples of {dataset} could be kept{why}")
    mean, std = _pixel_statistics(shards, size_px)
    return DatasetInfo(
        dataset=dataset,
        variant=variant,
        classes=list(classes),
        channels=len(mean),
        size_px=size_px,
        pixel_mean=mean,
        pixel_std=std,
        counts=counts_of(kept, classes),
        shards=shards,
        manifest_sha256=sha256(folder / MANIFEST_NAME),
        settings=settings,
        code_version=code_version,
    )


def counts_of(kept: pl.DataFrame, classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """The samples of each class in each split, of the manifest's rows that were kept."""
    counted = {(split, label): count for split, label, count in kept.group_by("split", "label").len().iter_rows()}
    return {split: {name: counted.get((split, i), 0) for i, name in enumerate(classes)} for split in SPLITS}


def _pixel_statistics(shards: list[ShardInfo], size_px: int) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of the training images by channel, in 0..1; of all images where none trains."""
    full = [shard for shard in shards if shard.samples]  # an empty one does not know its channels
    train = [shard for shard in full if shard.split == "train"] or full
    pixels = sum(shard.samples for shard in train) * size_px**2
    mean = np.sum([shard.pixel_sum for shard in train], axis=0) / pixels
    square = np.sum([shard.pixel_square_sum for shard in train], axis=0) / pixels
    std = np.sqrt(square - mean**2)
    return [round(float(value) / 255, 6) for value in mean], [round(float(value) / 255, 6) for value in std]


def merge_infos(infos: Sequence[DatasetInfo]) -> DatasetInfo:
    """The description of several variants taken as one: counts and pixel statistics of all their images.

    Raises:
        InputError: they differ in classes, channels or size.
    """
    first = infos[0]
    for info in infos[1:]:
        for name in ("classes", "channels", "size_px"):
            if getattr(info, name) != getattr(first, name):
                raise InputError(
                    f"{first.dataset} and {info.dataset} cannot be mixed, as their {name} differ "
                    f"({getattr(first, name)} and {getattr(info, name)}): make their records with the same settings"
                )
    shards = [shard for info in infos for shard in info.shards]
    mean, std = _pixel_statistics(shards, first.size_px)
    return replace(
        first,
        dataset="+".join(info.dataset for info in infos),
        pixel_mean=mean,
        pixel_std=std,
        counts={s: {name: sum(info.counts[s][name] for info in infos) for name in first.classes} for s in SPLITS},
        shards=shards,
        manifest_sha256=hashlib.sha256("".join(info.manifest_sha256 for info in infos).encode()).hexdigest(),
        settings={info.dataset: info.settings for info in infos},
    )


def write_info(folder: Path, info: DatasetInfo) -> None:
    """Write `dataset.json`, last of all and atomically: from then on the folder counts as finished."""
    write_atomically(folder / INFO_NAME, (json.dumps(asdict(info), indent=1) + "\n").encode())


def read_info(folder: Path) -> DatasetInfo:
    """Read `dataset.json` and check that every file it names is there with its size.

    Raises:
        InputError: the folder is missing, unfinished, of another format version, states what no writer does, or has
            lost or cut files.
    """
    path = folder / INFO_NAME
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        raw["shards"] = [ShardInfo(**shard) for shard in raw["shards"]]
        info = DatasetInfo(**raw)
        if info.format_version == FORMAT_VERSION and (what := _impossible(info)) is not None:
            raise ValueError(what)
    except FileNotFoundError:
        raise InputError(f"no finished records in {folder} (it has no {INFO_NAME}): make them first") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): {AGAIN}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({error}): {AGAIN}") from None
    if info.format_version != FORMAT_VERSION:
        raise InputError(f"{path} is of format {info.format_version}, this fastfer reads {FORMAT_VERSION}: {AGAIN}")
    if not (folder / MANIFEST_NAME).is_file():
        raise InputError(f"{folder / MANIFEST_NAME} is missing: {AGAIN}")
    for shard in info.shards:
        tar = tar_path(folder, shard.name)
        if not tar.is_file() or tar.stat().st_size != shard.tar_bytes or not index_path(folder, shard.name).is_file():
            raise InputError(f"shard {tar} or its index is missing or cut short: {AGAIN}")
    return info


def _impossible(info: DatasetInfo) -> str | None:
    """What `dataset.json` states that no writer does: names that lead elsewhere, another order, no numbers."""
    if not (_is_count(info.size_px, LARGEST_PX) and info.size_px and info.channels in CHANNELS):
        return f"images of {info.size_px} px and {info.channels} channels"
    if not all(isinstance(name, str) for name in (info.dataset, info.variant)):
        return f"the variant {info.variant} of {info.dataset}"
    classes = set(info.classes)
    if not classes or len(classes) < len(info.classes) or not all(KEY.fullmatch(name) for name in classes):
        return f"the classes {info.classes}"
    each = [count for by_class in info.counts.values() for count in by_class.values()]
    stated = {split: set(by_class) for split, by_class in info.counts.items()}
    if stated != dict.fromkeys(SPLITS, classes) or not _are_counts(each, len(each)):
        return f"the counts {info.counts}"
    for values in (info.pixel_mean, info.pixel_std):
        if len(values) != info.channels or not all(0 <= value <= 1 for value in values):
            return f"the pixel statistics {values}"
    for shard in info.shards:
        if (what := _impossible_shard(shard, info.channels)) is not None:
            return what
    for split in SPLITS:
        names = [shard.name for shard in info.split_shards(split)]
        if names != sorted(set(names)):
            return f"the shards of {split} are out of order"
    return None


def _impossible_shard(shard: ShardInfo, channels: int) -> str | None:
    """The same of one shard; an empty one does not know its channels."""
    if not is_shard_of(shard.split, shard.name):
        return f"the shard {shard.name} of split {shard.split}"
    if not (_is_count(shard.samples, shard.tar_bytes) and _is_count(shard.tar_bytes, sys.maxsize)):
        return f"{shard.name} of {shard.samples} samples in {shard.tar_bytes} bytes"
    if shard.samples and not all(_are_counts(sums, channels) for sums in (shard.pixel_sum, shard.pixel_square_sum)):
        return f"the pixel sums of {shard.name}"
    return None


def _are_counts(values: list[int], number: int) -> bool:
    return len(values) == number and all(_is_count(value, sys.maxsize) for value in values)


def _is_count(value: object, most: int) -> bool:
    return type(value) is int and 0 <= value <= most


def info_sha256(folder: Path) -> str:
    """The SHA-256 of `dataset.json`: it stands for the whole variant, whose checksums it holds."""
    return sha256(folder / INFO_NAME)


def tar_path(folder: Path, name: str) -> Path:
    """Where shard `name` of the variant in `folder` lies."""
    return folder / f"{name}.tar"


def index_path(folder: Path, name: str) -> Path:
    """Where the DALI index of shard `name` lies."""
    return folder / f"{name}.idx"
