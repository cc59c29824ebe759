"""Whole split, decoded, where the batches are needed: in device memory, in pinned memory, or mapped from its file.

A batch is gathered by index into memory that is used again and again; no image is touched in Python, and nothing waits
for the device. The order is that of the reference loader.
"""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

import torch

from pipelines.buffers import upload
from pipelines.errors import InputError
from pipelines.loaders.base import Batch, Loader, LoaderState
from pipelines.loaders.cache import decoded_bytes, decoded_split
from pipelines.loaders.config import LoaderConfig
from pipelines.loaders.gather import Gather, gather_of
from pipelines.loaders.opening import ROOM
from pipelines.loaders.order import Share, epoch_order
from pipelines.probe import free_memory_bytes
from pipelines.progress import Track
from pipelines.records import DatasetInfo

ROOM_ON_DEVICE: Final = 0.5
"""Share of the free device memory that images may take: the network and its activations need the rest."""
STAGED_IMAGES: Final = 4096
"""Images copied to the device at once."""


class ResidentLoader(Loader):
    """Gathers batches from a decoded split. `place` says where that is: `device`, `pinned` or `mapped`."""

    def __init__(self, config: LoaderConfig, info: DatasetInfo, track: Track) -> None:
        super().__init__(config, info, Share.of(config, info))
        self._device = torch.device(config.device)
        size_bytes = decoded_bytes(info, config.split)
        self.place: Final = choose_place(config.place, self._device, size_bytes, config.world_size)
        decoded = decoded_split(config, info, track)
        self._label_N, self._row_N = decoded.label_N, decoded.row_N
        images = _placed(self.place, torch.from_numpy(decoded.img_NCHW), self._device)
        self._gather: Gather | None = gather_of(images, self._device, self.most_images)

    def __iter__(self) -> Iterator[Batch]:
        """As `Loader`, and as many iterations at once as one likes."""
        return self._epoch()

    def _epoch(self) -> Iterator[Batch]:
        """The epoch's order goes to the device once; each batch is then a few launches."""
        epoch, consumed, size = self._state.epoch, self._state.batches, self.config.batch
        if (gather := self._gather) is None:
            raise ValueError("the loader is closed")
        order = epoch_order(self.config, self._share, len(self._row_N), epoch)[consumed * size :]
        host_rows = self._row_N[order]
        labels, rows = (torch.split(upload(each, self._device), size) for each in (self._label_N[order], host_rows))
        at = upload(order, gather.places)
        images = chain.from_iterable(map(gather, torch.split(at, gather.at_once)))
        parts = zip(images, labels, rows, strict=True)
        for step, (img_BCHW, label_B, rows_B) in enumerate(parts if len(order) else ()):
            start, end = step * size, (step + 1) * size
            state = LoaderState(epoch, consumed + step + 1)
            yield Batch(img_BCHW, label_B, rows_B, host_rows[start:end], state, coming_N=host_rows[end:])

    def close(self) -> None:
        """Free what the loader holds."""
        self._gather = None


def _placed(place: str, img_NCHW: torch.Tensor, device: torch.device) -> torch.Tensor:
    try:
        return PLACES[place](img_NCHW, device)
    except RuntimeError as error:  # torch says so when memory runs out, on any device
        raise InputError(
            f"{img_NCHW.nbytes / 2**20:,.0f} MiB of images have no room in PLACE={place} "
            f"({str(error).splitlines()[0]}): take PLACE=mapped, or LOADER=dali"
        ) from None


def choose_place(asked: str, device: torch.device, size_bytes: int, processes: int = 1) -> str:
    """Where the images are held: as asked, else by the room that is measured.

    On a CPU device `mapped` is as fast as a copy, and processes share it; each has its own device and pinned memory.

    Raises:
        InputError: pinned memory is asked for without a GPU.
    """
    if device.type != "cuda":
        if asked == "pinned":
            raise InputError("PLACE=pinned is for a GPU, and there is none here: leave it away")
        return "mapped" if asked == "auto" else asked
    if asked != "auto":
        return asked
    if size_bytes <= ROOM_ON_DEVICE * torch.cuda.mem_get_info(device)[0]:
        return "device"
    pinned_bytes = processes * _pinned_block_bytes(size_bytes)
    return "pinned" if pinned_bytes <= ROOM * free_memory_bytes() else "mapped"


def _pinned_block_bytes(size_bytes: int) -> int:
    """What torch takes of pinned memory for so much: a power of two (its `CachingHostAllocator` rounds up)."""
    return 1 << max(0, size_bytes - 1).bit_length()


def _on_device(img_NCHW: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A copy on the device, made in parts so that the host needs no second one."""
    copy = torch.empty(img_NCHW.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(img_NCHW), STAGED_IMAGES):
        copy[start : start + STAGED_IMAGES].copy_(img_NCHW[start : start + STAGED_IMAGES])
    return copy


PLACES: Final[dict[str, Callable[[torch.Tensor, torch.device], torch.Tensor]]] = {
    "device": _on_device,
    "pinned": lambda img_NCHW, _device: img_NCHW.pin_memory(),
    "mapped": lambda img_NCHW, _device: img_NCHW,
}
