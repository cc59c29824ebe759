import cv2
import kornia.geometry
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipelines.augment.draws import Drawn, draw
from pipelines.augment.geometry import MOVES, in_pixels, sampling_matrices
from pipelines.augment.policy import STRONG
from pipelines.augment.warp import warp

GEOMETRY = STRONG.groups[0]
NEUTRAL = {"rotation": (0,), "translation": (0, 0), "scale": (1,), "shear": (0, 0), "perspective": (0, 0)}


def drawn(name: str, *params: float, batch: int = 1) -> Drawn:
    operation = next(one for one in GEOMETRY.operations if one.name == name)
    return Drawn(operation, GEOMETRY, np.arange(batch), np.tile(np.array(params, dtype=float), (batch, 1)))


def sampling(one: Drawn, batch: int, height_px: int, width_px: int) -> Tensor:
    return torch.from_numpy(sampling_matrices([one], batch, height_px, width_px)).float()


def pixel_matrix(sampling_33: NDArray[np.float64], height_px: int, width_px: int) -> NDArray[np.float64]:
    """The matrix from input to output in pixels from the upper left corner, as OpenCV and kornia take it."""
    forward_33: NDArray[np.float64] = np.linalg.inv(in_pixels(sampling_33, height_px, width_px))
    return forward_33


def unit(photos: Tensor) -> Tensor:
    return photos.float() / 255


def strong_sampling(batch: int, height_px: int, width_px: int) -> NDArray[np.float64]:
    ours = [one for one in draw(STRONG, 0, 0, np.arange(batch)) if one.group is GEOMETRY]
    return sampling_matrices(ours, batch, height_px, width_px)


def test_every_geometric_operation_moves_points() -> None:
    assert set(MOVES) == {operation.name for operation in GEOMETRY.operations}


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
        ("translation", (0.1, -0.05), (50, 5)),
        ("scale", (1.5,), (45, 15)),
        ("shear", (45, 0), (40, 10)),
        ("shear", (0, 45), (30, 40)),
        ("perspective", (0.1, 0), (30 / 1.06, 10 / 1.06)),
        ("perspective", (0, 0.1), (30 / 1.04, 10 / 1.04)),
    ],
)
def test_where_a_point_goes(name: str, params: tuple[float, ...], expected_xy: tuple[float, float]) -> None:
    xyw_31 = np.array([[30.0], [10.0], [1.0]])
    MOVES[name](xyw_31, np.array(params)[:, None], 100, 200)
    x, y, w = xyw_31[:, 0]
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
    matrix = pixel_matrix(sampling_matrices([rotate, shift], 1, 101, 201)[0], 101, 201)
    x, y, w = matrix @ [130, 50, 1]  # 30 right of the centre: turned to 30 above it, then moved 20.1 right
    assert (x / w, y / w) == pytest.approx((120.1, 20))


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
