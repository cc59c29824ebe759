"""Finds the annotated faces of a few images: look where the annotation says, and look twice before giving up.

A face that has a box is sought in a square region around it, rescaled to one size. Equal sizes make full detector
batches, small faces are seen as well as large ones, and a scene of 12 megapixels costs no more than a portrait.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastfer.faces.align import crop
from fastfer.faces.detect import Detector, Faces
from fastfer.faces.match import distinct, match, most_prominent

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Look:
    """One way of looking: a region wider than the box on each side by `margin` of it, drawn `side_px` wide."""

    name: str
    margin: float
    side_px: int


LOOKS: Final = (Look("matched", 0.5, 192), Look("second look", 1.25, 384))
WHOLE_SIDE_PX: Final = 512
"""Images without an annotated box are looked at whole, this wide."""


@dataclass(frozen=True, slots=True)
class Sought:
    """An annotated face: its box (xyxy, pixels) or None."""

    box_xyxy_px: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a sought face. `how` is a look's name, "most prominent", or "missed"; the rest None if missed."""

    how: str = "missed"
    lmk_52_px: NDArray[np.float64] | None = None
    box_xyxy_px: NDArray[np.float64] | None = None
    score: float | None = None
    iou: float | None = None


def locate(
    images: Sequence[Image], sought: Sequence[Sequence[Sought]], detector: Detector, *, min_iou: float
) -> list[list[Found]]:
    """For each image, what became of each of its sought faces; a detection is given to one of them at most.

    An image whose faces have no boxes is searched whole, and its most prominent face is taken.
    """
    found = [[Found() for _ in faces] for faces in sought]
    seen: list[list[Faces]] = [[] for _ in images]
    for look in LOOKS:
        regions = [
            (i, face.box_xyxy_px)
            for i, faces in enumerate(sought)
            for j, face in enumerate(faces)
            if face.box_xyxy_px is not None and found[i][j].how == "missed"
        ]
        looked = _look(detector, [(images[i], box) for i, box in regions], look.margin, look.side_px)
        for (i, _), faces_there in zip(regions, looked, strict=True):
            seen[i].append(faces_there)
        for i in {i for i, _ in regions}:
            found[i] = _matched(sought[i], found[i], seen[i], look.name, min_iou)
    for i, faces in enumerate(sought):
        if any(face.box_xyxy_px is None for face in faces):
            found[i] = [_only_face(images[i], detector) for _ in faces]
    return found


def _look(
    detector: Detector, regions: list[tuple[Image, NDArray[np.float64]]], margin: float, side_px: int
) -> list[Faces]:
    """Faces in the region around each box, in the pixels of its image."""
    if not regions:
        return []
    drawn = np.stack([crop(img, box, size_px=side_px, margin=margin) for img, box in regions])
    moved = []
    for faces, (_, box) in zip(detector.detect(drawn), regions, strict=True):
        width_px = (box[2:] - box[:2]).max() * (1 + 2 * margin)
        corner = (box[:2] + box[2:] - width_px) / 2
        moved.append(faces.moved(width_px / side_px, (corner[0], corner[1])))
    return moved


def _matched(sought: Sequence[Sought], before: list[Found], seen: list[Faces], how: str, min_iou: float) -> list[Found]:
    """Match all faces seen so far to all boxes; those matched by an earlier look keep its name."""
    faces = distinct(Faces.joined(seen))
    boxes = np.array([face.box_xyxy_px for face in sought])
    chosen = match(boxes, faces, min_iou=min_iou)
    return [
        Found()
        if pair is None
        else replace(_taken(faces, pair[0], old.how if old.how != "missed" else how), iou=pair[1])
        for pair, old in zip(chosen, before, strict=True)
    ]


def _only_face(img: Image, detector: Detector) -> Found:
    height, width = img.shape[:2]
    whole = np.array([0.0, 0.0, width, height])
    (faces,) = _look(detector, [(img, whole)], 0.0, WHOLE_SIDE_PX)
    face = most_prominent(faces, (width, height))
    return Found() if face is None else _taken(faces, face, "most prominent")


def _taken(faces: Faces, face: int, how: str) -> Found:
    return Found(how, faces.lmk_N52_px[face], faces.box_N4_px[face], float(faces.score_N[face]))
