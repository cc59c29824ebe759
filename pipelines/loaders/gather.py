"""Batches gathered by index out of decoded images: on the device, on the way to it, or on the host.

A gather makes `at_once` images, as one batch or several, and has no word of Python for an image.
"""

import math
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
import torch

from pipelines.buffers import Blocks, last_cache_bytes

WORD: Final = torch.int64
"""What is gathered as one number where an image is a multiple of it: nearly twice as fast as byte by byte."""
MOST_BATCHES: Final = 4
"""Batches that one gather on the host makes at most.

Its threads wait for one another, and all that is called beside the copies is called, a fourth as often.
"""
BLOCKS_IN_TURN: Final = 2
"""Blocks of batches that are written in turn: the consumer still holds a batch of one."""
SHARE_OF_CACHE: Final = 0.5
"""Of the processor's last cache, that those blocks may take.

Four batches at once were faster than one on an Intel Xeon that tells of 300 MiB, and slower on an AMD EPYC.
"""


class Gather(Protocol):
    """From places (int64 `N`, on the device `places`) to batches of images (uint8 `B x C x H x W`)."""

    at_once: int
    places: torch.device

    def __call__(self, at_N: torch.Tensor) -> Sequence[torch.Tensor]:
        """The images at some places, `at_once` at most, in batches; only the last may be short."""


def gather_of(img_NCHW: torch.Tensor, device: torch.device, batch: int) -> Gather:
    """How images that lie where they do come to the device in batches."""
    if img_NCHW.device.type == device.type == "cpu":
        return OnHost(img_NCHW, batch)
    return OnDevice(img_NCHW, batch) if img_NCHW.is_cuda else ToDevice(img_NCHW, batch, device)


class OnDevice:
    """Images and batches on the same GPU; the allocator of torch gives the memory."""

    def __init__(self, img_NCHW: torch.Tensor, batch: int) -> None:
        self.at_once, self.places = batch, img_NCHW.device
        self._words, self._image = _as_words(img_NCHW), img_NCHW.shape[1:]

    def __call__(self, at_N: torch.Tensor) -> Sequence[torch.Tensor]:
        """One batch."""
        return (self._words.index_select(0, at_N).view(torch.uint8).view(-1, *self._image),)


class ToDevice:
    """Images on the host, batches on a GPU by way of pinned memory."""

    def __init__(self, img_NCHW: torch.Tensor, batch: int, device: torch.device) -> None:
        self.at_once, self.places = batch, img_NCHW.device
        self._words, self._image, self._device = _as_words(img_NCHW), img_NCHW.shape[1:], device

    def __call__(self, at_N: torch.Tensor) -> Sequence[torch.Tensor]:
        """One batch, on its way: nobody waits."""
        pinned = torch.empty((len(at_N), *self._image), dtype=torch.uint8, pin_memory=True)
        torch.index_select(self._words, 0, at_N, out=_as_words(pinned))
        return (pinned.to(self._device, non_blocking=True),)


class OnHost:
    """Images and batches on the host, in memory that is used again."""

    def __init__(self, img_NCHW: torch.Tensor, batch: int) -> None:
        image = img_NCHW.shape[1:]
        batches = batches_at_once(batch * math.prod(image), last_cache_bytes())
        self.at_once, self.places, self._batch = batch * batches, img_NCHW.device, batch
        self._words = _as_words(img_NCHW)
        self._blocks = Blocks((batch, *image), np.uint8, batches, word=self._words.dtype)

    def __call__(self, at_N: torch.Tensor) -> Sequence[torch.Tensor]:
        """As many batches as are asked for."""
        whole, parts = self._blocks.take()
        count = len(at_N)
        if count == self.at_once:
            torch.index_select(self._words, 0, at_N, out=whole)
            return parts
        torch.index_select(self._words, 0, at_N, out=whole[:count])
        return [part[: count - i * self._batch] for i, part in enumerate(parts[: -(-count // self._batch)])]


def batches_at_once(batch_bytes: int, cache_bytes: int) -> int:
    """How many batches of a size one gather makes: as many as a processor's last cache has room for, but at least 1."""
    room = SHARE_OF_CACHE * cache_bytes / BLOCKS_IN_TURN
    return max(1, min(MOST_BATCHES, int(room / batch_bytes)))


def _as_words(img_NCHW: torch.Tensor) -> torch.Tensor:
    """A view of images as rows of numbers, as large as they divide into."""
    rows = img_NCHW.view(len(img_NCHW), -1)
    return rows.view(WORD) if rows.shape[1] % WORD.itemsize == 0 else rows
