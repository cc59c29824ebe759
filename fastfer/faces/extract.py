"""From rows and photographs to square faces: decode, detect, match, align, encode; and what became of each row.

Every row ends as a face with a `how`, or without one and with a `reason`. Images are taken a few at a time, so that
memory depends on no number of rows; while one lot is searched, the next is decoded.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from fastfer.faces.align import align, crop
from fastfer.faces.detect import Detector, open_detector
from fastfer.faces.images import UnreadableImageError, read_image
from fastfer.faces.locate import Found, Image, Scene, Sought, frame, locate
from fastfer.faces.match import iou
from pipelines.records import encode_jpeg

Item = TypeVar("Item")
Result = TypeVar("Result")

FALLBACK_MARGIN: Final = 0.1
COLORS: Final = ("gray", "rgb")
HOW: Final = {
    "matched": "found where the annotation says, at the first look",
    "second look": "found where the annotation says, at a second, wider look",
    "most prominent": "nothing is annotated: the large central face",
    "annotated landmarks": "missed; aligned by the annotated landmarks, as there is no box",
    "annotated box": "missed, or not sought; cropped by the annotated box",
    "whole image": "missed, or not sought, and nothing is annotated: the whole image",
    "given": "the image was an aligned face already",
}
"""How a face was chosen."""
OUTCOME_SCHEMA: Final = pl.Schema(
    {
        "how": pl.String(),  # one of `HOW`
        "iou": pl.Float64(),  # of the found and the annotated box
        "score": pl.Float64(),  # the detector's
        "face_box": pl.List(pl.Float64()),  # as detected, xyxy in pixels of the image
        "face_landmarks": pl.List(pl.Float64()),  # as detected, x0 y0 .. x4 y4
        "faces_annotated": pl.Int32(),  # rows of this image
        "faces_seen": pl.Int32(),  # found in the regions that were searched; null where nothing was sought
        "faces_in_image": pl.Int32(),  # found in it; null where it was not searched whole
        "is_largest": pl.Boolean(),  # whether no other of them is larger; null likewise
    }
)
OUTSIDE: Final = "the box lies outside the image"
"""The one reason to drop a row whose image can be read."""
SAMPLE_KNOWS: Final = ("how", "iou", "score", "face_box", "face_landmarks")
"""What of an outcome goes into the record beside the image."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FaceSettings:
    """What determines a face's pixels.

    Without a `detector` nothing is sought: `cropped` images are faces already, others are cropped by their box.
    `whole_scene` counts the faces of each image. `images_at_once` changes the speed alone.
    """

    size_px: int
    face_scale: float
    min_iou: float
    color: str
    detector: str | None
    device: str
    weights: Path | None = None
    cropped: bool = False
    whole_scene: bool = False

    @property
    def images_at_once(self) -> int:
        """Images searched together; a GPU wants more of them."""
        return 4 if self.device == "cpu" else 128

    @property
    def pixels_at_once(self) -> int:
        """Decoded pixels of the images searched together, one image more or less."""
        return self.images_at_once * 2_000_000


@dataclass(frozen=True, slots=True)
class Extracted:
    """A row of the manifest, its face as JPEG (None if dropped), and its outcome (`status` and `OUTCOME_SCHEMA`)."""

    row: dict[str, Any]
    jpeg: bytes | None
    outcome: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Photo:
    """An image with its rows; without pixels, the reason why."""

    rows: list[dict[str, Any]]
    img_HWC: Image | None
    reason: str | None = None


def extract(rows: Iterable[dict[str, Any]], root: Path, settings: FaceSettings, threads: int) -> Iterator[Extracted]:
    """The face of every row, image by image in the order in which the images first occur.

    `threads` decode, align and encode beside this one, which searches.
    """
    by_image: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_image.setdefault(row["image_path"], []).append(row)
    with ThreadPoolExecutor(threads) as pool:
        photos = ahead(pool, partial(_read, root), by_image.values(), threads)
        for lot in _lots(photos, settings):
            readable = [photo for photo in lot if photo.img_HWC is not None]
            scenes = iter(_scenes(readable, settings))
            work = [(photo, next(scenes) if photo.img_HWC is not None else None) for photo in lot]
            cut = partial(_cut_photo, settings=settings)
            for faces in pool.map(cut, work):
                yield from faces


def _read(root: Path, rows: list[dict[str, Any]]) -> _Photo:
    try:
        return _Photo(rows, read_image(root, rows[0]["image_path"]))
    except UnreadableImageError as error:
        return _Photo(rows, None, str(error))


def ahead(
    pool: ThreadPoolExecutor, read: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    """`map(read, items)` by the pool, at most two items for each thread ahead of the consumer."""
    todo = iter(items)
    waiting: deque[Future[Result]] = deque(pool.submit(read, item) for item in islice(todo, 2 * threads))
    while waiting:
        photo = waiting.popleft().result()
        waiting.extend(pool.submit(read, item) for item in islice(todo, 1))
        yield photo


def _lots(photos: Iterable[_Photo], settings: FaceSettings) -> Iterator[list[_Photo]]:
    """Photographs in lots that are bounded in number and in pixels."""
    lot: list[_Photo] = []
    pixels = 0
    for photo in photos:
        lot.append(photo)
        pixels += 0 if photo.img_HWC is None else photo.img_HWC.shape[0] * photo.img_HWC.shape[1]
        if len(lot) == settings.images_at_once or pixels >= settings.pixels_at_once:
            yield lot
            lot, pixels = [], 0
    if lot:
        yield lot


@cache
def _detector(name: str, device: str, weights: Path | None) -> Detector:
    """One detector for each process."""
    return open_detector(name, device, weights)


def _scenes(photos: list[_Photo], settings: FaceSettings) -> list[Scene]:
    if settings.detector is None:
        return [Scene([Found()] * len(photo.rows), None) for photo in photos]
    images = [photo.img_HWC for photo in photos if photo.img_HWC is not None]
    return locate(
        images,
        [[_sought(row) for row in photo.rows] for photo in photos],
        _detector(settings.detector, settings.device, settings.weights),
        min_iou=settings.min_iou,
        whole_scene=settings.whole_scene,
    )


def _sought(row: dict[str, Any]) -> Sought:
    landmarks = None if row["landmarks"] is None else np.array(row["landmarks"]).reshape(5, 2)
    return Sought(None if row["box"] is None else np.array(row["box"]), landmarks)


def _cut_photo(photo_and_scene: tuple[_Photo, Scene | None], settings: FaceSettings) -> list[Extracted]:
    photo, scene = photo_and_scene
    known: dict[str, Any] = {"faces_annotated": len(photo.rows)}
    if photo.img_HWC is None or scene is None:
        dropped = known | {"status": "dropped", "reason": photo.reason}
        return [Extracted(row, None, dropped) for row in photo.rows]
    known |= {"faces_seen": scene.faces_seen, "faces_in_image": scene.faces_in_image}
    return [
        _cut_row(photo.img_HWC, row, found, settings, known) for row, found in zip(photo.rows, scene.found, strict=True)
    ]


def _cut_row(
    img_HWC: Image, row: dict[str, Any], found: Found, settings: FaceSettings, known: dict[str, Any]
) -> Extracted:
    """The square face of one row: aligned where it was found, else cropped by what is annotated."""
    sought = _sought(row)
    if sought.box_xyxy_px is not None and not iou(sought.box_xyxy_px[None], frame(img_HWC)[None])[0, 0]:
        return Extracted(row, None, known | {"status": "dropped", "reason": OUTSIDE})
    aligned = partial(align, img_HWC, size_px=settings.size_px, face_scale=settings.face_scale)
    face = None if found.lmk_52_px is None else aligned(found.lmk_52_px)
    if face is not None:
        known |= {
            "how": found.how,
            "iou": found.iou,
            "score": found.score,
            "face_box": _rounded(found.box_xyxy_px),
            "face_landmarks": _rounded(found.lmk_52_px),
        }
    elif sought.box_xyxy_px is not None:
        known |= {"how": "annotated box"}
        margin = FALLBACK_MARGIN if settings.detector else 0.0
        face = crop(img_HWC, sought.box_xyxy_px, size_px=settings.size_px, margin=margin)
    elif settings.detector and sought.lmk_52_px is not None and (face := aligned(sought.lmk_52_px)) is not None:
        known |= {"how": "annotated landmarks"}
    else:
        known |= {"how": "given" if settings.cropped else "whole image"}
        face = crop(img_HWC, frame(img_HWC), size_px=settings.size_px, margin=0.0)
    if settings.color == "gray":
        face = np.asarray(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), np.uint8)
    return Extracted(row, encode_jpeg(face), known | {"status": "kept", "is_largest": found.is_largest})


def _rounded(values: NDArray[np.float64] | None) -> list[float] | None:
    return None if values is None else [round(float(value), 2) for value in values.ravel()]
