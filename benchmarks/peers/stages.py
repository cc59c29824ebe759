"""What the rivals on PyTorch's DataLoader have in common: OpenCV's decoding and augmentation, whole batches at once.

Each image goes straight into its place in the batch, and the batch lies in shared memory from the start: stacking
images and copying them to the main process would cost two more passes over the pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from benchmarks.peers.opencv import Image, Recipe, recipes, warp_into
from benchmarks.peers.protocol import Batch, Job, Mode, draw

Finish = Callable[[Image, NDArray[Any]], None]
"""Puts one decoded image (uint8 `H x W`) into its place in the batch, augmented or as it is."""
DRAWN_AHEAD: Final = 256


class Warped:
    """A `Finish` by OpenCV alone; its parameters come from the worker's own seed, many at a time."""

    def __init__(self) -> None:
        self._rng: np.random.Generator | None = None
        self._recipes: Iterator[Recipe] = iter(())

    def __call__(self, img_HW: Image, out_HW: NDArray[Any]) -> None:
        """Augment one image into its place in the batch."""
        recipe = next(self._recipes, None)
        if recipe is None:
            self._rng = self._rng or np.random.default_rng(torch.initial_seed())
            self._recipes = recipes(draw(self._rng, DRAWN_AHEAD), len(img_HW))
            recipe = next(self._recipes)
        warp_into(img_HW, recipe, out_HW)


def copied(img_HW: Image, out_HW: NDArray[Any]) -> None:
    """The `Finish` of mode decode."""
    out_HW[:] = img_HW


def finish_for(mode: Mode, augment: Callable[[], Finish]) -> Finish:
    """`augment()` in mode augment."""
    return copied if mode == "decode" else augment()


class Collate:
    """From samples (data, label) to a batch: uint8 in mode decode, float32 in 0..1 in mode augment."""

    def __init__(self, to_image: Callable[[Any], Image], finish: Finish) -> None:
        self._to_image, self._finish = to_image, finish
        self._dtype = torch.uint8 if finish is copied else torch.float32

    def __call__(self, samples: Sequence[tuple[Any, int]]) -> tuple[Tensor, Tensor]:
        """A batch of these samples."""
        images = [self._to_image(data) for data, _ in samples]
        img_B1HW = _batch_tensor((len(images), 1, *images[0].shape), self._dtype)
        for img_HW, out_1HW in zip(images, img_B1HW.numpy(), strict=True):
            self._finish(img_HW, out_1HW[0])
        return img_B1HW, torch.tensor([label for _, label in samples])


def _batch_tensor(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An empty tensor; in a DataLoader's worker in shared memory, as torch's own collate makes it."""
    if get_worker_info() is None:
        return torch.empty(shape, dtype=dtype)
    storage: Any = torch.UntypedStorage._new_shared(int(np.prod(shape)) * dtype.itemsize)  # type: ignore[no-untyped-call]
    made: Tensor = torch.empty(0, dtype=dtype).set_(storage).view(shape)
    return made


def loader_options(job: Job) -> dict[str, Any]:
    """How every DataLoader here is made: workers that stay, a few batches ahead, and for a GPU pinned memory."""
    return {
        "num_workers": job.workers,
        "pin_memory": job.device != "cpu",
        "persistent_workers": True,
        "prefetch_factor": 4,
        "worker_init_fn": _one_thread,
    }


def make_loader(dataset: Any, job: Job, **options: Any) -> "DataLoader[Any]":
    """A DataLoader over anything that has a length and items, or is walked through."""
    order: dict[str, Any] = {} if isinstance(dataset, IterableDataset) else {"shuffle": True}
    return DataLoader(dataset, batch_size=job.batch, **order, **loader_options(job), **options)


def _one_thread(_worker: int) -> None:
    cv2.setNumThreads(1)  # the workers are the parallelism


def epochs(loader: "DataLoader[Any]") -> Callable[[int], Iterator[Batch]]:
    """The epochs of a DataLoader that shuffles anew each time it is walked through."""
    return lambda _epoch: iter(loader)
