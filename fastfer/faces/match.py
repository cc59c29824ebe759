"""Which of the faces found is the annotated one."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastfer.faces.detect import Faces

SAME_FACE_IOU: Final = 0.6
"""Two findings of one image that overlap more than this are one face seen twice."""


def iou(box_N4: NDArray[np.float64], box_M4: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of every pair of xyxy boxes: `N x M` in 0..1."""
    low = np.maximum(box_N4[:, None, :2], box_M4[None, :, :2])
    high = np.minimum(box_N4[:, None, 2:], box_M4[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=-1)
    area_N, area_M = (np.prod(box[:, 2:] - box[:, :2], axis=-1) for box in (box_N4, box_M4))
    return np.asarray(shared / np.maximum(area_N[:, None] + area_M[None, :] - shared, 1e-9))


def distinct(faces: Faces) -> Faces:
    """The faces without repeats: of those that overlap more than `SAME_FACE_IOU` the highest score stays."""
    kept: list[int] = []
    overlap = iou(faces.box_N4_px, faces.box_N4_px)
    for face in np.argsort(-faces.score_N, kind="stable"):
        if all(overlap[face, other] <= SAME_FACE_IOU for other in kept):
            kept.append(int(face))
    return Faces(faces.box_N4_px[kept], faces.score_N[kept], faces.lmk_N52_px[kept])


def match(box_R4_px: NDArray[np.float64], faces: Faces, *, min_iou: float) -> list[tuple[int, float] | None]:
    """Assign found faces to annotated boxes one to one, with the greatest sum of IoU (Kuhn 1955).

    For each box: (index of its face, their IoU), or None where no face overlaps it by `min_iou`.
    """
    from scipy.optimize import linear_sum_assignment  # takes most of a second, and --help comes by here

    overlap = iou(box_R4_px, faces.box_N4_px)
    chosen: list[tuple[int, float] | None] = [None] * len(box_R4_px)
    for box, face in zip(*linear_sum_assignment(-overlap), strict=True):
        if overlap[box, face] >= min_iou:
            chosen[box] = (int(face), float(overlap[box, face]))
    return chosen


def by_prominence(faces: Faces, size_wh_px: tuple[int, int]) -> list[int]:
    """Faces in the order in which they are meant where nothing was annotated: large ones near the centre first."""
    side_N = np.sqrt(np.prod(faces.box_N4_px[:, 2:] - faces.box_N4_px[:, :2], axis=-1))
    centre_N2 = (faces.box_N4_px[:, :2] + faces.box_N4_px[:, 2:]) / 2
    away_N = np.linalg.norm(centre_N2 / np.asarray(size_wh_px) - 0.5, axis=-1)
    return [int(face) for face in np.argsort(-side_N * (1 - away_N), kind="stable")]
