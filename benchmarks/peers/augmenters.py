"""Augmentation alone: decoded images in memory, batch after batch in stored order, through the same five operations.

Nothing is read or decoded, so each is the library's own speed in the same work. Batches are views of one array; where a
library works on a GPU, that array lies there.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.peers.opencv import decode
from benchmarks.peers.protocol import (
    BRIGHTNESS,
    CONTRAST,
    FLIP_PROBABILITY,
    ROTATION_DEGREES,
    SCALE,
    Batch,
    Contender,
    Job,
    raw_images,
    serve,
)

Pixels = NDArray[np.uint8]
Batches = Callable[[int], Iterator[Batch]]


def _views(pixels: Any, batch: int) -> Iterator[Any]:
    for first in range(0, len(pixels), batch):
        yield pixels[first : first + batch]


def with_kornia(job: Job, pixels: Pixels) -> Batches:
    """Kornia as its documentation writes it: float batches through a container of augmentations."""
    import kornia.augmentation as K

    torch.set_num_threads(job.workers)
    policy = K.AugmentationSequential(
        K.RandomHorizontalFlip(p=FLIP_PROBABILITY),
        K.RandomAffine(degrees=ROTATION_DEGREES, scale=SCALE, padding_mode="reflection", p=1.0),
        K.RandomContrast(contrast=CONTRAST, p=1.0),
        K.RandomBrightness(brightness=(1 + BRIGHTNESS[0], 1 + BRIGHTNESS[1]), p=1.0),  # kornia subtracts one
        data_keys=["input"],
    )
    img_NHW = torch.from_numpy(pixels).to(job.device)

    @torch.no_grad()
    def batches(_epoch: int) -> Iterator[Batch]:
        for img_BHW in torch.split(img_NHW, job.batch):
            yield policy(img_BHW.unsqueeze(1).float().div_(255)), None

    return batches


def with_torchvision(job: Job, pixels: Pixels) -> Batches:
    """Images one by one, since torchvision draws once for a batch, in the workers of a DataLoader."""
    from PIL import Image

    from benchmarks.peers.pytorch_pil import transform
    from benchmarks.peers.stages import epochs, make_loader

    augment = transform("augment")
    images = _Mapped(pixels, lambda img_HW: (augment(Image.fromarray(img_HW)), 0))
    return epochs(make_loader(images, job))


def with_albumentations(job: Job, pixels: Pixels) -> Batches:
    """One image at a time, in the workers of a DataLoader."""
    from benchmarks.peers.albumented import Albumented
    from benchmarks.peers.stages import Collate, epochs, make_loader

    images = _Mapped(pixels, lambda img_HW: (img_HW, 0))
    collate = Collate(lambda img_HW: img_HW, Albumented())
    return epochs(make_loader(images, job, collate_fn=collate))


def with_cv2(job: Job, pixels: Pixels) -> Batches:
    """OpenCV's warp and a table, in threads."""
    from benchmarks.peers.opencv import ThreadedWarp

    warp = ThreadedWarp(job.workers)
    return lambda _epoch: (
        (torch.from_numpy(warp(img_BHW)).unsqueeze(1), None) for img_BHW in _views(pixels, job.batch)
    )


def with_dali(job: Job, pixels: Pixels) -> Batches:
    """DALI, fed with batches from memory."""
    import nvidia.dali.fn as fn
    from nvidia.dali import pipeline_def
    from nvidia.dali.plugin.base_iterator import LastBatchPolicy
    from nvidia.dali.plugin.pytorch import DALIGenericIterator

    from benchmarks.peers.dali import augmented, device_id

    on_gpu = job.device != "cpu"
    img_NHWC = torch.from_numpy(pixels[..., None]).to(job.device) if on_gpu else pixels[..., None]

    @pipeline_def(device_id=device_id(job), batch_size=job.batch, num_threads=job.workers)  # type: ignore[untyped-decorator]
    def pipeline() -> Any:
        source = _Feed(img_NHWC, job.batch)
        device = "gpu" if on_gpu else "cpu"
        img_HWC = fn.external_source(source=source, batch=True, cycle="raise", layout="HWC", device=device)
        return augmented(img_HWC, pixels.shape[-1])

    iterator = DALIGenericIterator(
        pipeline(), ["images"], auto_reset=True, last_batch_policy=LastBatchPolicy.PARTIAL, prepare_first_batch=False
    )
    return lambda _epoch: ((outputs["images"], None) for (outputs,) in iterator)


class _Feed:
    """Batches for DALI, anew for each epoch."""

    def __init__(self, pixels: Pixels | torch.Tensor, batch: int) -> None:
        self._pixels, self._batch = pixels, batch

    def __iter__(self) -> Iterator[Any]:
        return _views(self._pixels, self._batch)


class _Mapped:
    """An array of images as a data set."""

    def __init__(self, pixels: Pixels, sample: Callable[[Pixels], tuple[Any, int]]) -> None:
        self._pixels, self._sample = pixels, sample

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, i: int) -> tuple[Any, int]:
        return self._sample(self._pixels[i])


AUGMENTERS: Final[dict[str, Callable[[Job, Pixels], Batches]]] = {
    "kornia": with_kornia,
    "torchvision": with_torchvision,
    "albumentations": with_albumentations,
    "cv2": with_cv2,
    "dali": with_dali,
}
LIBRARIES: Final = ("torch", "torchvision", "kornia", "albumentations", "opencv-python-headless", "nvidia-dali-cuda120")


def prepare(job: Job) -> Contender:
    """The library that the format names, over all images in memory.

    Raises:
        ValueError: mode decode, in which it would have nothing to do.
    """
    if job.mode != "augment":
        raise ValueError("an augmenter only runs in --mode augment")
    pixels = np.load(raw_images(job, decode) / "images.npy")
    return Contender(batches=AUGMENTERS[job.format](job, pixels))


if __name__ == "__main__":
    serve(prepare, formats=tuple(AUGMENTERS), libraries=LIBRARIES)
