"""The shard stage: plan, detect, align, write. From annotated photographs to records, once."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from fastfer.datasets import read_rows
from fastfer.faces.align import align, crop
from fastfer.faces.detect import DETECTORS, Detector, detector_version, open_detector
from fastfer.faces.images import UnreadableImageError, read_image
from fastfer.faces.locate import Found, Image, Sought, locate
from fastfer.progress import Track, untracked
from fastfer.variants import PLACE_SCHEMA, ShardJob, ShardResult, VariantPlan, build_variant, cut
from pipelines.errors import InputError
from pipelines.records import SPLITS, DatasetInfo, Sample, encode_jpeg, write_shard

VARIANTS: Final = ("preprocessed", "raw")
IMAGES_AT_ONCE: Final = 16
"""Decoded images held at a time; bounds memory whatever the size of a shard."""
FALLBACK_MARGIN: Final = 0.1
OUTCOME_SCHEMA: Final = pl.Schema(
    {
        **PLACE_SCHEMA,
        "how": pl.String(),  # matched, second look, most prominent, or annotated box
        "iou": pl.Float64(),  # of the found and the annotated box
        "score": pl.Float64(),  # the detector's
        "face_box": pl.List(pl.Float64()),  # as detected, xyxy in pixels of the image
        "face_landmarks": pl.List(pl.Float64()),  # as detected, x0 y0 .. x4 y4
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardConfig:
    """Settings of the shard stage.

    `out` holds all variants of all datasets. `face_scale` 1 is ArcFace's tight crop, less is roomier. `min_iou` is how
    much a found face must overlap the annotated box. `device` is the detector's.
    """

    dataset: str
    data_root: Path
    out: Path
    variant: str = "preprocessed"
    detector: str = "mtcnn"
    size_px: int = 224
    face_scale: float = 0.9
    min_iou: float = 0.3
    shard_rows: int = 512
    seed: int = 0
    device: str = "cpu"
    workers: int = 2

    def __post_init__(self) -> None:
        """Refuse impossible settings."""
        if self.variant not in VARIANTS:
            raise InputError(
                f"no variant {self.variant!r}: choose one of {', '.join(VARIANTS)} (make balance adds augmented)"
            )
        if self.detector not in DETECTORS:
            raise InputError(f"no detector {self.detector!r}: choose one of {', '.join(DETECTORS)}")
        for name, low, high in (
            ("size_px", 16, 1024),
            ("shard_rows", 1, 100_000),
            ("face_scale", 0.1, 2),
            ("workers", 1, 256),
        ):
            if not low <= getattr(self, name) <= high:
                raise InputError(f"{name} is {getattr(self, name)}: it must be from {low} to {high}")

    @property
    def folder(self) -> Path:
        """Where the variant goes."""
        return self.out / self.dataset / self.variant


def make_shards(config: ShardConfig, track: Track = untracked) -> DatasetInfo:
    """Build the variant that `config` describes, or go on where an earlier run stopped.

    Raises:
        InputError: the dataset is missing or unusable, or the folder holds records made with other settings.
    """
    rows = read_rows(config.dataset, config.data_root, config.seed)
    searched = config.variant == "preprocessed"
    settings = {
        "seed": config.seed,
        "detector": config.detector if searched else None,
        "detector_version": detector_version(config.detector) if searched else None,
        "size_px": config.size_px,
        "face_scale": config.face_scale,
        "min_iou": config.min_iou,
        "shard_rows": config.shard_rows,
        "device": config.device,
        "variant": config.variant,
        "annotation_sha256": hashlib.sha256(rows.write_json().encode()).hexdigest(),
    }
    plan = VariantPlan(
        folder=config.folder,
        dataset=config.dataset,
        variant=config.variant,
        size_px=config.size_px,
        settings=settings,
        manifest=rows,
        jobs=_jobs(config, rows, settings),
        outcome_schema=OUTCOME_SCHEMA,
    )
    return build_variant(
        plan, make_shard, workers=config.workers, title=f"Sharding {config.dataset}", unit="faces", track=track
    )


def _jobs(config: ShardConfig, rows: pl.DataFrame, settings: dict[str, Any]) -> list[ShardJob]:
    """Images, each with all its faces, in random order and cut into shards; then the faces of a shard shuffled."""
    good = rows.filter(pl.col("problem").is_null()).select(
        "row", "key", "image_path", "label", "split", "box", "landmarks"
    )
    jobs = []
    for number, split in enumerate(SPLITS):
        rng = np.random.default_rng((config.seed, number))
        groups = good.filter(pl.col("split") == split).partition_by("image_path", maintain_order=True)
        shuffled = [groups[i].to_dicts() for i in rng.permutation(len(groups))]
        for shard, chunk in enumerate(cut(shuffled, config.shard_rows)):
            mixed = [chunk[i] for i in rng.permutation(len(chunk))]
            task = settings | {"data_root": str(config.data_root)}
            jobs.append(ShardJob(config.folder, f"{split}-{shard:05d}", split, mixed, task))
    return jobs


def make_shard(job: ShardJob) -> ShardResult:
    """Decode, detect, match, align and write one shard: a pure function of its job."""
    by_image: dict[str, list[dict[str, Any]]] = {}
    for row in job.rows:
        by_image.setdefault(row["image_path"], []).append(row)
    paths = list(by_image)
    faces: dict[int, tuple[Image | None, dict[str, Any]]] = {}
    for first in range(0, len(paths), IMAGES_AT_ONCE):
        faces |= _faces({path: by_image[path] for path in paths[first : first + IMAGES_AT_ONCE]}, job.settings)
    kept = [row for row in job.rows if faces[row["row"]][0] is not None]
    place = {row["row"]: {"shard": job.name, "position": position} for position, row in enumerate(kept)}
    info = write_shard(job.folder, job.name, job.split, (_sample(row, *faces[row["row"]], job) for row in kept))
    return ShardResult(
        info, [{"row": row["row"], **faces[row["row"]][1], **place.get(row["row"], {})} for row in job.rows]
    )


@cache
def _detector(name: str, device: str) -> Detector:
    """One detector for each process."""
    return open_detector(name, device)


def _faces(
    by_image: dict[str, list[dict[str, Any]]], settings: dict[str, Any]
) -> dict[int, tuple[Image | None, dict[str, Any]]]:
    """For each row of a few images: its face (None if dropped) and its outcome for the manifest."""
    images: dict[str, Image] = {}
    faces: dict[int, tuple[Image | None, dict[str, Any]]] = {}
    for path, rows in by_image.items():
        try:
            images[path] = read_image(Path(settings["data_root"]), path)
        except UnreadableImageError as error:
            faces |= {row["row"]: (None, {"status": "dropped", "reason": str(error)}) for row in rows}
    found = [[Found() for _ in by_image[path]] for path in images]
    if settings["detector"]:
        sought = [
            [Sought(None if row["box"] is None else np.array(row["box"])) for row in by_image[path]] for path in images
        ]
        detector = _detector(settings["detector"], settings["device"])
        found = locate(list(images.values()), sought, detector, min_iou=settings["min_iou"])
    for (path, img), of_image in zip(images.items(), found, strict=True):
        for row, face in zip(by_image[path], of_image, strict=True):
            faces[row["row"]] = _cut(img, row, face, settings)
    return faces


def _cut(
    img: Image, row: dict[str, Any], found: Found, settings: dict[str, Any]
) -> tuple[Image | None, dict[str, Any]]:
    """The square face of one row, aligned where it was found, else cropped by its box; and the outcome."""
    size_px = settings["size_px"]
    if found.lmk_52_px is not None:
        face = align(img, found.lmk_52_px, size_px=size_px, face_scale=settings["face_scale"])
        if face is not None:
            outcome = {
                "how": found.how,
                "iou": found.iou,
                "score": found.score,
                "face_box": _rounded(found.box_xyxy_px),
                "face_landmarks": _rounded(found.lmk_52_px),
            }
            return face, {"status": "kept", **outcome}
    if row["box"] is None:
        return None, {"status": "dropped", "reason": "no face found, and no annotated box"}
    margin = FALLBACK_MARGIN if settings["detector"] else 0.0
    face = crop(img, np.array(row["box"]), size_px=size_px, margin=margin)
    return face, {"status": "kept", "how": "annotated box"}


def _rounded(values: NDArray[np.float64] | None) -> list[float] | None:
    return None if values is None else [round(float(value), 2) for value in values.ravel()]


def _sample(row: dict[str, Any], face: Image | None, outcome: dict[str, Any], job: ShardJob) -> Sample:
    assert face is not None  # only kept rows come here
    known = ("how", "iou", "score", "face_box", "face_landmarks")
    meta = {"source": row["image_path"], "box": row["box"], "detector": job.settings["detector"]}
    meta |= {name: outcome[name] for name in known if outcome.get(name) is not None}
    return Sample(row["key"], encode_jpeg(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)), row["label"], row["row"], meta)
