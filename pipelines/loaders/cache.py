"""The decoded cache: a split's images as one memory-mapped uint8 array, made of the shards on first use.

`<cache>/<SHA-256 of dataset.json>/<split>.u8` holds the pixels, `N x C x H x W` in stored order, and `<split>.json`,
written after it, their shape and checksum. It can be deleted at any time. Labels and rows are the manifest's.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipelines.errors import InputError
from pipelines.loaders.base import LoaderConfig
from pipelines.progress import Track
from pipelines.records import (
    DatasetInfo,
    ShardReader,
    info_sha256,
    is_as_written,
    read_manifest,
    sha256,
    write_atomically,
)

DECODED_AT_ONCE: Final = 64
"""Images that a thread decodes before it writes them: 3 MiB at 224 px."""


@dataclass(frozen=True, slots=True)
class DecodedSplit:
    """A split in stored order: images uint8 `N x C x H x W` (a private memory map), labels and rows int64 `N`."""

    path: Path
    img_NCHW: NDArray[np.uint8]
    label_N: NDArray[np.int64]
    row_N: NDArray[np.int64]


def decoded_bytes(info: DatasetInfo, split: str) -> int:
    """The size of a split's decoded images."""
    return int(np.prod(_shape(info, split)))


def room_bytes(config: LoaderConfig) -> int:
    """Free bytes on the disk of the cache, with what the cache of these records takes already."""
    folder = next(path for path in (config.cache, *config.cache.absolute().parents) if path.is_dir())
    mine = cache_file(config).parent
    return shutil.disk_usage(folder).free + sum(path.stat().st_size for path in mine.glob("*.u8"))


def cache_file(config: LoaderConfig) -> Path:
    """Where the split's pixels are, or would be."""
    return config.cache / info_sha256(config.variant) / f"{config.split}.u8"


def decoded_split(config: LoaderConfig, info: DatasetInfo, track: Track) -> DecodedSplit:
    """Open the decoded images of `config.split`; decode the shards first if that has not been done.

    Processes that come at the same time wait for the one that decodes.

    Raises:
        InputError: an image cannot be decoded, or there is no room.
    """
    path, shape = cache_file(config), _shape(info, config.split)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.with_suffix(".lock")):
            if not _is_whole(path, shape, full=config.verify == "full"):
                _build(path, shape, config, info, track)
    except OSError as error:
        raise InputError(
            f"the decoded images of {config.variant} cannot be kept in {path.parent} ({error.strerror}; "
            f"{np.prod(shape) / 2**20:,.0f} MiB are needed): choose another CACHE=, or LOADER=dali"
        ) from None
    rows = read_manifest(config.variant).filter(pl.col("split") == config.split, pl.col("status") == "kept")
    rows = rows.sort("shard", "position")
    return DecodedSplit(
        path,
        np.memmap(path, np.uint8, mode="c", shape=shape),  # a private map: torch takes no read-only memory
        rows["label"].cast(pl.Int64).to_numpy(writable=True),
        rows["row"].cast(pl.Int64).to_numpy(writable=True),
    )


def _shape(info: DatasetInfo, split: str) -> tuple[int, int, int, int]:
    samples = sum(shard.samples for shard in info.split_shards(split))
    return samples, info.channels, info.size_px, info.size_px


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock that ends with the process, however it ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_whole(path: Path, shape: tuple[int, ...], *, full: bool) -> bool:
    try:
        stated = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        right = stated["shape"] == list(shape) and path.stat().st_size == np.prod(shape)
        return right and is_as_written(path, stated["sha256"], full=full)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _build(path: Path, shape: tuple[int, ...], config: LoaderConfig, info: DatasetInfo, track: Track) -> None:
    """Decode all shards into a hidden file, which gets its name when it is whole."""
    temporary = path.with_name(f".{path.name}.tmp")  # one name: whoever is here is alone
    try:
        if shutil.disk_usage(path.parent).free < np.prod(shape):
            raise OSError(28, "No space left on device")
        with temporary.open("wb") as file:
            _decode_all(file.fileno(), config, info, track)
            os.fsync(file.fileno())
        digest = sha256(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    stated: dict[str, Any] = {"shape": shape, "sha256": digest, "records": info_sha256(config.variant)}
    write_atomically(path.with_suffix(".json"), json.dumps(stated).encode())


def _decode_all(file: int, config: LoaderConfig, info: DatasetInfo, track: Track) -> None:
    """Decode in threads (OpenCV lets Python go on) and write each part to its place."""
    total = sum(shard.samples for shard in info.split_shards(config.split))
    with (
        track(f"Decoding {info.dataset} {info.variant} {config.split}", total=total, unit="images") as advance,
        ThreadPoolExecutor(max(1, config.workers)) as pool,
    ):
        try:
            for done in pool.map(lambda part: part(), _parts(file, config, info)):
                advance(done)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _parts(file: int, config: LoaderConfig, info: DatasetInfo) -> Iterator[Callable[[], int]]:
    """Jobs of `DECODED_AT_ONCE` images, each of one shard; they return how many they wrote."""
    size = info.channels * info.size_px**2
    first = 0
    for shard in info.split_shards(config.split):
        reader = ShardReader(config.variant, shard.name)
        positions = iter(range(len(reader)))
        while mine := list(islice(positions, DECODED_AT_ONCE)):

            def part(reader: ShardReader = reader, mine: list[int] = mine, at: int = first) -> int:
                pixels = b"".join(reader.decode(position, info).transpose(2, 0, 1).tobytes() for position in mine)
                written = 0
                while written < len(pixels):
                    written += os.pwrite(file, memoryview(pixels)[written:], at * size + written)
                return len(mine)

            yield part
            first += len(mine)
