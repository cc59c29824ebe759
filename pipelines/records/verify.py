"""Reads a whole variant again and says what is wrong with it; or just refuses one whose bytes have changed."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Final

import polars as pl

from pipelines.errors import InputError
from pipelines.progress import Track, untracked
from pipelines.records.files import sha256
from pipelines.records.format import (
    INFO_NAME,
    DatasetInfo,
    ShardInfo,
    counts_of,
    index_path,
    read_info,
    tar_path,
)
from pipelines.records.manifest import AGAIN, MANIFEST_NAME, read_manifest
from pipelines.records.reader import ShardReader

HASHING_THREADS: Final = 4
_HASHED: Final[dict[tuple[Path, int, int], str]] = {}
"""The SHA-256 of files that were hashed in this process, by path, size and time."""


def refuse_damaged(
    folder: Path, info: DatasetInfo, split: str | None = None, *, full: bool = False, track: Track = untracked
) -> None:
    """Check the manifest and a split's shards and indexes by their checksums, before anything is read from them.

    A file of the same size and time is hashed once in a process, or every time if `full`; a split of 1.5 GB takes about
    a second. `split` None is all of them.

    Raises:
        InputError: one of them is not as it was written, or the manifest lists other samples, classes or counts than
            are stated; names it.
    """
    stated = [(folder / MANIFEST_NAME, info.manifest_sha256)]
    for shard in info.shards if split is None else info.split_shards(split):
        stated += _stated(folder, shard)
    title = f"Checking {info.dataset} {info.variant}"
    with ThreadPoolExecutor(HASHING_THREADS) as pool, track(title, total=len(stated), unit="files") as advance:
        sound = pool.map(lambda one: is_as_written(*one, full=full), stated)
        for (path, _), is_sound in zip(stated, sound, strict=True):
            advance(1)
            if not is_sound:
                raise InputError(f"{_not_as_written(path)}: fastfer verify says more; {AGAIN}")
    if (fault := _other_rows(folder, info, split)) is not None:
        raise InputError(f"{fault}: {AGAIN}")


def _other_rows(folder: Path, info: DatasetInfo, split: str | None = None) -> str | None:
    """Whether the manifest lists other samples than the shards are said to hold, labels of no class, other counts."""
    shards, labels, counts = _listed(folder, info.manifest_sha256, tuple(info.classes))
    if not labels <= set(range(len(info.classes))):
        return f"{folder / MANIFEST_NAME} lists labels that are not of the {len(info.classes)} classes"
    stated = {(shard.split, shard.name, shard.samples) for shard in info.shards if shard.samples}
    if differ := [place for place in stated ^ shards if split in (None, place[0])]:
        _, name, _ = min(differ)
        return f"{folder / MANIFEST_NAME} lists other samples of {name} than {INFO_NAME} states"
    if counts != info.counts:
        return f"{folder / MANIFEST_NAME} lists other numbers of samples by class than {INFO_NAME} states"
    return None


@lru_cache(maxsize=16)
def _listed(
    folder: Path, _manifest_sha256: str, classes: tuple[str, ...]
) -> tuple[set[tuple[str, str, int]], set[int], dict[str, dict[str, int]]]:
    """How many samples the manifest lists by split and shard, all their labels, and how many by split and class."""
    kept = read_manifest(folder).filter(pl.col("status") == "kept")
    shards = set(kept.group_by("split", "shard").len().iter_rows())
    return shards, set(kept["label"].unique()), counts_of(kept, classes)


def refuse_undecodable(folder: Path, info: DatasetInfo, split: str) -> None:
    """Decode a split's images until one fails: for when a decoder failed that does not say where.

    Raises:
        InputError: one of them cannot be decoded; names shard, sample and key.
    """
    for shard in info.split_shards(split):
        with ShardReader(folder, shard.name) as reader:
            for position in range(len(reader)):
                reader.decode(position, info)


def is_as_written(
    path: Path, digest: str, *, full: bool = False, advance: Callable[[int], None] = lambda _mib: None
) -> bool:
    """Whether the file is there and has this SHA-256; hashed once for each size and time, or every time if `full`."""
    try:
        state = path.stat()
        seen = path, state.st_size, state.st_mtime_ns
        if full or seen not in _HASHED:
            _HASHED[seen] = sha256(path, advance)
    except OSError:
        return False
    return digest == _HASHED[seen]


def _not_as_written(path: Path) -> str:
    return f"{path} is not as it was written ({'its checksum differs' if path.is_file() else 'it is not there'})"


def _stated(folder: Path, shard: ShardInfo) -> tuple[tuple[Path, str], tuple[Path, str]]:
    """A shard's two files with their checksums."""
    return (tar_path(folder, shard.name), shard.tar_sha256), (index_path(folder, shard.name), shard.index_sha256)


def find_faults(folder: Path, advance: Callable[[int], None] = lambda _samples: None) -> list[str]:
    """Every fault of the variant in `folder`, each a sentence that names the file; an empty list when it is sound.

    Checks checksums of manifest, shards and indexes; that every image decodes to the stated size; that keys, labels
    and rows are the manifest's; and the counts by split and class. `advance` is told of samples as they are read.
    """
    try:
        info = read_info(folder)
        if not is_as_written(folder / MANIFEST_NAME, info.manifest_sha256, full=True):
            return [_not_as_written(folder / MANIFEST_NAME)]
        kept = read_manifest(folder).filter(pl.col("status") == "kept")
    except InputError as error:
        return [str(error)]
    faults = [fault for shard in info.shards for fault in _shard_faults(folder, info, shard, kept, advance)]
    if (fault := _other_rows(folder, info)) is not None:
        faults.append(fault)
    return faults


def _shard_faults(
    folder: Path, info: DatasetInfo, shard: ShardInfo, kept: pl.DataFrame, advance: Callable[[int], None]
) -> Iterator[str]:
    for path, digest in _stated(folder, shard):
        if not is_as_written(path, digest, full=True):
            yield _not_as_written(path)
            return
    rows = kept.filter(pl.col("shard") == shard.name).sort("position")
    with ShardReader(folder, shard.name) as reader:
        stated = list(rows.select("key", "label", "row").iter_rows())
        found = []
        for position in range(len(reader)):
            try:
                sample = reader.read(position)
                found.append((sample.key, sample.label, sample.row))
                reader.decode(position, info)
            except InputError as error:
                yield str(error)
            advance(1)
        if found != stated:
            yield f"{shard.name} holds other keys, labels or rows than the manifest ({len(found)} and {len(stated)})"
