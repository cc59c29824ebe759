"""All geometry of a batch as one warp: 3x3 matrices composed on the host, one bilinear resampling on the device.

Frame of the matrices: pixels, x right, y down, origin in the image's centre; they map input to output. Angles are
anticlockwise as seen. The warp reads outside the image by reflection, so no black corners appear.

On a CPU the grid's planes fit the cache only in chunks of a few images, so they are made chunk by chunk, in buffers
that are kept.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipelines.augment.draws import Drawn

Floats = NDArray[np.float64]

_CHUNK_PX: Final = 160_000
"""Pixels worked on at a time by each thread of a CPU (three images of 224 px); what they need stays in cache."""


def _linear(xx: Floats, xy: Floats, yx: Floats, yy: Floats) -> Floats:
    """Matrices [n, 3, 3] of x' = xx x + xy y, y' = yx x + yy y."""
    zero, one = np.zeros_like(xx), np.ones_like(xx)
    return np.stack([xx, xy, zero, yx, yy, zero, zero, zero, one], axis=-1).reshape(-1, 3, 3)


def _flip(params_nK: Floats, _height_px: int, _width_px: int) -> Floats:
    return np.broadcast_to(np.diag([-1.0, 1.0, 1.0]), (len(params_nK), 3, 3))


def _rotation(params_nK: Floats, _height_px: int, _width_px: int) -> Floats:
    angle = np.deg2rad(params_nK[:, 0])
    return _linear(np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle))


def _translation(params_nK: Floats, height_px: int, width_px: int) -> Floats:
    matrix_n33 = np.tile(np.eye(3), (len(params_nK), 1, 1))
    matrix_n33[:, :2, 2] = params_nK * (width_px, height_px)
    return matrix_n33


def _scale(params_nK: Floats, _height_px: int, _width_px: int) -> Floats:
    zoom = params_nK[:, 0]
    return _linear(zoom, np.zeros_like(zoom), np.zeros_like(zoom), zoom)


def _shear(params_nK: Floats, _height_px: int, _width_px: int) -> Floats:
    slope_x, slope_y = np.tan(np.deg2rad(params_nK)).T
    return _linear(np.ones_like(slope_x), slope_x, slope_y, np.ones_like(slope_y))


def _perspective(params_nK: Floats, height_px: int, width_px: int) -> Floats:
    """Tilt about the two axes: to first order an edge's middle moves by the parameter times the size."""
    matrix_n33 = np.tile(np.eye(3), (len(params_nK), 1, 1))
    matrix_n33[:, 2, :2] = params_nK * (4 / width_px, 4 / height_px)
    return matrix_n33


MATRICES: Final[Mapping[str, Callable[[Floats, int, int], Floats]]] = {
    "flip": _flip,
    "rotation": _rotation,
    "translation": _translation,
    "scale": _scale,
    "shear": _shear,
    "perspective": _perspective,
}
"""(parameters [n, K] in the table's order, height_px, width_px) -> matrices [n, 3, 3], input to output."""


def sampling_matrices(drawn: Iterable[Drawn], batch: int, height_px: int, width_px: int) -> Floats:
    """Compose each image's operations, in the given order, into the matrix that its warp samples with.

    Returns:
        float64 [batch, 3, 3], from output to input, both in `grid_sample`'s coordinates (-1 and 1 are the centres of
        the first and the last pixel); the identity where an image has no operation.
    """
    forward_B33 = np.tile(np.eye(3), (batch, 1, 1))
    for one in drawn:
        matrix_n33 = MATRICES[one.operation.name](one.params_nK, height_px, width_px)
        forward_B33[one.index_n] = matrix_n33 @ forward_B33[one.index_n]
    half_size = np.array([(width_px - 1) / 2, (height_px - 1) / 2, 1.0])
    sampling_B33: Floats = np.linalg.inv(forward_B33) * half_size / half_size[:, None]
    return sampling_B33 / sampling_B33[:, 2:, 2:]


def warp(
    img_BCHW: Tensor, sampling_B33: Tensor, *, perspective: bool = True, scratch_5BHW: Tensor | None = None
) -> Tensor:
    """Resample images, each with a matrix of its own; bilinear, mirrored at the borders.

    Args:
        img_BCHW: float32 on any device.
        sampling_B33: float32, what `sampling_matrices` gives, on the same device.
        perspective: False promises that every last row is (0, 0, 1) and saves the division.
        scratch_5BHW: float32 memory to work in, overwritten; made when not given.

    Returns:
        float32 [B, C, H, W] in the input's range.
    """
    batch, _, height_px, width_px = img_BCHW.shape
    if scratch_5BHW is None:
        scratch_5BHW = img_BCHW.new_empty(5, batch, height_px, width_px)
    num_planes = 3 if perspective else 2
    x_W = torch.linspace(-1, 1, width_px, device=img_BCHW.device)
    y_H1 = torch.linspace(-1, 1, height_px, device=img_BCHW.device)[:, None]
    matrix_33B11 = sampling_B33.permute(1, 2, 0)[:num_planes, :, :, None, None]
    # Planes (x, y, w) by separable sums rather than a matrix product: exact in any batch, and one pass over memory.
    planes = torch.add(
        matrix_33B11[:, 0] * x_W,
        matrix_33B11[:, 1] * y_H1 + matrix_33B11[:, 2],
        out=scratch_5BHW[:num_planes],
    )
    xy_2BHW, mirrored_2BHW = planes[:2], scratch_5BHW[3:]
    if perspective:
        xy_2BHW.div_(planes[2])
    # 2 clamp(x) - x mirrors at the border's pixel centres; cheaper than grid_sample's own reflection.
    torch.clamp(xy_2BHW, -1, 1, out=mirrored_2BHW)
    torch.lerp(xy_2BHW, mirrored_2BHW, 2.0, out=mirrored_2BHW)
    return F.grid_sample(
        img_BCHW, mirrored_2BHW.permute(1, 2, 3, 0), mode="bilinear", padding_mode="border", align_corners=True
    )


def warp_by_gathers(img_BCHW: Tensor, sampling_B33: Tensor, out: Tensor, *, perspective: bool = True) -> None:
    """What `to_unit` and `warp` do, written for a compiler, which makes one pass over memory of it.

    torch.compile turns grid_sample into slow code on a CPU; of these index operations it makes faster code, that brings
    a compiled policy level there with the eager one. Run eagerly it would be slow.

    Args:
        img_BCHW: uint8 0..255 or float 0..1.
        sampling_B33: float32, what `sampling_matrices` gives.
        out: float32 [B, C, H, W] 0..1, written.
        perspective: as in `warp`.
    """
    batch, channels, height_px, width_px = img_BCHW.shape
    device = img_BCHW.device
    levels = 255 if img_BCHW.dtype == torch.uint8 else 1
    # Neither linspace nor lerp: what the compiler makes of them halves the speed on a CPU.
    x_W = torch.arange(width_px, device=device) * (2 / max(1, width_px - 1)) - 1
    y_H1 = (torch.arange(height_px, device=device) * (2 / max(1, height_px - 1)) - 1)[:, None]
    planes = [
        row_3B11[0] * x_W + (row_3B11[1] * y_H1 + row_3B11[2])
        for row_3B11 in sampling_B33.permute(1, 2, 0)[..., None, None]
    ]
    x_BHW, y_BHW = (plane / planes[2] for plane in planes[:2]) if perspective else planes[:2]

    def places(unit_BHW: Tensor, size_px: int) -> tuple[Tensor, Tensor]:
        """The pixel before each place, and the way to the next; mirrored at the first and the last pixel's centre."""
        mirrored_BHW = 2 * unit_BHW.clamp(-1, 1) - unit_BHW
        px_BHW = ((mirrored_BHW + 1) * ((size_px - 1) / 2)).clamp(0, size_px - 1)
        before_BHW = px_BHW.to(torch.int32).clamp(max=max(0, size_px - 2))
        return before_BHW, px_BHW - before_BHW

    column_BHW, right_BHW = places(x_BHW, width_px)
    row_BHW, down_BHW = places(y_BHW, height_px)
    step_x, step_y = min(1, width_px - 1), width_px * min(1, height_px - 1)
    index_type = torch.int32 if img_BCHW.numel() < 2**31 else torch.int64
    plane_BC11 = torch.arange(batch * channels, device=device, dtype=index_type).view(batch, channels, 1, 1)
    first_BCHW = plane_BC11 * (height_px * width_px) + (row_BHW * width_px + column_BHW)[:, None]
    flat = img_BCHW.reshape(-1)
    upper, upper_next = flat[first_BCHW].float(), flat[first_BCHW + step_x].float()
    lower, lower_next = flat[first_BCHW + step_y].float(), flat[first_BCHW + step_y + step_x].float()
    above = upper + (upper_next - upper) * right_BHW[:, None]
    below = lower + (lower_next - lower) * right_BHW[:, None]
    out.copy_((above + (below - above) * down_BHW[:, None]) * (1 / levels))


class Warper:
    """Warps whole batches chunk by chunk, in scratch memory that it keeps. Not for two threads at once.

    `compiled`, if given, is `warp_by_gathers` as a compiler made it; it needs neither.
    """

    def __init__(self, compiled: Callable[..., None] | None = None) -> None:
        self._compiled = compiled
        self._scratch = torch.empty(0)

    def __call__(self, img_BCHW: Tensor, sampling_B33: Tensor, out: Tensor, *, perspective: bool) -> None:
        """Write the warped batch, as float 0..1, into `out`.

        Args:
            img_BCHW: uint8 0..255 or float 0..1.
            sampling_B33: float32, on the same device.
            out: float32 [B, C, H, W], on the same device.
            perspective: as in `warp`.
        """
        if self._compiled is not None:
            self._compiled(img_BCHW, sampling_B33, out, perspective=perspective)
            return
        batch, channels, height_px, width_px = img_BCHW.shape
        parts = list(chunks(img_BCHW, batch))
        scratch = self._scratch_for((5 + channels, parts[0].stop, height_px, width_px), img_BCHW.device)
        for part in parts:
            mine = scratch[:, : part.stop - part.start]
            out[part] = warp(
                to_unit(img_BCHW[part], mine[5:].transpose(0, 1)),
                sampling_B33[part],
                perspective=perspective,
                scratch_5BHW=mine[:5],
            )

    def _scratch_for(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        if self._scratch.shape != shape or self._scratch.device != device:
            self._scratch = torch.empty(shape, device=device)
        return self._scratch


def chunks(img_BCHW: Tensor, count: int) -> Iterator[slice]:
    """Parts of `count` images to work on at a time: all at once on a GPU, as many as stay in cache on a CPU."""
    size = count
    if img_BCHW.device.type == "cpu":
        size = max(1, _CHUNK_PX // img_BCHW[0].numel()) * torch.get_num_threads()
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def to_unit(img_BCHW: Tensor, out: Tensor) -> Tensor:
    """Write uint8 0..255, or float 0..1, into `out` (float32, the same shape) as float 0..1."""
    if img_BCHW.dtype == torch.uint8:
        return torch.div(img_BCHW, 255, out=out)
    return out.copy_(img_BCHW)
