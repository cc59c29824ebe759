"""Memory of batches: on the host used again as soon as nobody holds it, and from there to the device without waiting.

Fresh pages for every batch cost as much as filling them. The caching allocators of torch see to that on a GPU and for
pinned memory; for plain host memory nobody does.
"""

import ctypes
import math
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

KEPT: Final = 8
"""Buffers kept for reuse; a consumer that holds more batches at once gets fresh memory for the others."""

CACHES: Final = Path("/sys/devices/system/cpu/cpu0/cache")
"""Where Linux tells of a processor's caches, in KiB: `307200K`."""

ALIGNMENT: Final = 64
"""Bytes of a cache line."""


class Buffers:
    """Tensors of one shape and type. A tensor, or any view of it, may be held as long as one likes."""

    def __init__(self, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
        self.shape = shape
        self._blocks = Blocks(shape, dtype, 1)

    def take(self) -> torch.Tensor:
        """A tensor with arbitrary contents that shares memory with no tensor that is still held."""
        (tensor,) = self._blocks.take().parts
        return tensor


class Lent(NamedTuple):
    """A block of memory: `whole`, to write to at once and not to keep; and `parts`, to be held as long as one likes."""

    whole: torch.Tensor
    parts: list[torch.Tensor]


class Blocks:
    """Tensors of one shape and type, several side by side, so that they are written as one.

    A block is written as rows of `word` (None: of its own type), one for each place of the first axis. All that can be
    made once for a block is: between copies that fill the caches, a call costs several times what it costs alone.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: type[np.generic], count: int, *, word: torch.dtype | None = None
    ) -> None:
        self._shape, self._dtype, self._word = (count, *shape), np.dtype(dtype), word
        self._blocks: list[tuple[torch.Tensor, list[NDArray[np.generic]]]] = []

    def take(self) -> Lent:
        """Arbitrary contents, in memory of which nothing is still held."""
        for whole, arrays in self._blocks:
            if _most_holders(arrays) == FREE:
                return Lent(whole, list(map(torch.from_numpy, arrays)))
        fresh = _aligned(self._shape, self._dtype)
        with torch.inference_mode(False):  # which what is kept shall outlive
            whole, arrays = torch.from_numpy(fresh).view(self._shape[0] * self._shape[1], -1), list(fresh)
            whole = whole if self._word is None else whole.view(self._word)
        if len(self._blocks) < KEPT:
            self._blocks.append((whole, arrays))
        return Lent(whole, list(map(torch.from_numpy, arrays)))


def _aligned(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """Memory that begins with a cache line; numpy's own begins 16 bytes into one, which makes copies a fifth slower."""
    size = math.prod(shape) * dtype.itemsize
    room = np.empty(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size].view(dtype).reshape(shape)


def _most_holders(arrays: list[NDArray[np.generic]]) -> int:
    """References to the array that has the most; a tensor of `from_numpy` holds one until its last view is gone."""
    return max(map(sys.getrefcount, arrays))


FREE: Final = _most_holders([np.empty(0)])
"""What `_most_holders` says of arrays that only their list holds; it differs between versions of Python."""


def last_cache_bytes() -> int:
    """The size of the processor's last cache, which its cores share; 0 where the system does not tell."""
    with suppress(OSError, ValueError):
        sizes = [path.read_text(encoding="ascii").strip() for path in CACHES.glob("index*/size")]
        return max((1024 * int(size.removesuffix("K")) for size in sizes), default=0)
    return 0


def give_back() -> None:
    """Let the C library return free memory to the system: glibc keeps what an epoch has freed, and the next takes more.

    In a study of 22 small runs it had kept 1.9 GiB at the end.
    """
    if (malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        malloc_trim(0)


def current_stream(device: torch.device) -> torch.cuda.Stream | None:
    """The CUDA stream that work on the device is put on now; None on a CPU, which has none."""
    return torch.cuda.current_stream(device) if device.type == "cuda" else None


def upload(array: NDArray[np.generic], device: torch.device) -> torch.Tensor:
    """A tensor of the array's values on the device; on a GPU by way of pinned memory, so that nobody waits.

    Copied by numpy: torch's `pin_memory` took many times as long between other work as alone, most likely as it wakes
    all its threads.
    """
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor
    pinned = torch.empty_like(tensor, pin_memory=True)
    np.copyto(pinned.numpy(), array)
    return pinned.to(device, non_blocking=True)
