"""What is behind and below the demo heads: procedural backgrounds and clothes, drawn from a generator's numbers."""

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fastfer.datasets.demo.portraits import Image, Points

Rng = np.random.Generator
Colour = NDArray[np.float64]
"""RGB, 0..255."""

SKETCH_PX = 240
"""Longer side at which a background is drawn before it is enlarged: cheap, and out of focus as behind a portrait."""


def background(width: int, height: int, rng: Rng) -> Image:
    """Draw a random background, H x W x 3."""
    scale = SKETCH_PX / max(width, height)
    sketch_HW3 = np.empty((round(height * scale), round(width * scale), 3), np.uint8)
    sketch_HW3[:] = _gradient(*sketch_HW3.shape[:2], _colour(rng), _colour(rng), rng)
    SCENERY[rng.integers(len(SCENERY))](sketch_HW3, rng)
    blurred_HW3 = cv2.GaussianBlur(sketch_HW3, (0, 0), rng.uniform(0.4, 1.6))
    return np.asarray(cv2.resize(blurred_HW3, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _studio(img_HWC: Image, rng: Rng) -> None:
    """A mottled backdrop, as photographers hang behind portraits."""
    height, width = img_HWC.shape[:2]
    cells = int(rng.integers(3, 12))
    mottle_HW = cv2.resize(rng.normal(0, 22, (cells, cells)), (width, height), interpolation=cv2.INTER_CUBIC)
    img_HWC[:] = (img_HWC + mottle_HW[..., None]).clip(0, 255)


def _wall(img_HWC: Image, rng: Rng) -> None:
    """Bricks or tiles, each of its own shade."""
    height, width = img_HWC.shape[:2]
    brick_h = int(rng.integers(8, 26))
    brick_w = int(brick_h * rng.uniform(1, 3))
    base, offset = _colour(rng), int(rng.integers(0, 2)) * brick_w // 2
    for row, y in enumerate(range(0, height, brick_h)):
        for x in range(-brick_w + (row % 2) * offset, width, brick_w):
            _rectangle(img_HWC, (x + 1, y + 1), (x + brick_w - 1, y + brick_h - 1), base + rng.normal(0, 9, 3))


def _lights(img_HWC: Image, rng: Rng) -> None:
    """Out-of-focus lights at night."""
    height, width = img_HWC.shape[:2]
    img_HWC //= 3
    for _ in range(rng.integers(12, 45)):
        layer_HW3, centre = img_HWC.copy(), (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(layer_HW3, centre, int(rng.integers(4, 24)), _scalar(_colour(rng) * 0.5 + 120), -1, cv2.LINE_AA)
        opacity = rng.uniform(0.2, 0.7)
        img_HWC[:] = cv2.addWeighted(layer_HW3, opacity, img_HWC, 1 - opacity, 0)


def _room(img_HWC: Image, rng: Rng) -> None:
    """A wall with pictures, windows and a floor."""
    height, width = img_HWC.shape[:2]
    _rectangle(img_HWC, (0, int(height * rng.uniform(0.6, 0.9))), (width, height), _colour(rng) * 0.6)
    for _ in range(rng.integers(3, 9)):
        x, y = int(rng.integers(-20, width)), int(rng.integers(-20, height))
        w, h = int(rng.integers(15, 90)), int(rng.integers(15, 90))
        _rectangle(img_HWC, (x, y), (x + w, y + h), _colour(rng) * 0.4)
        _rectangle(img_HWC, (x + 3, y + 3), (x + w - 3, y + h - 3), _colour(rng))


def _foliage(img_HWC: Image, rng: Rng) -> None:
    """Leaves of one hue in many shades."""
    height, width = img_HWC.shape[:2]
    base = _colour(rng) * 0.8
    for _ in range(rng.integers(150, 400)):
        centre, shade = (int(rng.integers(width)), int(rng.integers(height))), rng.uniform(0.3, 1.4)
        axes, angle = (int(rng.integers(3, 14)), int(rng.integers(2, 6))), float(rng.uniform(0, 180))
        cv2.ellipse(img_HWC, centre, axes, angle, 0, 360, _scalar(base * shade), -1)


def _stripes(img_HWC: Image, rng: Rng) -> None:
    """Curtains or banners, at any angle."""
    height, width = img_HWC.shape[:2]
    angle, period = rng.uniform(0, np.pi), rng.uniform(10, 60)
    y_HW, x_HW = np.mgrid[:height, :width]
    wave_HW = np.sin((x_HW * np.cos(angle) + y_HW * np.sin(angle)) * 2 * np.pi / period + rng.uniform(0, 6))
    wave_HW = np.tanh(wave_HW * rng.uniform(0.5, 6))
    img_HWC[:] = (img_HWC + wave_HW[..., None] * rng.normal(0, 35, 3)).clip(0, 255)


SCENERY: Final[tuple[Callable[[Image, Rng], None], ...]] = (_studio, _wall, _lights, _room, _foliage, _stripes)
"""Each draws over a plain colour gradient, in place."""

TILE_PX = 64
"""Side of one period of a cloth's pattern as it is drawn before it is laid over the torso."""

SHOULDERS: Final = (
    (0.60, 1.72), (0.85, 1.98), (1.45, 2.30), (2.05, 2.62), (2.40, 3.20), (2.60, 4.50), (2.80, 40.0),
)  # fmt: skip
"""Right half of a torso's outline, in eye distances from between the eyes."""


def draw_torso(img_HWC: Image, neck_px: tuple[float, float], unit_px: float, lean_deg: float, rng: Rng) -> None:
    """Draw clothed shoulders into the picture, in place, to the bottom edge.

    Args:
        img_HWC: The picture.
        neck_px: Where the point between the eyes would be if the head were upright on this neck.
        unit_px: The eye distance.
        lean_deg: Rotation of the shoulders, clockwise.
        rng: Draws the build, the cloth and its pattern.
    """
    right_N2 = np.array(SHOULDERS) * (rng.uniform(0.9, 1.25), 1)
    right_N2[0] = SHOULDERS[0]  # the neck keeps its width
    outline_N2 = _place(np.concatenate([right_N2, right_N2[::-1] * (-1, 1)]), neck_px, unit_px, lean_deg)
    x0, y0 = np.maximum(outline_N2.min(axis=0), 0).astype(int)
    x1, y1 = np.minimum(outline_N2.max(axis=0) + 1, img_HWC.shape[1::-1]).astype(int)
    if x0 >= x1 or y0 >= y1:
        return

    mask_HW = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillPoly(mask_HW, [np.round(outline_N2 - (x0, y0)).astype(np.int32)], 255, cv2.LINE_AA)
    cloth_HW3 = _cloth(x1 - x0, y1 - y0, unit_px, rng)
    seam_N2 = np.array([(0.62, 1.75), (0.95, 2.1), (0.55, rng.uniform(2.6, 3.2)), (0.0, rng.uniform(3.0, 4.0))])
    collar_N2 = _place(np.concatenate([seam_N2, seam_N2[::-1] * (-1, 1)]), neck_px, unit_px, lean_deg) - (x0, y0)
    thickness, dark = max(1, int(unit_px * 0.05)), (20, 20, 25)
    cv2.polylines(cloth_HW3, [collar_N2.astype(np.int32)], False, dark, thickness, cv2.LINE_AA)
    under_HW3, alpha_HW1 = img_HWC[y0:y1, x0:x1], mask_HW[..., None].astype(np.float32) / 255
    under_HW3[:] = under_HW3 + alpha_HW1 * np.subtract(cloth_HW3, under_HW3, dtype=np.float32)


def _cloth(width: int, height: int, unit_px: float, rng: Rng) -> Image:
    """Plain, striped, checked or dotted cloth, lit from one side."""
    first, second = _colour(rng), _colour(rng)
    pattern_HW = _weave(int(rng.integers(4)))
    tile_HW3 = (first + pattern_HW[..., None] * (second - first)).astype(np.uint8)
    finer, angle = TILE_PX / (unit_px * rng.uniform(0.15, 0.7)), rng.uniform(0, np.pi)
    cos, sin = finer * np.cos(angle), finer * np.sin(angle)
    cloth_HW3 = cv2.warpAffine(
        tile_HW3,
        np.array([(cos, -sin, 0), (sin, cos, 0)]),
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_WRAP,
    )
    light_W = np.linspace(rng.uniform(0.7, 1.0), rng.uniform(0.7, 1.0), width, dtype=np.float32)
    return np.asarray(cloth_HW3 * light_W[:, None], np.uint8)


def _weave(kind: int) -> NDArray[np.float64]:
    """One period of a pattern: the share of the second colour, 0..1."""
    y_HW, x_HW = np.mgrid[:TILE_PX, :TILE_PX] / TILE_PX
    stripes_HW, across_HW = (x_HW < 0.4) * 1.0, (y_HW < 0.4) * 1.0
    dots_HW = (np.hypot(x_HW - 0.5, y_HW - 0.5) < 0.3) * 1.0
    kinds = (np.zeros_like(dots_HW), stripes_HW, (stripes_HW + across_HW) / 2, dots_HW)
    return np.asarray(kinds[kind])


def _place(points_N2: Points, origin_px: tuple[float, float], unit_px: float, angle_deg: float) -> Points:
    angle = np.deg2rad(angle_deg)
    cos, sin = unit_px * np.cos(angle), unit_px * np.sin(angle)
    return np.asarray(points_N2 @ np.array([(cos, sin), (-sin, cos)]) + origin_px)


def _gradient(height: int, width: int, first: Colour, second: Colour, rng: Rng) -> Image:
    angle = rng.uniform(0, 2 * np.pi)
    y_HW, x_HW = np.mgrid[:height, :width]
    share_HW = 0.5 + 0.5 * ((x_HW / width - 0.5) * np.cos(angle) + (y_HW / height - 0.5) * np.sin(angle))
    return np.asarray(first + share_HW[..., None] * (second - first), np.uint8)


def _colour(rng: Rng) -> Colour:
    """Any hue, seldom garish."""
    hsv_113 = np.array([[[rng.integers(180), rng.beta(2, 3) * 255, 40 + rng.beta(2, 1.6) * 200]]], np.uint8)
    return np.asarray(cv2.cvtColor(hsv_113, cv2.COLOR_HSV2RGB)[0, 0], np.float64)


def _rectangle(img_HWC: Image, start: tuple[int, int], end: tuple[int, int], colour: Colour) -> None:
    cv2.rectangle(img_HWC, start, end, _scalar(colour), -1)


def _scalar(colour: Colour) -> tuple[float, ...]:
    return tuple(float(channel) for channel in colour.clip(0, 255))
