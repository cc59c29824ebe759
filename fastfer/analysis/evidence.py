"""Is the annotated face the one in evidence? Every face of whole images, found by a detector, beside the annotated one.

The pass over the images is kept in the dataset's folder beside its variants, so that a second look costs nothing.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from fastfer.analysis.photographs import face_sharpness
from fastfer.faces.detect import detector_version, open_detector
from fastfer.faces.extract import ahead
from fastfer.faces.images import UnreadableImageError, read_image
from fastfer.faces.locate import everyone
from fastfer.faces.match import SAME_FACE_IOU, iou
from pipelines.errors import InputError
from pipelines.progress import Track, untracked
from pipelines.records import make_folder, read_table, write_table

SCENES_NAME: Final = "scenes-{digest}.parquet"
IMAGES_AT_ONCE: Final = 8
SCENE_SCHEMA: Final = pl.Schema(
    {
        "image_path": pl.String(),
        "width": pl.Int64(),  # pixels; null where the image cannot be read
        "height": pl.Int64(),
        "boxes": pl.List(pl.List(pl.Float64())),  # xyxy of every face, pixels
        "sharpness": pl.List(pl.Float64()),  # of every face: variance of the Laplacian
        "annotated_sharpness": pl.List(pl.Float64()),  # of every annotated box, in the order of the rows
    }
)
EVIDENCE: Final = ("is_largest", "is_most_central", "is_sharpest")
"""What the person in evidence may be expected to be, of all faces of the image."""


def sampled_images(rows: pl.DataFrame, count: int, seed: int) -> pl.DataFrame:
    """The rows of a random sample of `count` images (of all, if there are fewer), in their order."""
    images = rows["image_path"].unique(maintain_order=True)
    chosen = images.sample(min(count, len(images)), seed=seed)
    return rows.filter(pl.col("image_path").is_in(chosen.implode()))


def scenes_of(
    root: Path, rows: pl.DataFrame, folder: Path, detector: str, *, device: str, track: Track = untracked
) -> pl.DataFrame:
    """All faces of the rows' images (`SCENE_SCHEMA`), from `folder` if an earlier call kept them there.

    Args:
        root: the dataset's folder.
        rows: `image_path` and `box` (xyxy, pixels) of annotated faces.
        folder: where the pass is kept, under a name that holds for these images, boxes and this detector.
        detector: its name.
        device: the detector's.
        track: told of each image.

    Raises:
        InputError: the detector cannot be had.
    """
    images = rows.group_by("image_path", maintain_order=True).agg("box")
    path = folder / SCENES_NAME.format(digest=_digest(root, images, detector))
    try:
        known = read_table(path)
        if known.schema == SCENE_SCHEMA:
            return known
    except InputError:
        pass
    scenes = pl.DataFrame(list(_searched(root, images, detector, device, track)), schema=SCENE_SCHEMA)
    make_folder(folder)
    write_table(path, scenes)
    return scenes


def _digest(root: Path, images: pl.DataFrame, detector: str) -> str:
    """Differs when an image, a box or the detector does; a changed image shows in its size or time."""
    digest = hashlib.sha256(detector_version(detector).encode())
    digest.update(images.write_json().encode())
    for image in images["image_path"]:
        try:
            state = (root / image).stat()
            digest.update(f"{state.st_size} {state.st_mtime_ns}".encode())
        except (OSError, ValueError):
            digest.update(b"missing")
    return digest.hexdigest()[:16]


def _searched(root: Path, images: pl.DataFrame, name: str, device: str, track: Track) -> Iterator[dict[str, Any]]:
    detector = open_detector(name, device)
    with (
        ThreadPoolExecutor(1) as pool,  # decodes while this thread searches
        track("Searching whole images", total=len(images), unit="images") as advance,
    ):
        lots = [lot.to_dicts() for lot in images.iter_slices(IMAGES_AT_ONCE)]
        for lot, decoded in zip(lots, ahead(pool, partial(_decoded, root), lots, 1), strict=True):
            readable = [img for img in decoded if img is not None]
            found = iter(everyone(readable, detector)) if readable else iter(())
            for image, img in zip(lot, decoded, strict=True):
                row: dict[str, Any] = {"image_path": image["image_path"]}
                if img is not None:
                    boxes = next(found).box_N4_px.tolist()
                    row |= {"width": img.shape[1], "height": img.shape[0], "boxes": boxes}
                    row |= {"sharpness": _sharpness(img, boxes), "annotated_sharpness": _sharpness(img, image["box"])}
                yield row
                advance(1)


def _decoded(root: Path, lot: list[dict[str, Any]]) -> list[NDArray[np.uint8] | None]:
    return [_read(root, image["image_path"]) for image in lot]


def _read(root: Path, image_path: str) -> NDArray[np.uint8] | None:
    try:
        return read_image(root, image_path)
    except UnreadableImageError:
        return None


def _sharpness(img_HWC: NDArray[np.uint8], boxes: list[list[float]]) -> list[float]:
    """Of each face; what hardly lies in the image is not sharp."""
    gray_HW = np.asarray(cv2.cvtColor(img_HWC, cv2.COLOR_RGB2GRAY), np.uint8)
    return [face_sharpness(gray_HW, box) or 0.0 for box in boxes]


def in_evidence(rows: pl.DataFrame, scenes: pl.DataFrame) -> pl.DataFrame:
    """`image_path`, `key`, `faces` in the image, and `EVIDENCE`: whether no other face of it is more so.

    An annotated face that the detector found is measured by the detector's box, as the others are; one that it missed,
    by the annotated box. Images that could not be read are left out.
    """
    of_image = {scene["image_path"]: scene for scene in scenes.drop_nulls("width").to_dicts()}
    told: list[tuple[Any, ...]] = []
    for (image,), faces in rows.group_by("image_path", maintain_order=True):
        if (scene := of_image.get(str(image))) is not None:
            told += _judged(str(image), faces, scene)
    schema = {"image_path": pl.String, "key": pl.String, "faces": pl.Int64, **dict.fromkeys(EVIDENCE, pl.Boolean)}
    return pl.DataFrame(told, schema=schema, orient="row")


def _judged(image: str, faces: pl.DataFrame, scene: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    found_N4 = np.array(scene["boxes"]).reshape(-1, 4)
    given_M4 = np.array(faces["box"].to_list()).reshape(-1, 4)
    overlap_MN = iou(given_M4, found_N4)
    matched_M = overlap_MN.max(axis=1, initial=0) > SAME_FACE_IOU
    missed = np.flatnonzero(~matched_M)
    box_P4 = np.concatenate([found_N4, given_M4[missed]])
    sharpness_P = np.concatenate([scene["sharpness"], np.array(scene["annotated_sharpness"])[missed]])
    place_M = np.where(matched_M, overlap_MN.argmax(axis=1) if len(found_N4) else 0, 0)
    place_M[missed] = len(found_N4) + np.arange(len(missed))
    told = prominence(box_P4, sharpness_P, width=scene["width"], height=scene["height"])
    for key, place in zip(faces["key"], place_M, strict=True):
        yield image, key, len(box_P4), *(bool(told[name][place]) for name in EVIDENCE)


def prominence(
    box_N4: NDArray[np.float64], sharpness_N: NDArray[np.float64], *, width: int, height: int
) -> dict[str, NDArray[np.bool_]]:
    """Of N faces of one image (boxes xyxy, pixels): which are the largest, the most central, the sharpest of them.

    Distances from the centre are shares of the image's width and height, as in `photographs`.
    """
    area_N = (box_N4[:, 2:] - box_N4[:, :2]).prod(axis=1)
    centre_N2 = (box_N4[:, :2] + box_N4[:, 2:]) / 2 / [width, height]
    distance_N = np.linalg.norm(centre_N2 - 0.5, axis=1)
    return {
        "is_largest": area_N >= area_N.max(),
        "is_most_central": distance_N <= distance_N.min(),
        "is_sharpest": sharpness_N >= sharpness_N.max(),
    }


def refuse_faceless(rows: pl.DataFrame, dataset: str) -> pl.DataFrame:
    """The rows that have a box.

    Raises:
        InputError: there is none, as in sets of aligned faces.
    """
    boxed = rows.drop_nulls("box")
    if boxed.is_empty():
        raise InputError(f"no face of {dataset} has a box, so nobody can be compared with it: photographs are needed")
    return boxed
