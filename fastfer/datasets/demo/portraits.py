"""The two public-domain portraits the demo faces are made of, with what was measured on them.

`skimage.data.astronaut()` is NASA's portrait of Eileen Collins (512x512), `grace_hopper.jpg` in matplotlib's sample
data the United States Navy's of Grace Hopper (512x600). Both come inside wheels, so nothing is downloaded. Landmarks
and boxes are MTCNN's (facenet-pytorch 2.5.3), rounded; they are constants so that the data do not depend on a detector.
Outlines of head and neck were drawn by hand.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from pipelines.errors import InputError

Points = NDArray[np.float64]
"""N x 2 points, x and y."""

Image = NDArray[np.uint8]
"""H x W x C, RGB or RGBA, 0..255."""

FEATHER_PX = 1.2
"""Softness of the cut-out's edge (standard deviation, in portrait pixels): hides the hand-drawn outline."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What was measured on one portrait, in its pixels, and RAF-DB's attribute codes of the person."""

    landmarks: tuple[tuple[float, float], ...]  # left eye in the image, right eye, nose, left and right mouth corner
    lips: tuple[float, float]  # middle of the mouth, between the lips (by eye)
    box_xyxy: tuple[float, float, float, float]
    outline: tuple[tuple[int, int], ...]
    smile: float  # how much of a smile there is to take away for a neutral face, 0..1
    gender: int  # RAF-DB: 0 male, 1 female, 2 unsure
    race: int  # RAF-DB: 0 Caucasian, 1 African-American, 2 Asian
    age: int  # RAF-DB: 0 to 3 years, 1 to 19, 2 to 39, 3 to 69, 4 from 70


ASTRONAUT_OUTLINE: Final = (
    (230, 16), (240, 17), (250, 20), (262, 24), (275, 32), (285, 40), (291, 50), (295, 60), (298, 70), (300, 82),
    (301, 92), (299, 101), (295, 110), (289, 119), (282, 127), (275, 133), (269, 136), (267, 135), (265, 146),
    (261, 156), (258, 162), (256, 172), (255, 180), (252, 186), (246, 189), (238, 190), (228, 189), (215, 187),
    (203, 185), (194, 183), (189, 178), (187, 170), (187, 160), (185, 150), (183, 140), (182, 132), (177, 131),
    (172, 125), (168, 117), (162, 111), (157, 103), (155, 95), (154, 85), (153, 75), (154, 65), (157, 58),
    (163, 50), (170, 44), (178, 40), (186, 36), (190, 31), (197, 27), (207, 22), (218, 18),
)  # fmt: skip
HOPPER_OUTLINE: Final = (
    (258, 23), (270, 26), (282, 30), (292, 36), (299, 41), (312, 43), (326, 50), (338, 60), (347, 72), (352, 84),
    (361, 86), (367, 95), (370, 110), (371, 130), (371, 150), (368, 170), (366, 180), (372, 186), (375, 195),
    (373, 208), (368, 225), (364, 240), (361, 252), (361, 270), (358, 285), (350, 298), (340, 305), (333, 306),
    (331, 312), (330, 322), (322, 340), (310, 356), (295, 370), (270, 378), (245, 374), (228, 362), (217, 348),
    (208, 332), (204, 318), (202, 303), (196, 300), (185, 294), (172, 283), (163, 272), (161, 258), (163, 245),
    (159, 235), (155, 220), (153, 205), (153, 195), (157, 187), (148, 181), (147, 165), (148, 150), (148, 130),
    (150, 110), (157, 95), (170, 84), (176, 82), (174, 78), (178, 68), (185, 58), (195, 50), (207, 43), (217, 40),
    (220, 34), (230, 27), (243, 24),
)  # fmt: skip
"""Head, hair or hat, and neck, clockwise from the top."""

MEASURED: Final = {
    "astronaut": Measured(
        landmarks=((205.0, 101.7), (246.8, 103.7), (224.7, 129.0), (201.7, 139.2), (245.3, 141.9)),
        lips=(223.5, 145.0),
        box_xyxy=(181.1, 62.2, 267.7, 172.1),
        outline=ASTRONAUT_OUTLINE,
        smile=1.0,
        gender=1,
        race=0,
        age=2,
    ),
    "hopper": Measured(
        landmarks=((221.7, 192.2), (309.8, 186.1), (269.4, 239.2), (232.7, 279.6), (306.6, 275.9)),
        lips=(269.5, 278.5),
        box_xyxy=(174.4, 119.6, 355.6, 340.5),
        outline=HOPPER_OUTLINE,
        smile=0.0,
        gender=1,
        race=0,
        age=4,
    ),
}
"""The portraits by name."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Portrait:
    """One portrait ready to be warped: its cut-out at several sizes, and its points in the face frame.

    The face frame has its origin between the eyes, x along the eyes, y down, and the eye distance as unit.
    """

    cutouts: tuple[Image, ...]  # RGBA, each half the size of the one before; alpha is the head
    to_px_23: Points  # affine: face frame to pixels of the largest cut-out
    unit_px: float  # eye distance in those pixels
    lmk_P2: Points  # five landmarks, face frame
    lips_2: Points  # between the lips, face frame
    box_edges_42: Points  # middle of the box's left, top, right and bottom edge, face frame
    outline_N2: Points  # face frame
    measured: Measured


@cache
def portraits() -> tuple[Portrait, ...]:
    """Both portraits and their mirror images, in a fixed order.

    Raises:
        InputError: The wheels that hold the photographs are not installed.
    """
    return tuple(
        _prepare(photo, MEASURED[name], mirror=mirror)
        for name, photo in _photographs().items()
        for mirror in (False, True)
    )


def _photographs() -> dict[str, Image]:
    try:
        from matplotlib import cbook
        from skimage import data
    except ImportError as missing:
        raise InputError(
            f'The demo faces come from photographs inside scikit-image and matplotlib, and "{missing.name}" is not '
            'installed: run pip install "fastfer[demo]".'
        ) from missing
    hopper_path = cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    hopper_HWC = PIL.Image.open(hopper_path).convert("RGB")
    return {"astronaut": np.asarray(data.astronaut(), np.uint8), "hopper": np.asarray(hopper_HWC)}


def _prepare(img_HWC: Image, measured: Measured, *, mirror: bool) -> Portrait:
    outline_N2 = np.array(measured.outline, np.float64)
    lmk_P2 = np.array(measured.landmarks)
    lips_12 = np.array([measured.lips])
    x0, y0, x1, y1 = measured.box_xyxy
    edges_42 = np.array([(x0, (y0 + y1) / 2), ((x0 + x1) / 2, y0), (x1, (y0 + y1) / 2), ((x0 + x1) / 2, y1)])
    if mirror:
        width = img_HWC.shape[1]
        img_HWC = np.ascontiguousarray(img_HWC[:, ::-1])
        outline_N2, lmk_P2, lips_12, edges_42 = (
            _mirrored(points, width) for points in (outline_N2, lmk_P2, lips_12, edges_42)
        )
        lmk_P2 = lmk_P2[[1, 0, 2, 4, 3]]
        edges_42 = edges_42[[2, 1, 0, 3]]

    to_px_23 = _frame(lmk_P2)
    to_frame_23 = np.asarray(cv2.invertAffineTransform(to_px_23))
    return Portrait(
        cutouts=_pyramid(np.dstack([img_HWC, _mask(img_HWC, outline_N2)])),
        to_px_23=to_px_23,
        unit_px=float(np.linalg.norm(lmk_P2[1] - lmk_P2[0])),
        lmk_P2=affine(to_frame_23, lmk_P2),
        lips_2=affine(to_frame_23, lips_12)[0],
        box_edges_42=affine(to_frame_23, edges_42),
        outline_N2=affine(to_frame_23, outline_N2),
        measured=measured,
    )


def affine(matrix_23: Points, points_N2: Points) -> Points:
    """Move points by a 2x3 affine matrix."""
    return points_N2 @ matrix_23[:, :2].T + matrix_23[:, 2]


def _mirrored(points_N2: Points, width_px: int) -> Points:
    return np.stack([width_px - 1 - points_N2[:, 0], points_N2[:, 1]], axis=1)


def _frame(lmk_P2_px: Points) -> Points:
    """The affine from the face frame to pixels, from the two eyes."""
    (dx, dy), middle = lmk_P2_px[1] - lmk_P2_px[0], lmk_P2_px[:2].mean(axis=0)
    return np.array([(dx, -dy, middle[0]), (dy, dx, middle[1])])


def _mask(img_HWC: Image, outline_N2_px: Points) -> Image:
    mask_HW = np.zeros(img_HWC.shape[:2], np.uint8)
    cv2.fillPoly(mask_HW, [outline_N2_px.round().astype(np.int32)], 255)
    mask_HW = cv2.erode(mask_HW, np.ones((3, 3), np.uint8))
    return np.asarray(cv2.GaussianBlur(mask_HW, (0, 0), FEATHER_PX), np.uint8)


def _pyramid(img_HWC: Image) -> tuple[Image, ...]:
    levels = [img_HWC]
    while len(levels) < 3:  # the larger portrait's eyes are 88 px apart, the smallest face's about 25
        height, width = levels[-1].shape[:2]
        half = cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        levels.append(np.asarray(half, np.uint8))
    return tuple(levels)
