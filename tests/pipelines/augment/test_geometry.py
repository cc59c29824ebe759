import cv2
import kornia.geometry
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipelines.augment.draws import Drawn, draw
from pipelines.augment.geometry import MATRICES, Warper, sampling_matrices, warp, warp_by_gathers
from pipelines.augment.policy import STRONG

GEOMETRY = STRONG.groups[0]
NEUTRAL = {"rotation": (0,), "translation": (0, 0), "scale": (1,), "shear": (0, 0), "perspective": (0, 0)}


def drawn(name: str, *params: float, batch: int = 1) -> Drawn:
    operation = next(one for one in GEOMETRY.operations if one.name == name)
    return Drawn(operation, GEOMETRY, np.arange(batch), np.tile(np.array(params, dtype=float), (batch, 1)))


def sampling(one: Drawn, batch: int, height_px: int, width_px: int) -> Tensor:
    return torch.from_numpy(sampling_matrices([one], batch, height_px, width_px)).float()


def pixel_matrix(sampling_33: NDArray[np.float64], height_px: int, width_px: int) -> NDArray[np.float64]:
    """The matrix from input to output in pixels from the upper left corner, as OpenCV and kornia take it."""
    half_x, half_y = (width_px - 1) / 2, (height_px - 1) / 2
    to_pixels = np.array([[half_x, 0, half_x], [0, half_y, half_y], [0, 0, 1]])
    forward_33: NDArray[np.float64] = to_pixels @ np.linalg.inv(sampling_33) @ np.linalg.inv(to_pixels)
    return forward_33


def unit(photos: Tensor) -> Tensor:
    return photos.float() / 255


def strong_sampling(batch: int, height_px: int, width_px: int) -> NDArray[np.float64]:
    ours = [one for one in draw(STRONG, 0, 0, np.arange(batch)) if one.group is GEOMETRY]
    return sampling_matrices(ours, batch, height_px, width_px)


def test_every_geometric_operation_has_a_matrix() -> None:
    assert set(MATRICES) == {operation.name for operation in GEOMETRY.operations}


@pytest.mark.parametrize("name", NEUTRAL)
def test_zero_magnitude_is_the_identity(name: str, photos: Tensor) -> None:
    img = unit(photos)
    matrix = sampling(drawn(name, *NEUTRAL[name], batch=6), 6, 96, 96)
    torch.testing.assert_close(warp(img, matrix), img, atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "params", "expected_xy"),
    [
        ("flip", (), (-30, 10)),
        ("rotation", (90,), (10, -30)),  # anticlockwise as seen: right goes up
        ("translation", (0.1, -0.05), (40, 5)),
        ("scale", (1.5,), (45, 15)),
        ("shear", (45, 0), (40, 10)),
        ("shear", (0, 45), (30, 40)),
        ("perspective", (0.1, 0), (30 / 1.12, 10 / 1.12)),
    ],
)
def test_where_a_point_goes(name: str, params: tuple[float, ...], expected_xy: tuple[float, float]) -> None:
    x, y, w = (MATRICES[name](np.array([params]), 100, 100) @ [30, 10, 1])[0]
    assert (x / w, y / w) == pytest.approx(expected_xy)


def test_the_flip_is_a_flip(photos: Tensor) -> None:
    img = unit(photos)
    torch.testing.assert_close(warp(img, sampling(drawn("flip", batch=6), 6, 96, 96)), img.flip(3), atol=2e-5, rtol=0)


def test_a_whole_pixel_shift_mirrors_the_border(photos: Tensor) -> None:
    img = unit(photos)[:1]
    shifted = warp(img, sampling(drawn("translation", 10 / 96, 0), 1, 96, 96))
    torch.testing.assert_close(shifted, F.pad(img, (10, 0, 0, 0), mode="reflect")[..., :96], atol=2e-5, rtol=0)


def test_operations_compose_in_the_order_of_the_table() -> None:
    rotate, shift = drawn("rotation", 90), drawn("translation", 0.1, 0)
    matrix = pixel_matrix(sampling_matrices([rotate, shift], 1, 101, 101)[0], 101, 101)
    x, y, w = matrix @ [80, 50, 1]  # 30 right of the centre: turned to 30 above it, then moved 10.1 right
    assert (x / w, y / w) == pytest.approx((60.1, 20))


@pytest.mark.parametrize("size_px", [(96, 96), (64, 80)])
def test_agrees_with_kornia(photos: Tensor, size_px: tuple[int, int]) -> None:
    img = unit(photos)[:, :, : size_px[0], : size_px[1]]
    matrix = strong_sampling(6, *size_px)
    forward = torch.from_numpy(np.stack([pixel_matrix(one, *size_px) for one in matrix]))
    theirs = kornia.geometry.warp_perspective(
        img.double(), forward, size_px, padding_mode="reflection", align_corners=True
    )
    torch.testing.assert_close(warp(img, torch.from_numpy(matrix).float()), theirs.float(), atol=1e-4, rtol=0)


def test_agrees_with_opencv(photos: Tensor) -> None:
    img = unit(photos)
    matrix = strong_sampling(6, 96, 96)
    ours = warp(img, torch.from_numpy(matrix).float())
    theirs = [
        cv2.warpPerspective(one[0].numpy(), pixel_matrix(m, 96, 96), (96, 96), borderMode=cv2.BORDER_REFLECT_101)
        for one, m in zip(img, matrix, strict=True)
    ]
    # OpenCV rounds positions to 1/32 of a pixel.
    torch.testing.assert_close(ours[:, 0], torch.from_numpy(np.stack(theirs)), atol=0.04, rtol=0)
    assert (ours[:, 0] - torch.from_numpy(np.stack(theirs))).abs().mean() < 1e-3


def test_without_perspective_the_division_may_be_left_out(photos: Tensor) -> None:
    img = unit(photos)
    matrix = sampling(drawn("rotation", 17, batch=6), 6, 96, 96)
    assert torch.equal(warp(img, matrix, perspective=False), warp(img, matrix, perspective=True))


@pytest.mark.parametrize("batch", [1, 21, 22, 50])
def test_chunks_give_exactly_what_single_images_give(photo: NDArray[np.uint8], batch: int) -> None:
    img = torch.from_numpy(photo).expand(batch, 3, 96, 96)
    matrix = torch.from_numpy(strong_sampling(batch, 96, 96)).float()
    out = torch.empty(batch, 3, 96, 96)
    Warper()(img, matrix, out, perspective=True)
    alone = [warp(img[one : one + 1] / 255, matrix[one : one + 1]) for one in range(batch)]
    assert torch.equal(out, torch.cat(alone))


def test_a_warper_serves_batches_of_different_sizes(photos: Tensor) -> None:
    warper = Warper()
    for batch, size_px in ((6, 96), (2, 96), (6, 64), (6, 96)):
        img = photos[:batch, :, :size_px, :size_px]
        matrix = torch.from_numpy(strong_sampling(batch, size_px, size_px)).float()
        out = torch.empty(img.shape)
        warper(img, matrix, out, perspective=True)
        assert torch.equal(out, warp(img / 255, matrix))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(16, 16), (60, 40), (2, 5)])
def test_by_gathers_it_is_the_same_warp(photos: Tensor, channels: int, size: tuple[int, int]) -> None:
    height_px, width_px = size
    img = photos[:6, :, :height_px, :width_px].expand(-1, channels, -1, -1)
    for matrix in (strong_sampling(6, *size), 2.5 * strong_sampling(6, *size)):  # the second reaches far outside
        sampling_B33 = torch.from_numpy(matrix / matrix[:, 2:, 2:]).float()
        for source in (img, unit(img)):
            out = torch.full(img.shape, torch.nan)
            warp_by_gathers(source, sampling_B33, out)
            torch.testing.assert_close(out, warp(unit(img), sampling_B33), atol=2e-5, rtol=0)


def test_compiles_without_graph_breaks(photos: Tensor) -> None:
    img = unit(photos)[:2, :, :16, :16]
    matrix = torch.from_numpy(strong_sampling(2, 16, 16)).float()
    for perspective in (True, False):
        out, expected = torch.empty(img.shape), torch.empty(img.shape)
        compiled = torch.compile(warp_by_gathers, backend="aot_eager", fullgraph=True)
        compiled(img, matrix, out, perspective=perspective)
        warp_by_gathers(img, matrix, expected, perspective=perspective)
        assert torch.equal(out, expected)
