"""Memory of batches: on the host used again as soon as nobody holds it, and from there to the device without waiting.

Fresh pages for every batch cost as much as filling them. The caching allocators of torch see to that on a GPU and for
pinned memory; for plain host memory nobody does.
"""

import ctypes
import math
import sys
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

KEPT: Final = 8
"""Buffers kept for reuse; a consumer that holds more batches at once gets fresh memory for the others."""

ALIGNMENT: Final = 64
"""Bytes of a cache line."""


class Buffers:
    """Tensors of one shape and type. A tensor, or any view of it, may be held as long as one likes."""

    def __init__(self, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
        self.shape, self._dtype = shape, dtype
        self._arrays: list[NDArray[np.generic]] = []

    def take(self) -> torch.Tensor:
        """A tensor with arbitrary contents that shares memory with no tensor that is still held."""
        for i in range(len(self._arrays)):
            if _holders(self._arrays, i) == FREE:
                return torch.from_numpy(self._arrays[i])
        fresh = _aligned(self.shape, np.dtype(self._dtype))
        if len(self._arrays) < KEPT:
            self._arrays.append(fresh)
        return torch.from_numpy(fresh)


def _aligned(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """Memory that begins with a cache line; numpy's own begins 16 bytes into one, which makes copies a fifth slower."""
    size = math.prod(shape) * dtype.itemsize
    room = np.empty(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size].view(dtype).reshape(shape)


def _holders(arrays: list[NDArray[np.generic]], i: int) -> int:
    """References to an array; a tensor made of it by `from_numpy` holds one until its last view is gone."""
    return sys.getrefcount(arrays[i])


FREE: Final = _holders([np.empty(0)], 0)
"""What `_holders` says of an array that only its list holds; it differs between versions of Python."""


def give_back() -> None:
    """Let the C library return free memory to the system: glibc keeps what an epoch has freed, and the next takes more.

    In a study of 22 small runs it had kept 1.9 GiB at the end.
    """
    if (malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        malloc_trim(0)


def upload(array: NDArray[np.generic], device: torch.device) -> torch.Tensor:
    """A tensor of the array's values on the device; on a GPU by way of pinned memory, so that nobody waits."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
