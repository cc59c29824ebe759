"""What is to be done to the images of a batch, on their device: made for many batches at once.

What Python and numpy take for a batch hardly grows with it, and on a GPU all goes there in two transfers.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Final, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.augment.draws import Drawn
from pipelines.augment.geometry import MOVES, sampling_matrices
from pipelines.augment.passes import Step
from pipelines.buffers import upload

TONE: Final = "brightness_contrast"
"""The operation that a warp does in its own pass where it follows: a shift and a gain, then clipped."""
LEAST: Final = 2
"""Images of a step where plans are alike: a compiler makes other code for none and for one."""


class Geometry(Protocol):
    """Makes what warps images of the places that they are to be sampled at."""

    def matrices(self, sampling_N33: NDArray[np.float64], height_px: int, width_px: int) -> NDArray[np.float64]:
        """What `prepared` takes, made on the host of what `sampling_matrices` gives."""

    def prepared(self, matrix_NK3: Tensor, tone_2N: Tensor, height_px: int) -> tuple[Tensor, ...]:
        """What the warp takes: tensors with a row for each image, whatever batches these come in.

        Args:
            matrix_NK3: float32, of `matrices`, on the images' device.
            tone_2N: float32, a gain and a shift (in 0..1) for each image, after which it is clipped; 1 and 0: as it is.
            height_px: of the images.
        """


class Part(NamedTuple):
    """A step on a batch: its parameters, and the places of the images that drew it (int64, ascending)."""

    step: Step
    params: Tensor
    index_n: Tensor


class Plan(NamedTuple):
    """What a batch is to meet: what its warper takes (None: there is no geometry), then the steps."""

    warp: tuple[Tensor, ...] | None
    parts: list[Part]


def plans(
    drawn: Sequence[Drawn],
    images: int,
    like_BCHW: Tensor,
    warper: Geometry | None,
    steps: Sequence[Step],
    *,
    alike: bool = False,
) -> Iterator[Plan]:
    """The plan of one batch after another.

    Args:
        drawn: for the images of all batches.
        images: of all batches, each of which has its full size.
        like_BCHW: a batch.
        warper: does the geometry; None where there is none.
        steps: those there are; a plan has the ones that act on an image of its batch.
        alike: all plans have a warp and all steps, whoever drew them. A single operation's parameters then begin with
            1, and it has at least two images: its only one twice, or the first two times with parameters of 0.
    """
    batch, _, height_px, width_px = like_BCHW.shape
    by_name = {one.operation.name: one for one in drawn}
    geometry = [by_name.pop(name) for name in list(by_name) if name in MOVES]
    warps = warper if geometry or alike else None
    tone = by_name.pop(TONE) if warps is not None and next(iter(by_name), None) == TONE else None
    floats = []
    if warps is not None:
        sampling_N33 = sampling_matrices(geometry, images, height_px, width_px)
        floats = [warps.matrices(sampling_N33, height_px, width_px), _tones(tone, images)]
    steps = [step for step in steps if alike or any(operation.name in by_name for operation in step.operations)]
    of_steps = [(step.takers(by_name), step.params(by_name, images)) for step in steps]
    if alike:
        of_steps = [
            each if step.is_pass else _at_least_two(*each, images, batch)
            for step, each in zip(steps, of_steps, strict=True)
        ]
    indices, params = [index_n for index_n, _ in of_steps], [params for _, params in of_steps]
    on_device = _transferred([*floats, *params], np.float32, like_BCHW.device)
    places = _transferred([index_n % batch for index_n in indices], np.int64, like_BCHW.device)
    of_batches: Iterable[tuple[Tensor, ...] | None] = repeat(None, images // batch)
    if warps is not None:
        matrix_NK3, tone_2N, *on_device = on_device
        prepared = warps.prepared(matrix_NK3, tone_2N, height_px)
        of_batches = zip(*(torch.split(each, batch) for each in prepared), strict=True)
    counts = [np.bincount(index_n // batch, minlength=images // batch).tolist() for index_n in indices]
    parts = [_parts(*each, batch) for each in zip(steps, on_device, places, counts, strict=True)]
    for place, warp in enumerate(of_batches):
        yield Plan(warp, [of_step[place] for of_step in parts if alike or len(of_step[place].index_n)])


def _at_least_two(
    index_n: NDArray[np.int64], params_nK: NDArray[np.float64], images: int, batch: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The images of an operation and their parameters, behind a 1, with what a batch lacks (see `plans`)."""
    count_of_batch = np.bincount(index_n // batch, minlength=images // batch)
    lacking = np.repeat(np.arange(len(count_of_batch)), np.maximum(LEAST - count_of_batch, 0))
    takes_n1 = np.ones((len(index_n), 1))
    rows_nK = np.concatenate([np.concatenate([takes_n1, params_nK], axis=1), np.zeros((1, 1 + params_nK.shape[1]))])
    # The batch's first taker if it has one, else the last row, which takes nothing, for the batch's first image.
    row = np.where(count_of_batch[lacking] > 0, np.searchsorted(index_n, lacking * batch), len(index_n))
    more = np.where(row < len(index_n), np.append(index_n, 0)[row], lacking * batch)
    place = np.concatenate([index_n, more])
    order = np.argsort(place, kind="stable")
    return place[order], rows_nK[np.concatenate([np.arange(len(index_n)), row])[order]]


def _parts(step: Step, params: Tensor, index_n: Tensor, counts: list[int], batch: int) -> list[Part]:
    """A step's part of each batch; `counts` of its images."""
    of_batches = torch.split(params, batch if step.is_pass else counts)
    return [Part(step, *each) for each in zip(of_batches, torch.split(index_n, counts), strict=True)]


def _tones(tone: Drawn | None, images: int) -> NDArray[np.float64]:
    """A gain and a shift for each image, [2, images]; 1 and 0 where it did not draw them."""
    tone_2N = np.repeat([[1.0], [0.0]], images, axis=1)
    if tone is not None:
        brightness_n, contrast_n = tone.params_nK.T
        tone_2N[:, tone.index_n] = contrast_n, brightness_n
    return tone_2N


def _transferred(arrays: Sequence[NDArray[np.generic]], dtype: type[np.generic], device: torch.device) -> list[Tensor]:
    """On the device as numbers of one type, in one transfer, however many there are."""
    if not arrays:
        return []
    flat = upload(np.concatenate([array.ravel() for array in arrays]).astype(dtype), device)
    parts = torch.split(flat, [array.size for array in arrays])
    return [part.view(array.shape) for part, array in zip(parts, arrays, strict=True)]
