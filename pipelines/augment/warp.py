"""Batches warped on the device, each image by a matrix of its own and with a gain and a shift; chunk by chunk on a CPU.

Bilinear; outside an image it is mirrored, so no black corners appear. This is for eager torch, around `grid_sample`;
`compiled_warp` has the same pixels for a compiler. On a CPU what a pass needs fits the cache only in chunks of a few
images, in memory that is kept.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.augment.geometry import Floats

CHUNK_PX: Final = 160_000
"""Pixels worked on at a time by each thread of a CPU (three images of 224 px)."""
WHITE: Final = 255


def warp(img_BCHW: Tensor, sampling_BK3: Tensor, *, scratch_3BHW: Tensor | None = None) -> Tensor:
    """Resample images.

    Args:
        img_BCHW: float32 on any device.
        sampling_BK3: float32, what `sampling_matrices` gives, on the same device; without the last rows where they all
            are (0, 0, 1), which saves a division.
        scratch_3BHW: float32 memory to work in, overwritten; made when not given.

    Returns:
        float32 [B, C, H, W] in the input's range.
    """
    batch, _, height_px, width_px = img_BCHW.shape
    if scratch_3BHW is None:
        scratch_3BHW = img_BCHW.new_empty(3, batch, height_px, width_px)
    num_planes = sampling_BK3.shape[1]
    x_W = torch.linspace(-1, 1, width_px, device=img_BCHW.device)
    y_H1 = torch.linspace(-1, 1, height_px, device=img_BCHW.device)[:, None]
    matrix_K3B11 = sampling_BK3.permute(1, 2, 0)[:, :, :, None, None]
    # Planes (x, y, w) by separable sums rather than a matrix product: exact in any batch, and one pass over memory.
    planes = torch.add(
        matrix_K3B11[:, 0] * x_W,
        matrix_K3B11[:, 1] * y_H1 + matrix_K3B11[:, 2],
        out=scratch_3BHW[:num_planes],
    )
    if num_planes > 2:
        planes[:2].div_(planes[2])
    # With aligned corners the reflection is at the border's pixel centres.
    return F.grid_sample(
        img_BCHW, planes[:2].permute(1, 2, 3, 0), mode="bilinear", padding_mode="reflection", align_corners=True
    )


class Warper:
    """Warps whole batches, in scratch memory that it keeps. Not for two threads at once."""

    def __init__(self) -> None:
        self._scratch = torch.empty(0)

    def matrices(self, sampling_N33: Floats, _height_px: int, _width_px: int) -> Floats:
        """As `plan.Geometry`; of two rows or three, as in `warp`."""
        return sampling_N33 if sampling_N33[:, 2, :2].any() else sampling_N33[:, :2]

    def prepared(self, matrix_NK3: Tensor, tone_2N: Tensor, _height_px: int) -> tuple[Tensor, ...]:
        """As `plan.Geometry`."""
        return matrix_NK3, *of_bytes(tone_2N)

    def __call__(self, img_BCHW: Tensor, prepared: Sequence[Tensor], out: Tensor) -> None:
        """Write the warped batch, as float 0..1, into `out`.

        Args:
            img_BCHW: uint8 0..255 or float 0..1.
            prepared: of these images.
            out: float32 [B, C, H, W], contiguous, on the same device.
        """
        batch, channels, height_px, width_px = img_BCHW.shape
        matrix_BK3, gain_B, shift_B = prepared
        parts = list(chunks(img_BCHW, batch))
        self._scratch = kept(self._scratch, (3 + channels, parts[0].stop, height_px, width_px), img_BCHW)
        for part in parts:
            mine = self._scratch[:, : part.stop - part.start]
            levels = mine[3:].transpose(0, 1).copy_(img_BCHW[part])
            if img_BCHW.dtype != torch.uint8:
                levels.mul_(WHITE)  # as bytes are, so that both give the same pixels to the bit
            # Before the warp, since the weights of a place's pixels add up to 1; in two passes, since addcmul is slow
            # where a number belongs to a whole image.
            toned = levels.mul_(gain_B[part, None, None, None]).add_(shift_B[part, None, None, None])
            torch.clamp(warp(toned, matrix_BK3[part], scratch_3BHW=mine[:3]), 0, 1, out=out[part])


def of_bytes(tone_2N: Tensor) -> tuple[Tensor, Tensor]:
    """The gain and the shift of images in 0..1 for such in 0..255."""
    return tone_2N[0] / WHITE, tone_2N[1]


def kept(memory: Tensor, shape: tuple[int, ...], like: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The same memory if it fits, else new."""
    if memory.shape == shape and memory.device == like.device:
        return memory
    return torch.empty(shape, dtype=dtype, device=like.device)


def chunks(images: Tensor, count: int, chunk_px: int = CHUNK_PX) -> Iterator[slice]:
    """Parts of `count` images to work on at a time: all at once on a GPU, as many as stay in cache on a CPU."""
    size = count
    if images.device.type == "cpu":
        size = min(count, max(1, chunk_px // images[0].numel()) * torch.get_num_threads())
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
