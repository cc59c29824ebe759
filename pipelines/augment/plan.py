"""What is to be done to the images of a batch, on their device: made for many batches at once.

What Python and numpy take for a batch hardly grows with it, and on a GPU all goes there in two transfers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.augment.draws import Drawn
from pipelines.augment.geometry import MATRICES, sampling_matrices
from pipelines.augment.passes import Step
from pipelines.augment.warp import Warper
from pipelines.buffers import upload

TONE: Final = "brightness_contrast"
"""The operation that a warp does in its own pass where it follows: a shift and a gain, then clipped."""


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
    drawn: Sequence[Drawn], images: int, like_BCHW: Tensor, warper: Warper, steps: Sequence[Step]
) -> Iterator[Plan]:
    """The plan of one batch after another.

    Args:
        drawn: for the images of all batches.
        images: of all batches, each of which has its full size.
        like_BCHW: a batch.
        warper: does the geometry.
        steps: those there are; a plan has the ones that act on an image of its batch.
    """
    batch, _, height_px, width_px = like_BCHW.shape
    by_name = {one.operation.name: one for one in drawn}
    geometry = [by_name.pop(name) for name in list(by_name) if name in MATRICES]
    tone = by_name.pop(TONE) if geometry and next(iter(by_name), None) == TONE else None
    sampling_N33 = sampling_matrices(geometry, images, height_px, width_px)
    matrices_N33 = warper.matrices(sampling_N33, height_px, width_px)
    divides = sampling_N33[:, 2, :2].any()
    steps = [step for step in steps if any(operation.name in by_name for operation in step.operations)]
    indices = [_takers(step, by_name) for step in steps]
    floats = [matrices_N33 if divides else matrices_N33[:, :2], _tones(tone, images)]
    floats += [step.params(by_name, images) for step in steps]
    matrix_NK3, tone_2N, *params = _transferred(floats, np.float32, like_BCHW.device)
    places = _transferred([index_n % batch for index_n in indices], np.int64, like_BCHW.device)
    warps: Iterable[tuple[Tensor, ...] | None] = repeat(None, images // batch)
    if geometry:
        prepared = warper.prepared(matrix_NK3, tone_2N, height_px)
        warps = zip(*(torch.split(each, batch) for each in prepared), strict=True)
    counts = [np.bincount(index_n // batch, minlength=images // batch).tolist() for index_n in indices]
    parts = [_parts(*each, batch) for each in zip(steps, params, places, counts, strict=True)]
    for place, warp in enumerate(warps):
        yield Plan(warp, [of_step[place] for of_step in parts if len(of_step[place].index_n)])


def _takers(step: Step, drawn: Mapping[str, Drawn]) -> NDArray[np.int64]:
    """The places of the images that drew one of its operations."""
    indices = [drawn[operation.name].index_n for operation in step.operations if operation.name in drawn]
    return np.sort(np.concatenate(indices))


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
