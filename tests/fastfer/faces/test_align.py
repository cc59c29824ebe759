"""Warps land where they should, to a fraction of a pixel."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfer.faces.align import ARCFACE_LMK_52, align, crop, similarity


@given(st.floats(0.2, 5), st.floats(-3, 3), st.floats(-100, 100), st.floats(-100, 100))
def test_similarity_recovers_rotation_scale_and_shift(scale: float, angle: float, x: float, y: float) -> None:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = similarity(ARCFACE_LMK_52, ARCFACE_LMK_52 @ turn.T + (x, y))
    assert found is not None
    np.testing.assert_allclose(found, np.column_stack([turn, (x, y)]), atol=1e-6)


def test_coinciding_points_have_no_similarity() -> None:
    assert similarity(np.ones((5, 2)), ARCFACE_LMK_52) is None
    assert align(np.zeros((9, 9, 3), np.uint8), np.ones((5, 2)), size_px=32, face_scale=1) is None


def with_dots(lmk_52_px: np.ndarray, side: int) -> np.ndarray:
    """A black image with a soft white dot centred on each landmark (pixel centres at halves)."""
    y, x = np.mgrid[:side, :side] + 0.5
    dots = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * (side / 60) ** 2)) for a, b in lmk_52_px)
    return np.repeat((np.clip(dots, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("side", [80, 400, 1600])
@pytest.mark.parametrize("face_scale", [1.0, 0.8])
def test_landmarks_land_on_the_template_at_every_scale(side: int, face_scale: float) -> None:
    angle = 0.3
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    lmk = ((ARCFACE_LMK_52 - 56) @ turn.T / 112 * 0.6 + 0.5) * side
    face = align(with_dots(lmk, side), lmk, size_px=112, face_scale=face_scale)
    assert face is not None
    assert face.shape == (112, 112, 3)
    due = (ARCFACE_LMK_52 - 56) * face_scale + 56
    y, x = np.mgrid[:112, :112] + 0.5
    for a, b in due:
        near = np.where(np.hypot(x - a, y - b) < 6, face[..., 0].astype(float), 0)
        centre = (near * x).sum() / near.sum(), (near * y).sum() / near.sum()
        assert np.hypot(centre[0] - a, centre[1] - b) < 0.3


def test_crop_of_the_whole_image_is_the_image_resized() -> None:
    rng = np.random.default_rng(0)
    img = cv2.resize(rng.integers(0, 255, (6, 6, 3), np.uint8), (256, 256), interpolation=cv2.INTER_CUBIC)
    small = crop(img, np.array([0.0, 0, 256, 256]), size_px=64, margin=0)
    expected = cv2.resize(img, (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - expected).max() <= 2


def test_crop_widens_by_the_margin_and_repeats_the_border() -> None:
    img = np.full((50, 100, 3), 200, np.uint8)
    img[:, 40:60] = 10
    found = crop(img, np.array([40.0, 15, 60, 35]), size_px=40, margin=0.5)
    assert found[20, 5, 0] == 200
    assert found[20, 20, 0] == 10
    outside = crop(img, np.array([-20.0, -20, 10, 10]), size_px=30, margin=0)
    assert (outside == 200).all()
