"""Reads samples of one shard at random, through its index, from a memory map."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import InputError
from pipelines.records.format import MEMBERS, DatasetInfo, Sample, index_path, tar_path
from pipelines.records.jpeg import decode_jpeg
from pipelines.records.places import is_local
from pipelines.records.writer import INDEX_HEADER

Spans = dict[str, tuple[int, int]]


def read_index(path: Path) -> list[Spans]:
    """The members of each sample of a DALI index, as `{extension: (offset, size)}` in bytes.

    Raises:
        InputError: the file is not such an index.
    """
    try:
        head, *lines = path.read_text(encoding="ascii").splitlines()
        version, count = head.split()
        spans = [_spans(line.split(" ")) for line in lines]
    except (ValueError, OSError) as error:
        raise InputError(f"{path} is not a DALI index ({error}): make the records again") from None
    if version != INDEX_HEADER or int(count) != len(spans) or any(tuple(span) != MEMBERS for span in spans):
        raise InputError(f"{path} does not list {count} samples of {', '.join(MEMBERS)}: make the records again")
    return spans


def _spans(fields: list[str]) -> Spans:
    return {fields[i]: (int(fields[i + 1]), int(fields[i + 2])) for i in range(0, len(fields), 4)}


def _mapped(path: Path) -> NDArray[np.uint8]:
    """The file's bytes: a memory map, or in memory if it lies in an object store."""
    return np.memmap(path, np.uint8, mode="r") if is_local(path) else np.frombuffer(path.read_bytes(), np.uint8)


class ShardReader:
    """One open shard: `len`, `read(i)`, iteration in stored order. Holds a memory map until closed."""

    def __init__(self, folder: Path, name: str) -> None:
        self._origin = (folder, name)
        self.spans = read_index(index_path(folder, name))
        self._bytes = _mapped(tar_path(folder, name))

    def __reduce__(self) -> tuple[type[Self], tuple[Path, str]]:
        """A copy in another process maps the file again instead of carrying its bytes."""
        return type(self), self._origin

    def __len__(self) -> int:
        return len(self.spans)

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
        self._bytes = np.empty(0, np.uint8)  # the last reference goes, and the map with it

    def member(self, position: int, extension: str) -> bytes:
        """The bytes of one member of the sample at `position`."""
        offset, size = self.spans[position][extension]
        return self._bytes[offset : offset + size].tobytes()

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
        folder, name = self._origin
        raise InputError(f"{tar_path(folder, name)}, sample {position} ({self.read(position).key}): {fault}")

    def read(self, position: int) -> Sample:
        """The whole sample at `position` (0 is the first of the shard)."""
        meta = json.loads(self.member(position, "json"))
        return Sample(
            key=meta.pop("key"),
            jpeg=self.member(position, "jpg"),
            label=int(self.member(position, "cls")),
            row=int.from_bytes(self.member(position, "row"), "little", signed=True),
            meta=meta,
        )
