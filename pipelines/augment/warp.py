"""Batches warped on the device, each image by a matrix of its own and with a gain and a shift; chunk by chunk on a CPU.

Bilinear; outside an image it is mirrored, so no black corners appear. Three ways to the same pixels: `warp` for eager
torch, around `grid_sample`; for a compiler `pack` and `warp_packed`, a pass over memory each, or `warp_bytes` on a GPU.
On a CPU what a pass needs fits the cache only in chunks of a few images, in memory that is kept.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.augment.geometry import Floats, in_pixels

Act = Callable[..., Any]

CHUNK_PX: Final = 160_000
"""Pixels worked on at a time by each thread of a CPU (three images of 224 px)."""
COMPILED_CHUNK_PX: Final = 440_000
"""The same for compiled code, which needs less memory for each pixel, but a call has a cost (eight images)."""
OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "inductor": {"assert_indirect_indexing": False, "cpp.enable_floating_point_contract_flag": "fast"}
}
"""By torch.compile's backend: no check of every place that is read, which cannot lie outside, and one operation for a
product and a sum. The warp is a tenth faster on a CPU, with `relu` in place of `clamp(min=0)`. What a release of torch
does not know is left out."""
IN_ONE_PASS: Final = {"realize_opcount_threshold": 1000, "realize_reads_threshold": 1000}
"""Besides: nothing goes through memory on the way for being long or used more than once, as inductor else has it."""
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


def pack(img_NHW: Tensor, out: Tensor) -> None:
    """Put every pixel and its three neighbours (right, below, right below) into one number, so that one read gets all.

    Args:
        img_NHW: uint8.
        out: int32 [N, (H - 1) * W], written but for each last number; those of the last column are of no use.
    """
    width_px = img_NHW.shape[2]
    wide_NP = img_NHW.flatten(1).to(torch.int32)
    upper, lower = wide_NP[:, :-width_px], wide_NP[:, width_px:]
    out[:, :-1].copy_(upper[:, :-1] | upper[:, 1:] << 8 | lower[:, :-1] << 16 | lower[:, 1:] << 24)


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
    bytes, of linspace and of lerp; and it computes what belongs to a row or a column anew for every few pixels. Places
    more than an image's side outside of it may be mirrored otherwise. Whatever the lines say, only the image is read.

    Args:
        packed_NP: int32 [N, (H - 1) * W].
        step_NK: float32, see `lines`.
        first_NKH: float32, see `lines`.
        x_W: float32, 0 to W - 1.
        gain_N: float32, of a byte.
        shift_N: float32, in 0..1.
        out: float32 [N, H, W] 0..1, written.
    """
    images, height_px, width_px = out.shape
    first_N11 = torch.arange(images, device=out.device)[:, None, None] * packed_NP.shape[1]

    def four(row_NHW: Tensor, column_NHW: Tensor) -> Iterable[Tensor]:
        # An embedding, since inductor looks whether an index is negative; of 64 bits, since it widens 32 one by one.
        index_NHW = first_N11 + (row_NHW * width_px + column_NHW).to(torch.int64)
        four_NHW = F.embedding(index_NHW, packed_NP.view(-1, 1)).squeeze(-1)
        return (four_NHW >> bits & WHITE for bits in (0, 8, 16, 24))

    out.copy_(_toned(_between(four, (height_px, width_px), step_NK, first_NKH, x_W), gain_N, shift_N))


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
        neighbours = ((row, column) for row in (row_NHW, row_NHW + 1) for column in (column_NHW, column_NHW + 1))
        return (img_NHW[image_N11, row, column] for row, column in neighbours)

    level_NHW = _between(four, (height_px, width_px), *lines(matrix_BK3, height_px), x_W)
    return _toned(level_NHW, gain_B, shift_B).view(img_BCHW.shape)


def _between(
    four: Callable[[Tensor, Tensor], Iterable[Tensor]],
    size_px: tuple[int, int],
    step_NK: Tensor,
    first_NKH: Tensor,
    x_W: Tensor,
) -> Tensor:
    """Levels at the places that the lines say, between those that `four` reads by row and column."""
    x_NHW, y_NHW, *divisor = (
        step_N[:, None, None] * x_W + first_NH[:, :, None]
        for step_N, first_NH in zip(step_NK.unbind(1), first_NKH.unbind(1), strict=True)
    )
    for divisor_NHW in divisor:
        x_NHW, y_NHW = x_NHW / divisor_NHW, y_NHW / divisor_NHW

    def places(px_NHW: Tensor, last_px: int) -> tuple[Tensor, Tensor]:
        """The pixel before each place, and the way to the next; mirrored at the first and the last pixel's centre."""
        mirrored_NHW = (last_px - (last_px - px_NHW.abs()).abs()).relu()
        before_NHW = mirrored_NHW.to(torch.int32).clamp(0, last_px - 1)
        return before_NHW, mirrored_NHW - before_NHW

    column_NHW, right_NHW = places(x_NHW, size_px[1] - 1)
    row_NHW, down_NHW = places(y_NHW, size_px[0] - 1)
    upper, upper_next, lower, lower_next = (level.float() for level in four(row_NHW, column_NHW))
    above = upper + (upper_next - upper) * right_NHW
    below = lower + (lower_next - lower) * right_NHW
    return above + (below - above) * down_NHW


def _toned(level_NHW: Tensor, gain_N: Tensor, shift_N: Tensor) -> Tensor:
    """Gain x level + shift, between 0 and 1; clamp(0, 1) would look for nan."""
    toned_NHW = level_NHW * gain_N[:, None, None] + shift_N[:, None, None]
    return 1 - (1 - toned_NHW.relu()).relu()


class Warper:
    """Warps whole batches, in scratch memory that it keeps. Not for two threads at once."""

    def __init__(self) -> None:
        self._scratch = torch.empty(0)

    def matrices(self, sampling_N33: Floats, _height_px: int, _width_px: int) -> Floats:
        """What `prepared` takes, made on the host of what `sampling_matrices` gives."""
        return sampling_N33 if sampling_N33[:, 2, :2].any() else sampling_N33[:, :2]

    def prepared(self, matrix_NK3: Tensor, tone_2N: Tensor, _height_px: int) -> tuple[Tensor, ...]:
        """What calls take: tensors with a row for each image, whatever batches these come in.

        Args:
            matrix_NK3: float32, of `matrices`, on the images' device; of two rows or three, as in `warp`.
            tone_2N: float32, a gain and a shift (in 0..1) for each image, after which it is clipped; 1 and 0: as it is.
        """
        return matrix_NK3, tone_2N[0] / WHITE, tone_2N[1]

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
        self._scratch = _kept(self._scratch, (3 + channels, parts[0].stop, height_px, width_px), img_BCHW)
        for part in parts:
            mine = self._scratch[:, : part.stop - part.start]
            levels = mine[3:].transpose(0, 1).copy_(img_BCHW[part])
            if img_BCHW.dtype != torch.uint8:
                levels.mul_(WHITE)  # as bytes are, so that both give the same pixels to the bit
            # Before the warp, since the weights of a place's pixels add up to 1; in two passes, since addcmul is slow
            # where a number belongs to a whole image.
            toned = levels.mul_(gain_B[part, None, None, None]).add_(shift_B[part, None, None, None])
            torch.clamp(warp(toned, matrix_BK3[part], scratch_3BHW=mine[:3]), 0, 1, out=out[part])


def compiled(act: Act, backend: str, *, in_one_pass: bool = False) -> Act:
    """The same by torch.compile, with its options for pixels."""
    options = OPTIONS.get(backend)
    if options is not None:
        from torch._inductor import list_options  # takes seconds, which only those who compile shall wait

        known = list_options()
        wanted = options | IN_ONE_PASS if in_one_pass else options
        options = {name: value for name, value in wanted.items() if name in known}
    made: Act = torch.compile(act, backend=backend, options=options)
    return made


class CompiledWarper(Warper):
    """The same by `pack` and `warp_packed` as torch.compile makes them, for uint8 images of at least 2 x 2 px."""

    def __init__(self, backend: str) -> None:
        super().__init__()
        self._pack: Act = compiled(pack, backend)
        self._warp: Act = compiled(warp_packed, backend, in_one_pass=True)

    def matrices(self, sampling_N33: Floats, height_px: int, width_px: int) -> Floats:
        """As `Warper.matrices`."""
        return super().matrices(in_pixels(sampling_N33, height_px, width_px), height_px, width_px)

    def prepared(self, matrix_NK3: Tensor, tone_2N: Tensor, height_px: int) -> tuple[Tensor, ...]:
        """As `Warper.prepared`."""
        _, *tones = super().prepared(matrix_NK3, tone_2N, height_px)
        return *lines(matrix_NK3, height_px), *tones

    def __call__(self, img_BCHW: Tensor, prepared: Sequence[Tensor], out: Tensor) -> None:
        """As `Warper`; `img_BCHW` is uint8."""
        _, channels, height_px, width_px = img_BCHW.shape
        if channels > 1:
            prepared = [each.repeat_interleave(channels, 0) for each in prepared]
        step_NK, first_NKH, gain_N, shift_N = prepared
        x_W = torch.arange(width_px, dtype=torch.float32, device=out.device)
        img_NHW, out_NHW = img_BCHW.flatten(0, 1), out.view(-1, height_px, width_px)
        parts = list(chunks(img_NHW, len(img_NHW), COMPILED_CHUNK_PX))
        size = parts[0].stop
        self._scratch = _kept(self._scratch, (size, (height_px - 1) * width_px), img_NHW, torch.int32)
        for part in parts:
            # The last part starts earlier, so that all have one size: another would be compiled anew.
            same = slice(part.stop - size, part.stop)
            self._pack(img_NHW[same], self._scratch)
            lined = self._scratch, step_NK[same], first_NKH[same], x_W
            self._warp(*lined, gain_N[same], shift_N[same], out_NHW[same])


def _kept(memory: Tensor, shape: tuple[int, ...], like: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
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
