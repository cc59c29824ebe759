"""What happens to pixels in place: each operation a small function of a batch and per-image parameters.

Every function takes img_BCHW (float32 0..1, any number of channels) and one float32 [B] tensor per parameter, named as
in the policy's table, and returns a new tensor of the same shape and range. No function asks the device for a value,
so none waits for it and none breaks a compiled graph.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

import kornia.filters
import torch
from torch import Tensor

from pipelines.augment.limits import BLUR_SIGMA_MAX, MOTION_LENGTH_MAX


def brightness_contrast(img_BCHW: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    """Contrast x img + brightness, clipped: contrast about black, as kornia and albumentations have it.

    kornia's two calls make three passes over memory; this makes two.
    """
    return torch.addcmul(per_image(brightness), img_BCHW, per_image(contrast)).clamp_(0, 1)


def gamma(img_BCHW: Tensor, gamma: Tensor) -> Tensor:
    """Img to the power of gamma.

    kornia's own moves its gain to the device, and waits for that. `pow` would take longer.
    """
    return img_BCHW.log2().mul_(per_image(gamma)).exp2_().clamp_(0, 1)


def equalise(img_BCHW: Tensor, amount: Tensor) -> Tensor:
    """Mix with the histogram-equalised image; 1 is OpenCV's equalizeHist, channel by channel.

    kornia's own loops over images in Python. A channel of one single level stays as it is.
    """
    batch, channels, height_px, width_px = img_BCHW.shape
    num_planes, num_px = batch * channels, height_px * width_px
    # Clamped as numbers: compiled, nobody checks places, and a float may be anything.
    level_NP = (img_BCHW * 255).round_().to(torch.int64).clamp_(0, 255).view(num_planes, num_px)
    histogram_N256 = torch.zeros(num_planes, 256, device=img_BCHW.device).scatter_add_(
        1, level_NP, torch.ones((), device=img_BCHW.device).expand(num_planes, num_px)
    )
    cumulative_N256 = histogram_N256.cumsum(1)
    darkest_N1 = cumulative_N256.masked_fill(cumulative_N256 == 0, num_px).amin(1, keepdim=True)
    rank_N256 = (cumulative_N256 - darkest_N1).clamp_(min=0) * (255 / (num_px - darkest_N1).clamp_(min=1))
    equalised_NP = (rank_N256.round_() / 255).gather(1, level_NP)
    share_N1 = (amount[:, None] * (darkest_N1.view(batch, channels) < num_px)).view(num_planes, 1)
    return torch.lerp(img_BCHW.reshape(num_planes, num_px), equalised_NP, share_N1).view(img_BCHW.shape)


def illumination(img_BCHW: Tensor, amount: Tensor, angle: Tensor) -> Tensor:
    """Light from one side: gain from 1 - amount to 1 + amount across the image, brightest towards `angle` (degrees)."""
    x_W, y_H1 = _centred_axes(img_BCHW)
    turn_B11 = torch.deg2rad(angle)[:, None, None]
    cos_B11, sin_B11 = torch.cos(turn_B11), torch.sin(turn_B11)
    ramp_BHW = (cos_B11 * x_W - sin_B11 * y_H1) / (cos_B11.abs() + sin_B11.abs())
    gain_BHW = 1 + amount[:, None, None] * ramp_BHW
    return (img_BCHW * gain_BHW[:, None]).clamp_(0, 1)


def gaussian_blur(img_BCHW: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur; sigma as a fraction of the longer side, at most BLUR_SIGMA_MAX.

    kornia's gaussian_blur2d asks the device whether sigma is positive; its two parts do not.
    """
    sigma_px, radius_px = _gaussian(img_BCHW, sigma)
    kernel_BK = kornia.filters.get_gaussian_kernel1d(2 * radius_px + 1, sigma_px[:, None])
    blurred: Tensor = kornia.filters.filter2d_separable(img_BCHW, kernel_BK, kernel_BK)
    return blurred.clamp_(0, 1)


def gaussian_blur_unrolled(img_BCHW: Tensor, sigma: Tensor) -> Tensor:
    """The same for a compiler: torch compiles a convolution anew for every number of images."""
    sigma_px, radius_px = _gaussian(img_BCHW, sigma)
    weights = _half_gaussian(per_image(sigma_px), radius_px)
    return _blurred_along(_blurred_along(img_BCHW, weights, 3), weights, 2).clamp(0, 1)


def motion_blur(img_BCHW: Tensor, length: Tensor, angle: Tensor) -> Tensor:
    """Blur along a line; length as a fraction of the longer side (at most MOTION_LENGTH_MAX), angle in degrees.

    kornia's kernels have one length for a batch; these are lines of any length. A line is read where it crosses columns
    (or rows, if it is steep), between two pixels, by how much of a pixel's width it covers there.
    """
    step_x_B, step_y_B, half_B, radius_px = _line(img_BCHW, length, angle)
    place_K = torch.arange(-radius_px, radius_px + 1, device=img_BCHW.device)
    share_B1K = _covered(place_K.abs(), half_B[:, None])[:, None]
    x_BK, y_BK = step_x_B[:, None] * place_K, step_y_B[:, None] * place_K
    weight_x_BKS = (1 - (place_K[:, None] - x_BK[:, None]).abs()).clamp_(min=0)
    weight_y_BKS = (1 - (place_K[:, None] - y_BK[:, None]).abs()).clamp_(min=0)
    kernel_BKK = (weight_y_BKS * (share_B1K / share_B1K.sum(2, keepdim=True))) @ weight_x_BKS.transpose(1, 2)
    blurred: Tensor = kornia.filters.filter2d(img_BCHW, kernel_BKK)
    return blurred.clamp_(0, 1)


def motion_blur_unrolled(img_BCHW: Tensor, length: Tensor, angle: Tensor) -> Tensor:
    """The same for a compiler, as `gaussian_blur_unrolled`."""
    step_x_B, step_y_B, half_B, radius_px = _line(img_BCHW, length, angle)
    line = per_image(step_x_B), per_image(step_y_B), per_image(half_B)
    return _mean_along(img_BCHW, *line, radius_px).clamp(0, 1)


def gaussian_noise(img_BCHW: Tensor, sigma: Tensor, key_high: Tensor, key_low: Tensor) -> Tensor:
    """Add normal noise of standard deviation sigma, a pure function of the image's two keys and the pixel's place."""
    place_CHW = torch.arange(img_BCHW[0].numel(), device=img_BCHW.device, dtype=torch.int32)
    hash_BCHW = _hash(place_CHW.view(1, *img_BCHW.shape[1:]), per_image(key_high), per_image(key_low))
    # Box and Muller's transform of the hash's two halves; centred, so that the logarithm is finite (up to 4.9 sigma).
    # torch's erfinv would do, but on a CPU a compiler makes slow code of it.
    share_BCHW = (hash_BCHW >> 16 & 0xFFFF).to(torch.float32).mul_(2.0**-16).add_(2.0**-17)
    turn_BCHW = (hash_BCHW & 0xFFFF).to(torch.float32).mul_(2 * math.pi * 2.0**-16)
    noise_BCHW = share_BCHW.log_().mul_(-2).sqrt_().mul_(turn_BCHW.cos_())
    return torch.addcmul(img_BCHW, noise_BCHW, per_image(sigma)).clamp_(0, 1)


def downscale(img_BCHW: Tensor, factor: Tensor) -> Tensor:
    """Shrink by `factor` (averaging) and enlarge again (bilinearly), so that only the detail is lost.

    Both steps together are one matrix along each axis, so that every image may have a factor of its own.
    """
    down_up_BHH = _down_up(img_BCHW.shape[-2], factor)
    down_up_BWW = _down_up(img_BCHW.shape[-1], factor)
    return (down_up_BHH[:, None] @ img_BCHW @ down_up_BWW[:, None].transpose(2, 3)).clamp_(0, 1)


def erasing(img_BCHW: Tensor, area: Tensor, aspect: Tensor, x: Tensor, y: Tensor, value: Tensor) -> Tensor:
    """Fill a rectangle: `area` of the image, 2**aspect times as wide as high, at (x, y) of the free way."""
    x_W, y_H1 = _unit_axes(img_BCHW)
    width_B11 = (area * torch.exp2(aspect)).sqrt()[:, None, None]
    height_B11 = (area * torch.exp2(-aspect)).sqrt()[:, None, None]
    left_B11, top_B11 = x[:, None, None] * (1 - width_B11), y[:, None, None] * (1 - height_B11)
    hole_BHW = (x_W >= left_B11) & (x_W < left_B11 + width_B11) & (y_H1 >= top_B11) & (y_H1 < top_B11 + height_B11)
    return torch.where(hole_BHW[:, None], per_image(value), img_BCHW)


def grid(img_BCHW: Tensor, cell: Tensor, hole: Tensor, x: Tensor, y: Tensor, value: Tensor) -> Tensor:
    """Fill a square hole in every cell of a grid: cells of `cell` of the size, holes of `hole` of a cell's side."""
    x_W, y_H1 = _unit_axes(img_BCHW)
    hole_B11 = hole[:, None, None]
    in_column_B1W = torch.frac(x_W / cell[:, None, None] + x[:, None, None]) < hole_B11
    in_row_BH1 = torch.frac(y_H1 / cell[:, None, None] + y[:, None, None]) < hole_B11
    return torch.where((in_column_B1W & in_row_BH1)[:, None], per_image(value), img_BCHW)


OPERATIONS: Final[dict[str, Callable[..., Tensor]]] = {
    "brightness_contrast": brightness_contrast,
    "gamma": gamma,
    "equalise": equalise,
    "illumination": illumination,
    "gaussian_blur": gaussian_blur,
    "motion_blur": motion_blur,
    "gaussian_noise": gaussian_noise,
    "downscale": downscale,
    "erasing": erasing,
    "grid": grid,
}
"""Operation name -> function of (img_BCHW, a [B] tensor for each range and key in the table's order)."""
UNROLLED: Final = OPERATIONS | {"gaussian_blur": gaussian_blur_unrolled, "motion_blur": motion_blur_unrolled}
"""The same for a compiler, which shall make one function of them all.

They are asked for: whether a compiler is at work (`torch.compiler.is_compiling`) would be no answer, as it may be at
work in another thread.
"""


def per_image(value_B: Tensor) -> Tensor:
    """[B, 1, 1, 1]: one number for all pixels of each image."""
    return value_B[:, None, None, None]


def _unit_axes(img_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Pixel centres as fractions of the image: x [W] and y [H, 1], in 0..1."""
    height_px, width_px = img_BCHW.shape[-2:]
    x_W = (torch.arange(width_px, device=img_BCHW.device) + 0.5) / width_px
    y_H = (torch.arange(height_px, device=img_BCHW.device) + 0.5) / height_px
    return x_W, y_H[:, None]


def _centred_axes(img_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    """The same in -1..1."""
    x_W, y_H1 = _unit_axes(img_BCHW)
    return 2 * x_W - 1, 2 * y_H1 - 1


def _hash(place: Tensor, key_high: Tensor, key_low: Tensor) -> Tensor:
    """Random int32 bits (the upper ones the best) for each place under two keys of 24 bits.

    Multiplications and xor-shifts as in C. Wellons' hash-prospector (constants of its `triple32`), the keys mixed in
    between. int32 wraps around; `>>` keeps the sign, so the bits that it fills in are masked away.
    """
    mixed = (place + key_high.to(torch.int32) * -1640531535) * -312814405  # 2654435761, 3982152891
    mixed ^= (mixed >> 11) & 0x1FFFFF
    mixed += key_low.to(torch.int32) * -1640531535
    mixed *= -1404298415  # 2890668881
    mixed ^= (mixed >> 15) & 0x1FFFF
    mixed *= 830770091
    return mixed


def _gaussian(img_BCHW: Tensor, sigma: Tensor) -> tuple[Tensor, int]:
    """A Gaussian's sigmas, and how far the widest one is read, in px."""
    size_px = max(img_BCHW.shape[-2:])
    return sigma * size_px, math.ceil(3 * BLUR_SIGMA_MAX * size_px)


def _half_gaussian(sigma: Tensor, radius_px: int) -> list[Tensor]:
    """The weights of a pixel and of those on one side of it; sigma in px, 0 where nothing happens."""
    fall = 0.5 / (sigma * sigma).clamp(min=1e-12)
    weights = [torch.exp(-(by_px**2) * fall) for by_px in range(radius_px + 1)]
    total = 2 * sum(weights[1:], weights[0] / 2)
    return [weight / total for weight in weights]


def _blurred_along(img_BCHW: Tensor, weights: Sequence[Tensor], axis: int) -> Tensor:
    """Each image filtered along an axis by its own `_half_gaussian`, mirrored at the border.

    A compiler makes one pass of the reads and the sum.
    """
    size_px = img_BCHW.shape[axis]
    place_S = torch.arange(size_px, device=img_BCHW.device)

    def moved(by_px: int) -> Tensor:
        return img_BCHW.index_select(axis, _mirrored(place_S + by_px, size_px))

    blurred = img_BCHW * weights[0]
    for by_px, weight in enumerate(weights[1:], 1):
        blurred = blurred + (moved(-by_px) + moved(by_px)) * weight
    return blurred


def _line(img_BCHW: Tensor, length: Tensor, angle: Tensor) -> tuple[Tensor, Tensor, Tensor, int]:
    """Steps to the right and down, of which one is 1 or -1; half the length in steps; and the most steps of any."""
    size_px = max(img_BCHW.shape[-2:])
    turn_B = torch.deg2rad(angle)
    right_B, down_B = torch.cos(turn_B), -torch.sin(turn_B)
    main_B = torch.maximum(right_B.abs(), down_B.abs())
    most = math.floor(MOTION_LENGTH_MAX * size_px / 2 + 0.5)
    return right_B / main_B, down_B / main_B, length * size_px / 2 * main_B, most


def _covered(place: Tensor | int, half: Tensor) -> Tensor:
    """How much of the pixel at a place lies in a line that reaches as far to both sides of the origin."""
    return (half + 0.5 - place).clamp(0, 1)


def _mean_along(img_BCHW: Tensor, step_x: Tensor, step_y: Tensor, half: Tensor, radius_px: int) -> Tensor:
    """The mean of each image along its line, as `_blurred_along`. All but images are [B, 1, 1, 1]."""
    # By four indices: a place in flat memory would be taken apart again for each pixel that is read.
    image_B, channel_C, y_H, x_W = (torch.arange(size, device=img_BCHW.device) for size in img_BCHW.shape)
    image_B111, channel_C11, y_H1 = image_B[:, None, None, None], channel_C[:, None, None], y_H[:, None]
    steep = step_y.abs() > step_x.abs()
    next_x, next_y = steep.long(), (~steep).long()

    def pixel(x: Tensor, y: Tensor) -> Tensor:
        row, column = _mirrored(y_H1 + y, len(y_H)), _mirrored(x_W + x, len(x_W))
        return img_BCHW[image_B111, channel_C11, row, column]

    total, shares = torch.zeros_like(img_BCHW), torch.zeros_like(half)
    for place in range(-radius_px, radius_px + 1):
        before_x, before_y = (place * step_x).floor(), (place * step_y).floor()
        way = (place * step_x - before_x) + (place * step_y - before_y)
        x, y = before_x.long(), before_y.long()
        before = pixel(x, y)
        share = _covered(abs(place), half)
        total = total + share * (before + (pixel(x + next_x, y + next_y) - before) * way)
        shares = shares + share
    return total / shares


def _mirrored(place: Tensor, size_px: int) -> Tensor:
    """Places less than a side outside, mirrored at the border's pixel centres."""
    last_px = size_px - 1
    return last_px - (last_px - place.abs()).abs()


def _down_up(size_px: int, factor_B: Tensor) -> Tensor:
    """Matrices [B, size, size] that average an axis into cells of `factor` pixels and read it back bilinearly."""
    num_cells_B11 = (size_px / factor_B).floor().clamp_(min=1)[:, None, None]
    cell_px_B11 = size_px / num_cells_B11
    pixel_S = torch.arange(size_px, device=factor_B.device)
    place_BS1 = ((pixel_S[:, None] + 0.5) / cell_px_B11 - 0.5).clamp_(min=0)
    before_BS1 = torch.minimum(place_BS1.floor(), num_cells_B11 - 1)
    after_BS1 = torch.minimum(before_BS1 + 1, num_cells_B11 - 1)

    def average(cell_BS1: Tensor) -> Tensor:
        """How much of each pixel lies in a cell, over the cell's length."""
        start_BS1 = cell_BS1 * cell_px_B11
        overlap_BSS = torch.minimum(start_BS1 + cell_px_B11, pixel_S + 1) - torch.maximum(start_BS1, pixel_S)
        return overlap_BSS.clamp_(min=0) / cell_px_B11

    return torch.lerp(average(before_BS1), average(after_BS1), place_BS1 - before_BS1)
