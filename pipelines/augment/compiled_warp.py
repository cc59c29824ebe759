"""The warp for a compiler: on a CPU `pack` and `warp_packed`, a pass over memory each; `warp_bytes` on a GPU.

All give the pixels of `warp.warp`, at places that are the last bit of a float32 beside its own.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.augment.geometry import Floats, in_pixels
from pipelines.augment.warp import WHITE, Warper, chunks, kept

Act = Callable[..., Any]

COMPILED_CHUNK_PX: Final = 440_000
"""Pixels worked on at a time by each thread of a CPU (eight images of 224 px): a pixel needs less memory than in eager
code, but a call has a cost."""
OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "inductor": {"assert_indirect_indexing": False, "cpp.enable_floating_point_contract_flag": "fast"}
}
"""By torch.compile's backend: no check of every place that is read, which cannot lie outside, and one operation for a
product and a sum. The warp is a tenth faster on a CPU, with `relu` in place of `clamp(min=0)`. What a release of torch
does not know is left out."""
IN_ONE_PASS: Final = {"realize_opcount_threshold": 1000, "realize_reads_threshold": 1000}
"""Besides: nothing goes through memory on the way for being long or used more than once, as inductor else has it."""
NEAR_ROWS: Final = 2
"""Rows of matrices that are near (see `_are_near`); others have three."""
BELOW_ONE: Final = 1 - 2.0**-24
"""The float32 before 1. Times it, a whole number is the float32 before it."""
WHOLE_FLOATS: Final = 2**24
"""Whole numbers up to it are float32s."""


def compiled(act: Act, backend: str, *, in_one_pass: bool = False) -> Act:
    """A function by torch.compile, with its options for pixels."""
    options = OPTIONS.get(backend)
    if options is not None:
        from torch._inductor import list_options  # takes seconds, which only those who compile shall wait

        known = list_options()
        wanted = options | IN_ONE_PASS if in_one_pass else options
        options = {name: value for name, value in wanted.items() if name in known}
    made: Act = torch.compile(act, backend=backend, options=options)
    return made


def pack(img_NHW: Tensor, out: Tensor) -> None:
    """Put every pixel and its three neighbours (left, above, left above) into one number, so that one read gets all.

    Args:
        img_NHW: uint8.
        out: int32 [N, (H - 1) * W], from the second row on, written but for each first number; those of the first
            column are of no use.
    """
    width_px = img_NHW.shape[2]
    wide_NP = img_NHW.flatten(1).to(torch.int32)
    above, here = wide_NP[:, :-width_px], wide_NP[:, width_px:]
    out[:, 1:].copy_(here[:, 1:] | here[:, :-1] << 8 | above[:, 1:] << 16 | above[:, :-1] << 24)


def lines(matrix_NK3: Tensor, height_px: int) -> tuple[Tensor, Tensor]:
    """What places in the image are made of: how far one moves with each column, and where each row begins.

    Args:
        matrix_NK3: float32, in pixels, what `in_pixels` gives; of two rows or three, as in `warp`.
        height_px: of the image.

    Returns:
        float32 [N, K] and [N, K, height_px] of x, y and, with three rows, what they are divided by.
    """
    y_H = torch.arange(height_px, dtype=torch.float32, device=matrix_NK3.device)
    return matrix_NK3[:, :, 0].contiguous(), (matrix_NK3[:, :, 1, None] * y_H).add_(matrix_NK3[:, :, 2, None])


def warp_packed(
    packed_NP: Tensor, step_NK: Tensor, first_NKH: Tensor, x_W: Tensor, gain_N: Tensor, shift_N: Tensor, out: Tensor
) -> None:
    """What `warp` does to images that `pack` packed, and clip(gain x img + shift) of it.

    Written for a compiler: torch.compile makes slow code of grid_sample on a CPU, and so it does of gathers of single
    bytes, of linspace and of lerp; and it computes what belongs to a row or a column anew for every few pixels. From an
    image's side outside on, the first row or column goes on, which `warp` mirrors again. Whatever lines of three rows
    say, only the image is read.

    Args:
        packed_NP: int32 [N, (H - 1) * W].
        step_NK: float32, see `lines`; of two rows only where they are near, or other memory is read.
        first_NKH: float32, see `lines`.
        x_W: float32, 0 to W - 1.
        gain_N: float32, of a byte.
        shift_N: float32, in 0..1.
        out: float32 [N, H, W] 0..1, written.
    """
    images, height_px, width_px = out.shape
    number = torch.float32 if packed_NP.numel() <= WHOLE_FLOATS else torch.int64
    last_N11 = torch.arange(1, images + 1, device=out.device, dtype=number)[:, None, None] * packed_NP.shape[1] - 1

    def four(row_NHW: Tensor, column_NHW: Tensor) -> Iterable[Tensor]:
        place_NHW = last_N11 - column_NHW.to(number) - row_NHW.to(number) * width_px
        # An embedding, since inductor looks whether an index is negative; of 64 bits, since it widens 32 one by one.
        four_NHW = F.embedding(place_NHW.to(torch.int64), packed_NP.view(-1, 1)).squeeze(-1)
        return (four_NHW >> bits & WHITE for bits in (0, 8, 16, 24))

    size_px, is_near = (height_px, width_px), step_NK.shape[1] == NEAR_ROWS
    out.copy_(_toned(_between(four, size_px, step_NK, first_NKH, x_W, is_near=is_near), gain_N, shift_N))


def warp_bytes(img_BCHW: Tensor, matrix_BK3: Tensor, gain_B: Tensor, shift_B: Tensor) -> Tensor:
    """What `warp` does to bytes, and clip(gain x img + shift) of it: for a compiler, and for a GPU.

    Args:
        img_BCHW: uint8, of at least 2 x 2 px.
        matrix_BK3: float32, in pixels, what `in_pixels` gives; of two rows or three, as in `warp`.
        gain_B: float32, of a byte.
        shift_B: float32, in 0..1.

    Returns:
        float32 [B, C, H, W] 0..1.
    """
    batch, channels, height_px, width_px = img_BCHW.shape
    img_NHW = img_BCHW.reshape(batch * channels, height_px, width_px)
    if channels > 1:
        matrix_BK3, gain_B, shift_B = (each.repeat_interleave(channels, 0) for each in (matrix_BK3, gain_B, shift_B))
    x_W = torch.arange(width_px, dtype=torch.float32, device=img_BCHW.device)
    image_N11 = torch.arange(batch * channels, device=img_BCHW.device)[:, None, None]

    def four(row_NHW: Tensor, column_NHW: Tensor) -> Iterable[Tensor]:
        row_NHW, column_NHW = height_px - 1 - row_NHW.to(torch.int32), width_px - 1 - column_NHW.to(torch.int32)
        neighbours = ((row, column) for row in (row_NHW, row_NHW - 1) for column in (column_NHW, column_NHW - 1))
        return (img_NHW[image_N11, row, column] for row, column in neighbours)

    level_NHW = _between(four, (height_px, width_px), *lines(matrix_BK3, height_px), x_W)
    return _toned(level_NHW, gain_B, shift_B).view(img_BCHW.shape)


def _between(
    four: Callable[[Tensor, Tensor], Iterable[Tensor]],
    size_px: tuple[int, int],
    step_NK: Tensor,
    first_NKH: Tensor,
    x_W: Tensor,
    *,
    is_near: bool = False,
) -> Tensor:
    """Levels at the places that the lines say, between those that `four` reads.

    It takes rows and columns counted from the last one, so that mirroring takes the fewest steps, as whole float32s
    from 0 up to the last but one, and gives this pixel, the one before it in the row, and the two above them.
    `is_near`: see `_are_near`; nothing checks that a place is in the image then.

    They are counted from the last bit of a float32 before the last pixel. So no place is the first pixel itself, which
    has none before it; to see to that in a step of its own takes a twentieth of the time.
    """
    x_NHW, y_NHW, *divisor = (
        step_N[:, None, None] * x_W + first_NH[:, :, None]
        for step_N, first_NH in zip(step_NK.unbind(1), first_NKH.unbind(1), strict=True)
    )
    for divisor_NHW in divisor:
        x_NHW, y_NHW = x_NHW / divisor_NHW, y_NHW / divisor_NHW

    def places(px_NHW: Tensor, last_px: int) -> tuple[Tensor, Tensor]:
        """The pixel behind each place, and the way back from it; mirrored at the first and the last pixel's centre."""
        last = last_px * BELOW_ONE
        from_last_NHW = (last - px_NHW.abs()).abs()
        if not is_near:
            from_last_NHW = from_last_NHW.nan_to_num(0).clamp(max=last)
        behind_NHW = from_last_NHW.floor()
        return behind_NHW, from_last_NHW - behind_NHW

    column_NHW, left_NHW = places(x_NHW, size_px[1] - 1)
    row_NHW, up_NHW = places(y_NHW, size_px[0] - 1)
    here, before, above, above_before = (level.float() for level in four(row_NHW, column_NHW))
    lower = here + (before - here) * left_NHW
    upper = above + (above_before - above) * left_NHW
    return lower + (upper - lower) * up_NHW


def _toned(level_NHW: Tensor, gain_N: Tensor, shift_N: Tensor) -> Tensor:
    """Gain x level + shift, between 0 and 1; by what it lacks of 1, as clamp(0, 1) would look for nan."""
    lacks_NHW = (1 - shift_N)[:, None, None] - level_NHW * gain_N[:, None, None]
    return (1 - lacks_NHW.relu()).relu()


def _are_near(matrix_N23: Floats, height_px: int, width_px: int) -> bool:
    """Whether all corners, and so all places, are less than an image's side outside, where mirroring once is enough.

    Less by a pixel: float32 may lead a little further.
    """
    corner_34 = np.array([[0, width_px - 1, 0, width_px - 1], [0, 0, height_px - 1, height_px - 1], [1, 1, 1, 1]])
    reach_2 = np.abs(matrix_N23 @ corner_34).max(axis=(0, 2))
    return bool((reach_2 <= 2 * np.array([width_px - 1, height_px - 1]) - 1).all())


class CompiledWarper(Warper):
    """The same by `pack` and `warp_packed` as torch.compile makes them, for uint8 images of at least 2 x 2 px."""

    def __init__(self, backend: str) -> None:
        super().__init__()
        self._pack: Act = compiled(pack, backend)
        self._warp: Act = compiled(warp_packed, backend, in_one_pass=True)

    def matrices(self, sampling_N33: Floats, height_px: int, width_px: int) -> Floats:
        """As `Warper.matrices`; of three rows where places are far outside, too."""
        matrix_N33 = in_pixels(sampling_N33, height_px, width_px)
        matrix_NK3 = super().matrices(matrix_N33, height_px, width_px)
        is_far = matrix_NK3.shape[1] == NEAR_ROWS and not _are_near(matrix_NK3, height_px, width_px)
        return matrix_N33 if is_far else matrix_NK3

    def prepared(self, matrix_NK3: Tensor, tone_2N: Tensor, height_px: int) -> tuple[Tensor, ...]:
        """As `Warper.prepared`."""
        _, *tones = super().prepared(matrix_NK3, tone_2N, height_px)
        return *lines(matrix_NK3, height_px), *tones

    def __call__(self, img_BCHW: Tensor, prepared: Sequence[Tensor], out: Tensor) -> None:
        """As `Warper`; `img_BCHW` is uint8."""
        _, channels, height_px, width_px = img_BCHW.shape
        if channels > 1:
            prepared = [each.repeat_interleave(channels, 0) for each in prepared]
        x_W = torch.arange(width_px, dtype=torch.float32, device=out.device)
        img_NHW, out_NHW = img_BCHW.flatten(0, 1), out.view(-1, height_px, width_px)
        size = next(chunks(img_NHW, len(img_NHW), COMPILED_CHUNK_PX)).stop
        self._scratch = kept(self._scratch, (size, (height_px - 1) * width_px), img_NHW, torch.int32)
        of_chunks = zip(*(_alike(each, size) for each in (img_NHW, *prepared, out_NHW)), strict=True)
        for img_nHW, step_nK, first_nKH, gain_n, shift_n, out_nHW in of_chunks:
            self._pack(img_nHW, self._scratch)
            self._warp(self._scratch, step_nK, first_nKH, x_W, gain_n, shift_n, out_nHW)


def _alike(images: Tensor, size: int) -> Iterable[Tensor]:
    """Parts of one size, since another would be compiled anew: the last begins earlier where it would be short."""
    parts = torch.split(images, size)  # one call, where a slice for each would take longer than the warp of an image
    return parts if len(parts[-1]) == size else (*parts[:-1], images[-size:])
