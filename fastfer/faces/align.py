"""From a photograph and five landmarks, or a box, to a square face."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

ARCFACE_LMK_52: Final = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)
"""Eyes, nose and mouth corners in a 112 x 112 crop (Deng et al. 2019, ArcFace's public code)."""
ARCFACE_SIDE: Final = 112
MAX_SUPERSAMPLING: Final = 8


def similarity(source_P2: NDArray[np.float64], target_P2: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The `2 x 3` rotation, scale and shift that best maps source to target points in least squares.

    Solved with complex numbers, where it is z -> a z + b (Umeyama 1991 in two dimensions). None when the source points
    coincide.
    """
    source, target = (points @ np.array([1, 1j]) for points in (source_P2, target_P2))
    centred = source - source.mean()
    spread = np.vdot(centred, centred).real
    if spread < 1e-6 * len(source):
        return None
    a = np.vdot(centred, target - target.mean()) / spread
    b = target.mean() - a * source.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def align(
    img_HWC: NDArray[np.uint8], lmk_52_px: NDArray[np.float64], *, size_px: int, face_scale: float
) -> NDArray[np.uint8] | None:
    """Warp one face upright into a square of `size_px` by its five landmarks. None when they are degenerate.

    `face_scale` 1 is ArcFace's tight crop; less leaves more forehead and chin.
    """
    centred = (ARCFACE_LMK_52 - ARCFACE_SIDE / 2) * face_scale + ARCFACE_SIDE / 2
    matrix_23 = similarity(lmk_52_px, centred * size_px / ARCFACE_SIDE)
    return None if matrix_23 is None else _warp(img_HWC, matrix_23, size_px)


def crop(
    img_HWC: NDArray[np.uint8], box_xyxy_px: NDArray[np.float64], *, size_px: int, margin: float
) -> NDArray[np.uint8]:
    """The square around a box, widened on each side by `margin` of its longer side, resized to `size_px`."""
    centre = (box_xyxy_px[:2] + box_xyxy_px[2:]) / 2
    scale = size_px / ((box_xyxy_px[2:] - box_xyxy_px[:2]).max() * (1 + 2 * margin))
    return _warp(img_HWC, np.column_stack([np.eye(2) * scale, size_px / 2 - centre * scale]), size_px)


def _warp(img_HWC: NDArray[np.uint8], matrix_23: NDArray[np.float64], size_px: int) -> NDArray[np.uint8]:
    """Warp with linear interpolation; large faces are drawn larger and averaged down, so that nothing aliases."""
    scale = np.hypot(*matrix_23[:, 0])
    finer = min(MAX_SUPERSAMPLING, max(1, round(1 / scale)))
    side = size_px * finer
    img = cv2.warpAffine(
        img_HWC,
        _about_centres(matrix_23 * finer),
        (side, side),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(img if finer == 1 else cv2.resize(img, (size_px, size_px), interpolation=cv2.INTER_AREA))


def _about_centres(matrix_23: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same map for OpenCV, which gives pixel centres whole numbers where our coordinates give them halves."""
    shift = np.full(2, 0.5)
    return np.column_stack([matrix_23[:, :2], matrix_23[:, 2] + matrix_23[:, :2] @ shift - shift])
