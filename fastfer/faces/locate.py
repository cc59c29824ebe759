"""Finds the annotated faces of a few images: look where the annotation says, and look twice before giving up.

A face that has a box is sought in a square region around it, rescaled to one size. Equal sizes make full detector
batches, small faces are seen as well as large ones, and a scene of 12 megapixels costs no more than a portrait. A whole
image is searched only where nothing says where the face is, or where all its faces are to be counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastfer.faces.align import crop
from fastfer.faces.detect import Detector, Faces
from fastfer.faces.match import SAME_FACE_IOU, by_prominence, distinct, iou, match

Image = NDArray[np.uint8]
Box = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Look:
    """One way of looking: a region wider than the box on each side by `margin` of it, drawn `side_px` wide.

    `face_range` is the longer side of the faces sought, as shares of the region.
    """

    name: str
    margin: float
    side_px: int
    face_range: tuple[float, float]


LOOKS: Final = (Look("matched", 0.5, 192, (0.22, 0.9)), Look("second look", 1.25, 384, (0.08, 0.8)))
"""The first costs MTCNN 5 ms and finds over 99% of the demo faces; the second is for what it missed."""
SCENE: Final = Look("most prominent", 0.0, 640, (0.035, 1.0))
MISSED: Final = "missed"
BOX_PER_LMK_EXTENT: Final = 2.1
"""A face's longer side over that of its five landmarks: the median of the demo faces (5th to 95th: 1.9 to 2.5)."""


@dataclass(frozen=True, slots=True)
class Sought:
    """An annotated face: its box (xyxy) and its five landmarks, in pixels, as far as they are annotated."""

    box_xyxy_px: Box | None
    lmk_52_px: NDArray[np.float64] | None = None

    @property
    def place_xyxy_px(self) -> Box | None:
        """Where to look: the box, or a square around the landmarks; None if nothing is known."""
        if self.box_xyxy_px is not None or self.lmk_52_px is None:
            return self.box_xyxy_px
        low, high = self.lmk_52_px.min(axis=0), self.lmk_52_px.max(axis=0)
        half = (high - low).max() * BOX_PER_LMK_EXTENT / 2
        return np.concatenate([(low + high) / 2 - half, (low + high) / 2 + half]) if half > 0 else None


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a sought face.

    `how` is a look's name or `MISSED`. `iou` is that of the found and the annotated box; `is_largest` says whether no
    other face of the image is larger, where the whole image was searched for that.
    """

    how: str = MISSED
    lmk_52_px: NDArray[np.float64] | None = None
    box_xyxy_px: Box | None = None
    score: float | None = None
    iou: float | None = None
    is_largest: bool | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """One image: what became of its sought faces.

    `faces_seen` is how many faces were seen on the way (None: nothing was sought), `faces_in_image` how many it shows
    (None: it was not searched for all).
    """

    found: list[Found]
    faces_seen: int | None
    faces_in_image: int | None = None


def locate(
    images: Sequence[Image],
    sought: Sequence[Sequence[Sought]],
    detector: Detector,
    *,
    min_iou: float,
    whole_scene: bool = False,
) -> list[Scene]:
    """For each image, what became of each of its sought faces; a detection is given to one of them at most.

    Faces whose place is not annotated get the most prominent faces that no other row took. With `whole_scene` each
    image is searched whole too, which counts its faces but does not change which one is chosen.
    """
    found, seen = _looked_for(images, sought, detector, min_iou)
    searched = [i for i, faces in enumerate(sought) if whole_scene or _placeless(faces)]
    whole = _look(detector, [(images[i], frame(images[i])) for i in searched], SCENE)
    for i, faces_there in zip(searched, whole, strict=True):
        found[i] = _most_prominent(images[i], sought[i], found[i], faces_there)
        seen[i].append(faces_there)
    everyone = [distinct(Faces.joined(parts)) for parts in seen]
    if whole_scene:
        return [_counted(*of_image) for of_image in zip(sought, found, everyone, strict=True)]
    return [Scene(of_image, len(faces)) for of_image, faces in zip(found, everyone, strict=True)]


def everyone(images: Sequence[Image], detector: Detector) -> list[Faces]:
    """All faces that each whole image shows, whatever is annotated."""
    return _look(detector, [(img, frame(img)) for img in images], SCENE)


def _looked_for(
    images: Sequence[Image], sought: Sequence[Sequence[Sought]], detector: Detector, min_iou: float
) -> tuple[list[list[Found]], list[list[Faces]]]:
    """The faces whose place is known, by one look after the other; and all faces seen on the way."""
    found = [[Found() for _ in faces] for faces in sought]
    seen: list[list[Faces]] = [[] for _ in images]
    for look in LOOKS:
        regions = [
            (i, place)
            for i, faces in enumerate(sought)
            for j, face in enumerate(faces)
            if found[i][j].how == MISSED and (place := face.place_xyxy_px) is not None
        ]
        looked = _look(detector, [(images[i], place) for i, place in regions], look)
        for (i, _), faces_there in zip(regions, looked, strict=True):
            seen[i].append(faces_there)
        for i in {i for i, _ in regions}:
            found[i] = _matched(sought[i], found[i], distinct(Faces.joined(seen[i])), look.name, min_iou)
    return found, seen


def _look(detector: Detector, regions: list[tuple[Image, Box]], look: Look) -> list[Faces]:
    """Faces in the region around each place, in the pixels of its image."""
    if not regions:
        return []
    side_px, margin = look.side_px, look.margin
    drawn = np.stack([crop(img, place, size_px=side_px, margin=margin) for img, place in regions])
    low, high = look.face_range
    moved = []
    for faces, (_, place) in zip(
        detector.detect(drawn, face_range_px=(low * side_px, high * side_px)), regions, strict=True
    ):
        width_px = (place[2:] - place[:2]).max() * (1 + 2 * margin)
        corner = (place[:2] + place[2:] - width_px) / 2
        moved.append(faces.moved(width_px / side_px, (corner[0], corner[1])))
    return moved


def _matched(sought: Sequence[Sought], before: list[Found], faces: Faces, how: str, min_iou: float) -> list[Found]:
    """Match all faces seen so far to all places; those matched by an earlier look keep its name."""
    placed = [(j, place) for j, face in enumerate(sought) if (place := face.place_xyxy_px) is not None]
    after = [Found()] * len(sought)
    chosen = match(np.array([place for _, place in placed]), faces, min_iou=min_iou)
    for (j, _), pair in zip(placed, chosen, strict=True):
        if pair is not None:
            name = before[j].how if before[j].how != MISSED else how
            overlap = None if sought[j].box_xyxy_px is None else pair[1]
            after[j] = replace(_taken(faces, pair[0], name), iou=overlap)
    return after


def _placeless(sought: Sequence[Sought]) -> bool:
    return any(face.place_xyxy_px is None for face in sought)


def frame(img: Image) -> Box:
    """The whole image as a box."""
    height, width = img.shape[:2]
    return np.array([0.0, 0.0, width, height])


def _most_prominent(img: Image, sought: Sequence[Sought], found: list[Found], faces: Faces) -> list[Found]:
    """Give each face without a place the most prominent of the faces that are still free."""
    taken = np.array([face.box_xyxy_px for face in found if face.box_xyxy_px is not None]).reshape(-1, 4)
    overlap = iou(faces.box_N4_px, taken).max(axis=1, initial=0)
    free = (face for face in by_prominence(faces, (img.shape[1], img.shape[0])) if overlap[face] <= SAME_FACE_IOU)
    return [
        _taken(faces, face, SCENE.name)
        if known.place_xyxy_px is None and (face := next(free, None)) is not None
        else old
        for known, old in zip(sought, found, strict=True)
    ]


def _taken(faces: Faces, face: int, how: str) -> Found:
    return Found(how, faces.lmk_N52_px[face], faces.box_N4_px[face], float(faces.score_N[face]))


def _counted(sought: Sequence[Sought], found: list[Found], faces: Faces) -> Scene:
    """Say of each face whether another one of the image is larger; a missed face stands there as its place."""
    marked = []
    for known, face in zip(sought, found, strict=True):
        box = face.box_xyxy_px if face.box_xyxy_px is not None else known.place_xyxy_px
        if box is None:
            marked.append(face)
            continue
        others = faces.box_N4_px[iou(faces.box_N4_px, box[None])[:, 0] <= SAME_FACE_IOU]
        marked.append(replace(face, is_largest=bool((_area(others) <= _area(box[None])).all())))
    return Scene(marked, len(faces), len(faces))


def _area(box_N4: Box) -> NDArray[np.float64]:
    return np.asarray((box_N4[:, 2:] - box_N4[:, :2]).prod(axis=1))
