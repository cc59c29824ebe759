"""Reads samples of one shard, or of all shards of a split, at random, through their indexes, from memory maps."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import InputError
from pipelines.records.format import KEY, MEMBERS, DatasetInfo, Sample, index_path, tar_path
from pipelines.records.jpeg import decode_jpeg
from pipelines.records.manifest import AGAIN
from pipelines.records.places import is_local
from pipelines.records.writer import INDEX_HEADER

Spans = dict[str, NDArray[np.int64]]
LONGEST_LINE: Final = 1024
"""Letters in a line of an index; ours have up to 500."""


def read_index(path: Path) -> Spans:
    """Where the members of the samples of a DALI index lie.

    Returns:
        `{extension: int64 [samples, 2]}`: offset and size in bytes.

    Raises:
        InputError: the file is not such an index.
    """
    try:
        head, *lines = path.read_text(encoding="ascii").splitlines()
        version, count = head.split()
        if max(map(len, lines), default=0) > LONGEST_LINE:  # numpy would give each field the room of the longest
            raise ValueError(f"a line of more than {LONGEST_LINE} letters")
        fields = np.array([line.split(" ") for line in lines], dtype=str).reshape(-1, len(MEMBERS), 4)
        spans = fields[:, :, 1:3].astype(np.int64)
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(f"{path} is not a DALI index ({error}): {AGAIN}") from None
    if version != INDEX_HEADER or count != str(len(spans)) or (fields[:, :, 0] != MEMBERS).any() or (spans < 0).any():
        raise InputError(f"{path} does not list {count} samples of {', '.join(MEMBERS)}: {AGAIN}")
    return {extension: np.ascontiguousarray(spans[:, i]) for i, extension in enumerate(MEMBERS)}


def _mapped(path: Path) -> NDArray[np.uint8]:
    """The file's bytes: a memory map, or in memory if it lies in an object store."""
    if not is_local(path):
        return np.frombuffer(path.read_bytes(), np.uint8)
    return np.asarray(np.memmap(path, np.uint8, mode="r"))  # of which a part is made in an eighth of a memmap's time


class ShardReader:
    """One open shard: `len`, `read(i)`, iteration in stored order. Holds a memory map until closed."""

    def __init__(self, folder: Path, name: str) -> None:
        self._origin = (folder, name)
        self.spans = read_index(index_path(folder, name))
        try:
            self.mapped = _mapped(self._tar)
        except (OSError, ValueError) as error:  # an empty file cannot be mapped
            raise InputError(f"{self._tar} cannot be read ({error}): {AGAIN}") from None

    def __reduce__(self) -> tuple[type[Self], tuple[Path, str]]:
        """A copy in another process maps the file again instead of carrying its bytes."""
        return type(self), self._origin

    def __len__(self) -> int:
        return len(self.spans["jpg"])

    def __iter__(self) -> Iterator[Sample]:
        return (self.read(i) for i in range(len(self)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop the memory map."""
        self.mapped = np.empty(0, np.uint8)  # the last reference goes, and the map with it

    def member(self, position: int, extension: str) -> bytes:
        """The bytes of one member of the sample at `position`."""
        offset, size = self.spans[extension][position]
        return self.mapped[offset : offset + size].tobytes()

    def decode(self, position: int, info: DatasetInfo) -> NDArray[np.uint8]:
        """The image of the sample at `position`, uint8 `H x W x C` as `info` states it.

        Raises:
            InputError: it cannot be decoded, or has another shape; names shard, sample and key.
        """
        expected = (info.size_px, info.size_px, info.channels)
        try:
            img_HWC = np.atleast_3d(decode_jpeg(self.member(position, "jpg")))
            if img_HWC.shape == expected:
                return img_HWC
            fault = f"an image of {img_HWC.shape} where {expected} is stated"
        except ValueError as error:
            fault = str(error)
        raise InputError(f"{self._tar}, sample {position} ({self.read(position).key}): {fault}; {AGAIN}")

    def read(self, position: int) -> Sample:
        """The whole sample at `position` (0 is the first of the shard).

        Raises:
            InputError: it is not as a writer writes it; names shard and sample.
        """
        try:
            meta = json.loads(self.member(position, "json"))
            if not KEY.fullmatch(key := meta.pop("key")):
                raise ValueError(f"the key {key!r} is not a plain name")
            label = int(self.member(position, "cls"))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(f"{self._tar}, sample {position} is damaged ({error}): {AGAIN}") from None
        return Sample(
            key=key,
            jpeg=self.member(position, "jpg"),
            label=label,
            row=int.from_bytes(self.member(position, "row"), "little", signed=True),
            meta=meta,
        )

    @property
    def _tar(self) -> Path:
        folder, name = self._origin
        return tar_path(folder, name)


class SplitReader:
    """All samples of one split by their places in stored order: `len`, `read(i)`, `decode(i)`, `jpegs`."""

    def __init__(self, folder: Path, info: DatasetInfo, split: str) -> None:
        self._origin = (folder, info, split)
        self._info = info
        self._shards = [ShardReader(folder, shard.name) for shard in info.split_shards(split)]
        sizes = [len(shard) for shard in self._shards]
        for shard, size in zip(info.split_shards(split), sizes, strict=True):
            if size != shard.samples:
                index = index_path(folder, shard.name)
                raise InputError(f"{index} lists {size} samples, not {shard.samples}: {AGAIN}")
        self._shard_N = np.repeat(np.arange(len(sizes)), sizes)
        self._first_S = np.cumsum([0, *sizes])
        self._span_N2 = np.concatenate([shard.spans["jpg"] for shard in self._shards] or [np.empty((0, 2), np.int64)])

    def __reduce__(self) -> tuple[type[Self], tuple[Path, DatasetInfo, str]]:
        """A copy in another process maps the files again."""
        return type(self), self._origin

    def __len__(self) -> int:
        return len(self._shard_N)

    def close(self) -> None:
        """Drop the memory maps."""
        for shard in self._shards:
            shard.close()

    def jpegs(self, place_n: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        """The encoded images at these places, where they lie in the maps: valid until closed."""
        maps = [shard.mapped for shard in self._shards]
        start_n, size_n = self._span_N2[place_n].T
        ends = zip(self._shard_N[place_n].tolist(), start_n.tolist(), (start_n + size_n).tolist(), strict=True)
        return [maps[shard][start:stop] for shard, start, stop in ends]

    def read(self, place: int) -> Sample:
        """The whole sample at this place."""
        shard, position = self._at(place)
        return shard.read(position)

    def decode(self, place: int) -> NDArray[np.uint8]:
        """The image at this place, as `ShardReader.decode` gives it.

        Raises:
            InputError: as there.
        """
        shard, position = self._at(place)
        return shard.decode(position, self._info)

    def _at(self, place: int) -> tuple[ShardReader, int]:
        shard = int(self._shard_N[place])
        return self._shards[shard], int(place - self._first_S[shard])
