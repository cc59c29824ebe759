"""Reads a whole variant again and says what is wrong with it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from pipelines.errors import InputError
from pipelines.records.format import (
    MANIFEST_NAME,
    DatasetInfo,
    ShardInfo,
    index_path,
    read_info,
    read_manifest,
    sha256,
    tar_path,
)
from pipelines.records.jpeg import decode_jpeg
from pipelines.records.reader import ShardReader


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
    for path, digest in (
        (tar_path(folder, shard.name), shard.tar_sha256),
        (index_path(folder, shard.name), shard.index_sha256),
    ):
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
