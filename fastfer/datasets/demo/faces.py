"""Draws one head into a picture: portrait, expression, face shape, pose and light in a single warp."""

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from fastfer.datasets.demo.expressions import Mimic
from fastfer.datasets.demo.portraits import Image, Points, Portrait, affine

Floats = NDArray[np.float32]

GRID_STEP_PX = 4
"""The warp is computed on every fourth pixel and interpolated between: smooth, and a sixteenth of the work."""


@dataclass(frozen=True, kw_only=True, eq=False)  # without slots, for cached_property
class Head:
    """Everything that decides how one head looks in a picture."""

    portrait: Portrait
    mimic: Mimic
    pose_33: Points  # homography: face frame to pixels of the picture
    gain_3: NDArray[np.float64]  # factor on each colour
    gamma: float
    light_2: NDArray[np.float64]  # brightness added per unit of the face frame to the right and downwards

    @property
    def unit_px(self) -> float:
        """About the eye distance in the picture."""
        return float(np.hypot(*self.pose_33[:2, 0]))

    @cached_property
    def lmk_P2_px(self) -> Points:
        """The five landmarks in the picture."""
        return self._to_picture(self.mimic.push(self.portrait.lmk_P2))

    @cached_property
    def box_xyxy_px(self) -> NDArray[np.float64]:
        """MTCNN's box of the portrait, carried along: upright, from forehead to chin."""
        left, top, right, bottom = edges_42 = self._to_picture(self.mimic.push(self.portrait.box_edges_42))
        centre = edges_42.mean(axis=0)
        half = np.array([np.linalg.norm(right - left), np.linalg.norm(bottom - top)]) / 2
        return np.concatenate([centre - half, centre + half])

    @property
    def outline_N2_px(self) -> Points:
        """Outline of the head in the picture, its expression left aside."""
        return self._to_picture(self.portrait.outline_N2)

    def moved(self, shift_px: NDArray[np.float64]) -> "Head":
        """The same head elsewhere in the picture."""
        shift_33 = np.eye(3)
        shift_33[:2, 2] = shift_px
        return replace(self, pose_33=shift_33 @ self.pose_33)

    def _to_picture(self, points_N2: Points) -> Points:
        moved_N12 = cv2.perspectiveTransform(points_N2[:, None], self.pose_33)
        return np.asarray(moved_N12[:, 0], np.float64)


def pose(
    *, centre_px: tuple[float, float], unit_px: float, roll_deg: float, shear: float, tilt: tuple[float, float]
) -> Points:
    """Homography from the face frame to the picture.

    Args:
        centre_px: Where the point between the eyes goes.
        unit_px: The eye distance in the picture.
        roll_deg: Rotation in the picture's plane, clockwise.
        shear: Sideways shift per unit downwards.
        tilt: Perspective: how much nearer the face's right and lower parts are; a few hundredths.
    """
    angle = np.deg2rad(roll_deg)
    cos, sin = unit_px * np.cos(angle), unit_px * np.sin(angle)
    turn_33 = np.array([(cos, -sin, centre_px[0]), (sin, cos, centre_px[1]), (0, 0, 1)])
    return np.asarray(turn_33 @ np.array([(1, shear, 0), (0, 1, 0), (*tilt, 1)]))


def draw_head(img_HWC: Image, head: Head) -> None:
    """Draw the head into the picture, in place; what lies outside is cut off."""
    height, width = img_HWC.shape[:2]
    outline_N2, margin_px = head.outline_N2_px, 0.25 * head.unit_px
    x0, y0 = np.maximum(np.floor(outline_N2.min(axis=0) - margin_px), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(outline_N2.max(axis=0) + margin_px), (width, height)).astype(int)
    if x0 >= x1 or y0 >= y1:
        return

    grid_HW4 = _warp(head, x0, y0, x1 - x0, y1 - y0)
    rgba_HW4 = _sample(head.portrait, grid_HW4[..., 2:], head.unit_px)
    rgb_HW3 = _expose(head, grid_HW4[..., :2], _paint(head.mimic, grid_HW4[..., :2], rgba_HW4[..., :3]))
    alpha_HW1 = rgba_HW4[..., 3:].astype(np.float32) / 255
    under_HW3 = img_HWC[y0:y1, x0:x1]
    under_HW3[:] = (under_HW3 + alpha_HW1 * (rgb_HW3 - under_HW3) + 0.5).clip(0, 255)


def _warp(head: Head, x0: int, y0: int, width: int, height: int) -> Floats:
    """For each pixel of a rectangle: its point in the face frame, and the portrait's pixel it shows (H x W x 4)."""
    columns, rows = -(-width // GRID_STEP_PX) + 2, -(-height // GRID_STEP_PX) + 2  # one cell more on each side
    x = x0 + (np.arange(columns) - 0.5) * GRID_STEP_PX - 0.5  # cell centres, as cv2.resize has them
    y = y0 + (np.arange(rows) - 0.5) * GRID_STEP_PX - 0.5
    picture_N2 = np.stack(np.meshgrid(x, y), axis=2).reshape(-1, 2)
    face_N2 = cv2.perspectiveTransform(picture_N2[:, None], np.linalg.inv(head.pose_33))[:, 0]
    portrait_N2 = affine(head.portrait.to_px_23, head.mimic.pull(face_N2))
    coarse_HW4 = np.hstack([face_N2, portrait_N2]).reshape(rows, columns, 4).astype(np.float32)
    fine_HW4 = cv2.resize(coarse_HW4, (columns * GRID_STEP_PX, rows * GRID_STEP_PX), interpolation=cv2.INTER_LINEAR)
    return np.asarray(fine_HW4[GRID_STEP_PX:, GRID_STEP_PX:][:height, :width])


def _sample(portrait: Portrait, portrait_HW2_px: Floats, unit_px: float) -> Image:
    """The portrait's pixels, from the smallest cut-out that is not smaller than the face to draw."""
    level = min(max(0, int(np.log2(portrait.unit_px / unit_px))), len(portrait.cutouts) - 1)
    level_HW2_px = (portrait_HW2_px + 0.5) / 2**level - 0.5
    enlarged = portrait.unit_px < unit_px
    rgba_HW4 = cv2.remap(
        portrait.cutouts[level],
        np.ascontiguousarray(level_HW2_px[..., 0]),
        np.ascontiguousarray(level_HW2_px[..., 1]),
        cv2.INTER_CUBIC if enlarged else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return np.asarray(rgba_HW4, np.uint8)


def _paint(mimic: Mimic, face_HW2: Floats, rgb_HW3: Image) -> Floats:
    """Lay the expression's shaded ellipses over the skin."""
    painted_HW3 = rgb_HW3.astype(np.float32)
    for (x, y, radius_x, radius_y, hardness), strength, rgb_3 in zip(
        mimic.shade_M5, mimic.strength_M, mimic.rgb_M3, strict=True
    ):
        square_HW = ((face_HW2[..., 0] - x) / radius_x) ** 2 + ((face_HW2[..., 1] - y) / radius_y) ** 2
        near_HW = square_HW < 9  # beyond three radii nothing is to be seen
        alpha_N1 = (strength * np.exp(-0.5 * square_HW[near_HW] ** hardness))[:, None]
        painted_HW3[near_HW] += alpha_N1 * (rgb_3 - painted_HW3[near_HW])
    return painted_HW3


def _expose(head: Head, face_HW2: Floats, rgb_HW3: Floats) -> Floats:
    """Light from one side, then the head's own gamma and colour gain; 0..255."""
    light_HW1 = (1 + face_HW2 @ head.light_2.astype(np.float32)).clip(0.4, 1.6)[..., None]
    lit_HW3 = (rgb_HW3 * light_HW1 / 255).clip(0, 1)
    return np.asarray((lit_HW3**head.gamma * (255 * head.gain_3.astype(np.float32))).clip(0, 255))
