"""Reads a whole variant again and says what is wrong with it; or just refuses one whose bytes have changed."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Final

import polars as pl

from pipelines.errors import InputError
from pipelines.records.format import (
    MANIFEST_NAME,
    DatasetInfo,
    ShardInfo,
    index_path,
    read_info,
    read_manifest,
    tar_path,
)
from pipelines.records.jpeg import decode_jpeg
from pipelines.records.places import sha256
from pipelines.records.reader import ShardReader

HASHING_THREADS: Final = 4


def refuse_damaged(folder: Path, info: DatasetInfo, split: str) -> None:
    """Check the manifest and a split's shards and indexes by their checksums, before anything is read from them.

    A file of the same size and time is hashed once in a process; a split of 1.5 GB takes about a second.

    Raises:
        InputError: one of them is not as it was written; names it.
    """
    stated = [(folder / MANIFEST_NAME, info.manifest_sha256)]
    for shard in info.split_shards(split):
        stated += _stated(folder, shard)
    with ThreadPoolExecutor(HASHING_THREADS) as pool:
        for (path, digest), found in zip(
            stated, pool.map(_remembered_sha256, (path for path, _ in stated)), strict=True
        ):
            if found != digest:
                raise InputError(
                    f"{path} is not as it was written (its checksum differs): fastfer verify says more; remove the "
                    "folder and make the records again"
                )


def _remembered_sha256(path: Path) -> str | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return _sha256_of(path, state.st_size, state.st_mtime_ns)


@cache
def _sha256_of(path: Path, _size: int, _mtime_ns: int) -> str:
    return sha256(path)


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
    except InputError as error:
        return [str(error)]
    if sha256(folder / MANIFEST_NAME) != info.manifest_sha256:
        return [f"{folder / MANIFEST_NAME} was changed after the records were made"]
    kept = read_manifest(folder).filter(pl.col("status") == "kept")
    faults = [fault for shard in info.shards for fault in _shard_faults(folder, info, shard, kept, advance)]
    if (stored := sum(shard.samples for shard in info.shards)) != len(kept):
        faults.append(f"{folder} holds {stored} samples, its manifest {len(kept)}")
    return faults


def _shard_faults(
    folder: Path, info: DatasetInfo, shard: ShardInfo, kept: pl.DataFrame, advance: Callable[[int], None]
) -> Iterator[str]:
    for path, digest in _stated(folder, shard):
        if sha256(path) != digest:
            yield f"{path} is not as it was written (its checksum differs)"
            return
    rows = kept.filter(pl.col("shard") == shard.name).sort("position")
    shape = (info.size_px, info.size_px) if info.channels == 1 else (info.size_px, info.size_px, info.channels)
    with ShardReader(folder, shard.name) as reader:
        stated = list(rows.select("key", "label", "row").iter_rows())
        if (found := [(sample.key, sample.label, sample.row) for sample in reader]) != stated:
            yield f"{shard.name} holds other keys, labels or rows than the manifest ({len(found)} and {len(stated)})"
        for position in range(len(reader)):
            img = decode_jpeg(reader.member(position, "jpg"))
            if img.shape != shape:
                yield f"{shard.name}, sample {position}: an image of {img.shape} where {shape} is stated"
            advance(1)
