"""The decoded cache: a split's images as one memory-mapped uint8 array, made of the shards on first use.

`<cache>/<SHA-256 of dataset.json>/<split>.u8` holds the pixels, `N x C x H x W` in stored order; `<split>.u8.json`,
written after it, its checksum. It can be deleted at any time. Labels and rows are the manifest's. `kept_in_cache` keeps
other files that are made of a split in the same way.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import InputError
from pipelines.loaders.config import LoaderConfig
from pipelines.progress import Track
from pipelines.records import (
    DatasetInfo,
    SplitReader,
    file_lock,
    info_sha256,
    is_as_written,
    read_info,
    read_labels,
    sha256,
    write_atomically,
)

PIXELS: Final = ".u8"
MIB: Final = 2**20
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


def room_bytes(cache: Path) -> int:
    """Free bytes on the disk of a cache, whether its folder is there or is to be made; 0 where neither can be."""
    above = next(path for path in (cache, *cache.absolute().parents) if path.exists())
    return shutil.disk_usage(above).free if above.is_dir() and os.access(above, os.W_OK) else 0


def kept_bytes(*configs: LoaderConfig) -> int:
    """What the decoded images of these records take in the cache already."""
    mine = [path for config in configs for path in cache_file(config, PIXELS).parent.glob(f"*{PIXELS}")]
    return sum(path.stat().st_size for path in mine)


def cache_file(config: LoaderConfig, suffix: str) -> Path:
    """Where what is made of the split is kept, or would be."""
    return config.cache / info_sha256(config.variant) / f"{config.split}{suffix}"


def kept_in_cache(
    config: LoaderConfig,
    info: DatasetInfo,
    suffix: str,
    *,
    need_bytes: int,
    is_exact: bool,
    write: Callable[[Path], object],
    track: Track,
) -> Path:
    """The file made of `config.split` with this suffix; `write` makes it where it is missing, damaged or half.

    Processes that come at the same time wait for the one that makes it. It takes `need_bytes`, or less if that is not
    exact.

    Raises:
        InputError: there is no room, the records are no longer those that `info` describes, or what `write` raises.
    """
    path = cache_file(config, suffix)

    def refuse_others() -> None:
        """What is kept by a checksum must be made of the records that have it."""
        if read_info(config.variant) != info or cache_file(config, suffix) != path:
            raise InputError(f"{config.variant} was made anew while it was opened: start again")

    def write_of_these(temporary: Path) -> None:
        write(temporary)
        refuse_others()

    refuse_others()
    is_whole = partial(_is_whole, path, need_bytes if is_exact else None, full=config.verify == "full", track=track)
    if is_whole():  # on a disk that cannot be written to, too
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(path.with_name(f"{path.name}.lock")):
            if not is_whole():
                _make(path, need_bytes, write_of_these, track)
    except OSError as error:
        raise InputError(
            f"what is made of {config.variant} cannot be kept in {path.parent} ({error.strerror}; "
            f"{need_bytes / MIB:,.0f} MiB are needed): choose another CACHE=, or LOADER=dali"
        ) from None
    return path


def decoded_split(config: LoaderConfig, info: DatasetInfo, track: Track) -> DecodedSplit:
    """Open the decoded images of `config.split`; decode the shards first if that has not been done.

    Raises:
        InputError: an image cannot be decoded, or as `kept_in_cache`.
    """
    shape = _shape(info, config.split)
    path = kept_in_cache(
        config,
        info,
        PIXELS,
        need_bytes=decoded_bytes(info, config.split),
        is_exact=True,
        write=lambda temporary: _decode_into(temporary, config, info, track),
        track=track,
    )
    img_NCHW = np.memmap(path, np.uint8, mode="c", shape=shape)  # a private map: torch takes no read-only memory
    return DecodedSplit(path, img_NCHW, *read_labels(config.variant, config.split))


def _shape(info: DatasetInfo, split: str) -> tuple[int, int, int, int]:
    return info.samples(split), info.channels, info.size_px, info.size_px


def _is_whole(path: Path, size_bytes: int | None, *, full: bool, track: Track) -> bool:
    """Whether it is what its statement says, and has its size, where that is known."""
    try:
        stated, found_bytes = json.loads(_statement(path).read_text(encoding="utf-8")), path.stat().st_size
        has_size = found_bytes == stated["bytes"] and size_bytes in {None, found_bytes}
        with _hashing(path.name, found_bytes, track) as advance:
            return has_size and is_as_written(path, stated["sha256"], full=full, advance=advance)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _statement(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _hashing(name: str, size_bytes: int, track: Track) -> AbstractContextManager[Callable[[int], None]]:
    return track(f"Checking {name} in the cache", total=-(-size_bytes // MIB), unit="MiB")


def _make(path: Path, need_bytes: int, write: Callable[[Path], object], track: Track) -> None:
    """Write into a hidden file, which gets its name when it is whole; then what it must be, beside it."""
    # A name of its own: the folder may have been deleted under a process that still writes, and its lock with it.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    left = path.parent.glob(f".{path.name}.*.tmp")  # by processes that were killed: whoever is here is alone
    try:
        for old in (*left, path):  # what is to be replaced takes room; who has it open keeps it
            old.unlink(missing_ok=True)
        if shutil.disk_usage(path.parent).free < need_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(temporary)
        size_bytes = temporary.stat().st_size
        with _hashing(path.name, size_bytes, track) as advance:
            stated = {"sha256": sha256(temporary, advance), "bytes": size_bytes}
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    write_atomically(_statement(path), json.dumps(stated).encode())


def _decode_into(path: Path, config: LoaderConfig, info: DatasetInfo, track: Track) -> None:
    with path.open("wb") as file:
        _decode_all(file.fileno(), config, info, track)
        os.fsync(file.fileno())


def _decode_all(file: int, config: LoaderConfig, info: DatasetInfo, track: Track) -> None:
    """Decode in threads (OpenCV lets Python go on) and write each part to its place."""
    title, total = f"Decoding {info.dataset} {info.variant} {config.split}", info.samples(config.split)
    with (
        track(title, total=total, unit="images") as advance,
        ThreadPoolExecutor(max(1, config.workers)) as pool,
    ):
        for done in pool.map(lambda part: part(), _parts(file, config, info)):  # cancels the others on a failure
            advance(done)


def _parts(file: int, config: LoaderConfig, info: DatasetInfo) -> Iterator[Callable[[], int]]:
    """Jobs of `DECODED_AT_ONCE` images; they return how many they wrote."""
    size = info.channels * info.size_px**2
    images = SplitReader(config.variant, info, config.split)
    for first in range(0, len(images), DECODED_AT_ONCE):

        def part(mine: range = range(first, min(first + DECODED_AT_ONCE, len(images)))) -> int:
            pixels = b"".join(images.decode(place).transpose(2, 0, 1).tobytes() for place in mine)
            written = 0
            while written < len(pixels):
                written += os.pwrite(file, memoryview(pixels)[written:], mine.start * size + written)
            return len(mine)

        yield part
