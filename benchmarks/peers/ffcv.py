"""FFCV over its own file: decoded gray pixels (raw), or JPEG of three equal channels: its image field takes no gray."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from ffcv.fields import IntField, NDArrayField, RGBImageField
from ffcv.fields.decoders import IntDecoder, NDArrayDecoder, SimpleRGBImageDecoder
from ffcv.loader import Loader, OrderOption
from ffcv.transforms import ToTensor
from ffcv.writer import DatasetWriter
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

from benchmarks.peers.opencv import ThreadedWarp, decode
from benchmarks.peers.protocol import Batch, Contender, Job, Records, converted, draw, read_records, serve

BETON: Final = "data.beton"
JPEG_QUALITY: Final = 95


@dataclass(frozen=True, slots=True)
class Format:
    """How an image is stored, read, and brought to `B x 1 x H x W`."""

    field: Callable[[int], Any]
    stored: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
    decoder: Callable[[], Any]
    to_gray: Callable[[Tensor], Tensor]


def one_channel(img_HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`1 x H x W`."""
    return img_HW[None]


def three_channels(img_HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`H x W x 3`, all equal: its JPEG is hardly larger than the gray one."""
    return np.repeat(img_HW[..., None], 3, axis=2)


def as_it_is(img_B1HW: Tensor) -> Tensor:
    """What raw pixels need."""
    return img_B1HW


def first_channel(img_BHWC: Tensor) -> Tensor:
    """One of three equal channels, as `B x 1 x H x W`."""
    return img_BHWC[..., 0].unsqueeze(1).contiguous()


FORMATS: Final = {
    "raw": Format(
        lambda size_px: NDArrayField(np.dtype(np.uint8), (1, size_px, size_px)), one_channel, NDArrayDecoder, as_it_is
    ),
    "jpeg": Format(
        lambda _size_px: RGBImageField(write_mode="jpg", jpeg_quality=JPEG_QUALITY),
        three_channels,
        SimpleRGBImageDecoder,
        first_channel,
    ),
}


class Stored:
    """What FFCV's writer asks for: (image, label) by number."""

    def __init__(self, records: Records, stored: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> None:
        self._records, self._stored = records, stored
        self._views = records.views()

    def __len__(self) -> int:
        return len(self._views)

    def __getitem__(self, i: int) -> tuple[NDArray[np.uint8], int]:
        return self._stored(decode(self._views[i])), int(self._records.labels[i])


def _write(job: Job, stored: str, folder: Path) -> None:
    records, how = read_records(job), FORMATS[stored]
    fields = {"image": how.field(records.size_px), "label": IntField()}
    writer = DatasetWriter(str(folder / BETON), fields, num_workers=1)
    writer.from_indexed_dataset(Stored(records, how.stored), shuffle_indices=False)


class TorchWarp:
    """The augmentation of a whole batch: one grid, one sampling, gain and shift in place."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self._rng = np.random.default_rng()

    def __call__(self, img_BCHW: Tensor) -> Tensor:
        """From uint8 to float32 in 0..1."""
        draws = draw(self._rng, len(img_BCHW))
        theta_B23 = pad(torch.from_numpy(draws.linear()).float(), (0, 1))
        grid = affine_grid(theta_B23, list(img_BCHW.shape), align_corners=False)
        warped = grid_sample(img_BCHW.float(), grid, padding_mode="reflection", align_corners=False)
        contrast, brightness = (
            torch.from_numpy(values).float()[:, None, None, None] for values in (draws.contrast / 255, draws.brightness)
        )
        return warped.mul_(contrast).add_(brightness).clamp_(0, 1)


class OpenCVWarp:
    """The same by OpenCV, image by image in threads."""

    def __init__(self, threads: int) -> None:
        self._warp = ThreadedWarp(threads)

    def __call__(self, img_BCHW: Tensor) -> Tensor:
        """From uint8 to float32 in 0..1."""
        return torch.from_numpy(self._warp(img_BCHW[:, 0].numpy())).unsqueeze(1)


WARPS: Final[dict[str, Callable[[int], Callable[[Tensor], Tensor]]]] = {"torch": TorchWarp, "opencv": OpenCVWarp}
VARIANTS: Final = {"raw": ("raw", "torch"), "raw+opencv": ("raw", "opencv"), "jpeg": ("jpeg", "torch")}
"""How it is stored, and with what a batch is augmented: FFCV has no operation for it, so users bring their own."""


def _batches(loader: Any, finish: Callable[[Tensor], Tensor], to_gray: Callable[[Tensor], Tensor]) -> Iterator[Batch]:
    for images, labels in loader:
        yield finish(to_gray(images)), labels


def prepare(job: Job) -> Contender:
    """The loader, in a full shuffle from the page cache."""
    stored, warp = VARIANTS[job.format]
    folder = converted(job, f"ffcv-{stored}", partial(_write, job, stored))
    how = FORMATS[stored]
    loader = Loader(
        str(folder / BETON),
        batch_size=job.batch,
        num_workers=job.workers,
        os_cache=True,
        order=OrderOption.RANDOM,
        drop_last=False,
        pipelines={"image": [how.decoder(), ToTensor()], "label": [IntDecoder(), ToTensor()]},
    )
    finish = as_it_is if job.mode == "decode" else WARPS[warp](job.workers)
    return Contender(batches=lambda _epoch: _batches(loader, finish, how.to_gray))


if __name__ == "__main__":
    serve(prepare, formats=tuple(VARIANTS), libraries=("ffcv", "torch", "numba", "opencv-python-headless"))
