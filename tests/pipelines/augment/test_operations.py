import inspect
import itertools

import cv2
import kornia.augmentation
import kornia.enhance
import kornia.filters
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from pipelines.augment import operations
from pipelines.augment.limits import BLUR_SIGMA_MAX, MOTION_LENGTH_MAX, ON_PIXELS, TAKES
from pipelines.augment.operations import OPERATIONS, UNROLLED
from pipelines.augment.policy import STRONG

TABLE = {operation.name: operation for operation in STRONG.operations if operation.name in OPERATIONS}

NEUTRAL = {
    "brightness_contrast": (0.0, 1.0),
    "gamma": (1.0,),
    "equalise": (0.0,),
    "illumination": (0.0, 30.0),
    "gaussian_blur": (0.0,),
    "motion_blur": (0.0, 30.0),
    "gaussian_noise": (0.0, 1.0, 2.0),
    "downscale": (1.0,),
    "erasing": (0.0, 0.5, 0.5, 0.5, 0.5),
    "grid": (0.2, 0.0, 0.3, 0.3, 0.5),
}
"""The parameters at which an operation does nothing."""


def columns(batch: int, *params: float) -> list[Tensor]:
    return [torch.full((batch,), float(value)) for value in params]


def spread(name: str, batch: int) -> list[Tensor]:
    """Parameters over the whole table range, different for each image."""
    operation = TABLE[name]
    place_B = (torch.arange(batch) + 0.8) / batch
    ranges = [drawn.low + (drawn.high - drawn.low) * place_B for drawn in operation.ranges]
    return ranges + [torch.arange(batch) * 1000.0 + 77 for _ in range(operation.keys)]


def pictures(photos: Tensor, channels: int = 1) -> Tensor:
    """float 0..1 [6, channels, 96, 80], the channels different."""
    img = photos[..., :80].float() / 255
    return torch.cat([img.roll(channel, 0) for channel in range(channels)], dim=1)


def test_every_operation_of_the_table_is_there() -> None:
    geometry = {operation.name for operation in STRONG.groups[0].operations}
    assert set(OPERATIONS) == {operation.name for operation in STRONG.operations} - geometry


@pytest.mark.parametrize("name", OPERATIONS)
def test_parameters_are_named_as_in_the_table(name: str) -> None:
    arguments = list(inspect.signature(OPERATIONS[name]).parameters)[1:]
    parameters, keys = TAKES[name]
    assert arguments[: len(parameters)] == list(parameters)
    assert len(arguments) == len(parameters) + keys
    assert all(key.startswith("key_") for key in arguments[len(parameters) :])


@given(data=st.data())
def test_whatever_is_within_the_limits_gives_an_image(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(ON_PIXELS)))
    limits, keys = TAKES[name]
    ranges = [*limits.values(), *[(0.0, 2.0**24 - 1)] * keys]
    height_px, width_px = (data.draw(st.integers(2, 40)) for _ in range(2))
    params = [data.draw(st.floats(low, high, width=32)) for low, high in (map(np.float32, pair) for pair in ranges)]
    levels = data.draw(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=4))
    img = torch.tensor(levels)[torch.arange(height_px * width_px) % len(levels)].view(1, 1, height_px, width_px)
    out = OPERATIONS[name](img, *columns(1, *params))
    assert out.shape == img.shape
    assert 0 <= out.min() <= out.max() <= 1  # false for NaN, too


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OPERATIONS)
def test_zero_magnitude_is_the_identity(name: str, channels: int, photos: Tensor) -> None:
    img = pictures(photos, channels)
    torch.testing.assert_close(OPERATIONS[name](img, *columns(6, *NEUTRAL[name])), img, atol=2e-6, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OPERATIONS)
def test_shape_dtype_range_and_effect(name: str, channels: int, photos: Tensor) -> None:
    img = pictures(photos, channels)
    before = img.clone()
    out = OPERATIONS[name](img, *spread(name, 6))
    assert torch.equal(img, before), "the input was changed"
    assert (out.shape, out.dtype) == (img.shape, torch.float32)
    assert 0 <= out.min() <= out.max() <= 1  # false for NaN, too
    assert (out - img).abs().amax((1, 2, 3)).min() > 0.02, "an image was not changed"


@pytest.mark.parametrize("name", OPERATIONS)
def test_extremes_of_the_image_stay_in_range(name: str) -> None:
    img = torch.stack([torch.zeros(1, 40, 40), torch.ones(1, 40, 40), torch.eye(40)[None]])
    out = OPERATIONS[name](img, *spread(name, 3))
    assert 0 <= out.min() <= out.max() <= 1


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_image_is_independent_of_its_batch(name: str, photos: Tensor) -> None:
    img, params = pictures(photos), spread(name, 6)
    for operation in {OPERATIONS[name], UNROLLED[name]}:
        whole = operation(img, *params)
        for one in range(6):
            alone = operation(img[one : one + 1], *(param[one : one + 1] for param in params))
            torch.testing.assert_close(whole[one : one + 1], alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_same_arguments_give_the_same_bits(name: str, photos: Tensor) -> None:
    img, params = pictures(photos), spread(name, 6)
    first = OPERATIONS[name](img, *params)
    torch.rand(1)
    assert torch.equal(OPERATIONS[name](img, *params), first)


@pytest.mark.parametrize("name", OPERATIONS)
def test_compiles_without_graph_breaks(name: str) -> None:
    img = torch.from_numpy(np.random.default_rng(0).random((2, 1, 24, 24), dtype=np.float32))
    params = spread(name, 2)
    for operation in {OPERATIONS[name], UNROLLED[name]}:
        compiled = torch.compile(operation, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(img, *params), OPERATIONS[name](img, *params), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_compiler_at_work_in_another_thread_changes_nothing(
    name: str, photos: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network is compiled while batches are made ready; torch says of every thread that it is compiling, then."""
    img, params = pictures(photos), spread(name, 6)
    before = OPERATIONS[name](img, *params)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert torch.equal(OPERATIONS[name](img, *params), before)


def test_brightness_and_contrast_are_kornias(photos: Tensor) -> None:
    img = pictures(photos)
    ours = operations.brightness_contrast(img, *columns(6, 0.1, 0.9))
    scaled = kornia.enhance.adjust_contrast(img, 0.9)
    torch.testing.assert_close(ours, kornia.enhance.adjust_brightness(scaled, 0.1), atol=1e-6, rtol=0)
    kornias_class = kornia.augmentation.RandomBrightness(brightness=(1.1, 1.1), p=1.0)
    torch.testing.assert_close(operations.brightness_contrast(img, *columns(6, 0.1, 1)), kornias_class(img))


def test_gamma_is_kornias(photos: Tensor) -> None:
    img = pictures(photos)
    kornias_class = kornia.augmentation.RandomGamma(gamma=(1.4, 1.4), gain=(1.0, 1.0), p=1.0)
    torch.testing.assert_close(operations.gamma(img, *columns(6, 1.4)), kornias_class(img))


def test_equalise_is_opencvs(photos: Tensor) -> None:
    img = pictures(photos, 3)
    ours = (operations.equalise(img, *columns(6, 1)) * 255).round().byte().numpy()
    theirs = [[cv2.equalizeHist((channel * 255).round().byte().numpy()) for channel in image.unbind()] for image in img]
    assert np.abs(ours.astype(int) - np.array(theirs)).max() <= 1
    assert (ours == np.array(theirs)).mean() > 0.99


def test_equalise_by_half_is_the_mean_of_both(photos: Tensor) -> None:
    img = pictures(photos)
    half = operations.equalise(img, *columns(6, 0.5))
    torch.testing.assert_close(half, (img + operations.equalise(img, *columns(6, 1))) / 2)


def test_equalise_is_near_kornias(photos: Tensor) -> None:
    img = pictures(photos)
    difference = operations.equalise(img, *columns(6, 1)) - kornia.enhance.equalize(img)
    assert difference.abs().mean() < 3 / 255  # its step is a whole number of pixels


def test_equalise_reads_no_level_that_is_none() -> None:
    """Compiled, nobody checks places."""
    img = torch.tensor([-3.0, 0.2, 0.7, 90.0, torch.nan, torch.inf]).view(1, 1, 2, 3)
    equalised = operations.equalise(img, *columns(1, 1))
    assert torch.isfinite(equalised[0, 0, 0]).all()


def test_equalise_leaves_a_flat_image() -> None:
    img = torch.full((2, 1, 16, 16), 0.3)
    assert torch.equal(operations.equalise(img, *columns(2, 1)), img)


@pytest.mark.parametrize("angle", [0, 90, 135, 200])
def test_illumination_falls_along_its_angle(angle: float) -> None:
    """Neither kornia nor OpenCV has it: kornia's `RandomLinearIllumination` adds light, where this is a gain."""
    out = operations.illumination(torch.full((1, 1, 33, 65), 0.5), *columns(1, 0.4, angle))[0, 0].numpy()
    y, x = np.mgrid[0:33, 0:65]
    x, y = (2 * x + 1) / 65 - 1, (2 * y + 1) / 33 - 1
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    np.testing.assert_allclose(out, 0.5 * (1 + 0.4 * (cos * x - sin * y) / (abs(cos) + abs(sin))), atol=1e-6)


@pytest.mark.parametrize("sigma_px", [0.5, 0.8, 1.1])
def test_gaussian_blur_is_opencvs(sigma_px: float, photos: Tensor) -> None:
    img = pictures(photos)
    kernel_px = 2 * int(np.ceil(3 * BLUR_SIGMA_MAX * 96)) + 1
    ours = operations.gaussian_blur(img, *columns(6, sigma_px / 96))
    theirs = [cv2.GaussianBlur(one[0].numpy(), (kernel_px, kernel_px), sigma_px) for one in img]
    torch.testing.assert_close(ours[:, 0], torch.from_numpy(np.stack(theirs)), atol=1e-5, rtol=0)


def test_gaussian_blur_is_kornias(photos: Tensor) -> None:
    img = pictures(photos)
    kernel_px = 2 * int(np.ceil(3 * BLUR_SIGMA_MAX * 96)) + 1
    kornias_class = kornia.augmentation.RandomGaussianBlur((kernel_px, kernel_px), (1.0, 1.0), p=1.0)
    ours = operations.gaussian_blur(img, *columns(6, 1 / 96))
    torch.testing.assert_close(ours, kornias_class(img), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("angle", "tolerance"), [(0, 1e-5), (90, 1e-5), (45, 0.08), (30, 0.08)])
def test_motion_blur_is_kornias_along_the_axes_and_near_it_between(
    angle: float, tolerance: float, photos: Tensor
) -> None:
    img = pictures(photos)
    theirs = kornia.filters.motion_blur(img, 5, torch.full((6,), float(angle)), torch.zeros(6), mode="bilinear")
    ours = operations.motion_blur(img, *columns(6, 5 / 96, angle))
    assert (ours - theirs).abs().max() < tolerance
    assert (ours - theirs).abs().max() < 0.5 * (img - theirs).abs().max()


def test_motion_blur_keeps_what_runs_along_it() -> None:
    stripes = (torch.arange(64) % 8 < 4).float().expand(1, 1, 64, 64)  # vertical stripes
    along = operations.motion_blur(stripes, *columns(1, MOTION_LENGTH_MAX, 90))
    across = operations.motion_blur(stripes, *columns(1, MOTION_LENGTH_MAX, 0))
    torch.testing.assert_close(along, stripes, atol=1e-5, rtol=0)
    assert across.std() < 0.9 * stripes.std()


def test_noise_is_normal_and_uncorrelated() -> None:
    img = torch.full((2, 1, 224, 224), 0.5)
    noise = (operations.gaussian_noise(img, *columns(2, 0.05, 123, 456)) - img) / 0.05
    assert abs(noise[0].mean()) < 0.02
    assert noise[0].std() == pytest.approx(1, abs=0.01)
    assert (noise[0] ** 4).mean() == pytest.approx(3, abs=0.1)
    for shift in ((0, 1), (1, 0), (1, 1), (0, 2), (0, 64)):
        assert abs((noise[0] * noise[0].roll(shift, (1, 2))).mean()) < 0.02


def test_noise_differs_by_either_key_and_by_channel() -> None:
    img = torch.full((64, 3, 32, 32), 0.5)
    keys = torch.arange(64.0)
    patterns = [
        operations.gaussian_noise(img, torch.full((64,), 0.05), keys, torch.zeros(64)),
        operations.gaussian_noise(img, torch.full((64,), 0.05), torch.zeros(64), keys),
    ]
    flat = torch.cat(patterns).view(2 * 64 * 3, -1)[3:]  # the first image has both keys 0, as image 64 has
    correlation = torch.corrcoef(flat) - torch.eye(len(flat))
    assert correlation.abs().max() < 0.2  # six standard deviations of 1/32


@pytest.mark.parametrize("factor", [2, 4])
def test_downscale_is_area_down_and_bilinear_up(factor: int, photos: Tensor) -> None:
    img = pictures(photos)
    small = F.interpolate(img, size=(96 // factor, 80 // factor), mode="area")
    theirs = F.interpolate(small, size=(96, 80), mode="bilinear", align_corners=False)
    torch.testing.assert_close(operations.downscale(img, *columns(6, factor)), theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("factor", "cells"), [(1.3, 30), (2.5, 16), (3.0, 13), (50.0, 1)])
def test_downscale_keeps_as_many_cells_as_fit_whole(factor: float, cells: int) -> None:
    small = operations.downscale(torch.eye(40)[None, None], *columns(1, factor))
    assert torch.linalg.matrix_rank(small[0, 0], atol=1e-5) == cells


def test_erasing_fills_what_kornia_fills(photos: Tensor) -> None:
    img = pictures(photos)[:1]
    kornias_class = kornia.augmentation.RandomErasing(value=0.25, p=1.0)
    rectangle = {"widths": 20, "heights": 24, "xs": 30, "ys": 36, "values": 0.25}
    params = {name: torch.tensor([value]) for name, value in rectangle.items()}
    theirs = kornias_class(
        img, params=params | {"batch_prob": torch.ones(1), "forward_input_shape": torch.tensor(img.shape)}
    )
    area, aspect = 20 * 24 / (96 * 80), np.log2((20 / 80) / (24 / 96))
    ours = operations.erasing(img, *columns(1, area, aspect, 30 / 60, 36 / 72, 0.25))
    assert torch.equal(ours, theirs)


def test_erasing_stays_inside_and_covers_its_area() -> None:
    generator = torch.Generator().manual_seed(0)
    unit = torch.rand(4, 50, generator=generator)
    out = operations.erasing(
        torch.zeros(50, 1, 200, 200), 0.02 + 0.1 * unit[0], 2 * unit[1] - 1, unit[2], unit[3], torch.ones(50)
    )
    torch.testing.assert_close(out.mean((1, 2, 3)), 0.02 + 0.1 * unit[0], atol=0.005, rtol=0)


def test_the_grid_is_what_opencv_fills() -> None:
    """Holes of 12 x 9 px in cells of 30 x 24 px, from the first pixel on."""
    img = torch.rand(1, 1, 96, 120, generator=torch.Generator().manual_seed(0))
    filled = img[0, 0].numpy().copy()
    for x, y in itertools.product(range(0, 120, 30), range(0, 96, 24)):
        cv2.rectangle(filled, (x, y), (x + 11, y + 8), 0.25, cv2.FILLED)  # both corners are filled
    out = operations.grid(img, *columns(1, 0.25, 0.39, 0, 0, 0.25))
    assert torch.equal(out[0, 0], torch.from_numpy(filled))


def test_the_grid_is_a_grid() -> None:
    out = operations.grid(torch.zeros(1, 1, 80, 100), *columns(1, 0.25, 0.4, 0, 0.5, 1))[0, 0].numpy()
    y, x = np.mgrid[0:80, 0:100]
    in_hole: NDArray[np.bool_] = (((x + 0.5) / 25) % 1 < 0.4) & (((y + 0.5) / 20 + 0.5) % 1 < 0.4)
    assert np.array_equal(out == 1, in_hole)
