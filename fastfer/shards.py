"""The shard stage: read, split, then cut faces out of photographs into records, once."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from fastfer.datasets import Reading, Source, find_dataset, read
from fastfer.datasets.duplicates import group_images, near_duplicates
from fastfer.datasets.fingerprints import FINGERPRINTS_NAME, fingerprint_images
from fastfer.datasets.splits import split_rows
from fastfer.engines import ENGINES
from fastfer.faces.detect import DETECTORS, detector_version
from fastfer.faces.extract import COLORS, OUTCOME_SCHEMA, SAMPLE_KNOWS, Extracted, FaceSettings, extract
from fastfer.variants import PLACE_SCHEMA, ShardJob, ShardResult, VariantPlan, build_variant, cut, expect_work
from pipelines.errors import InputError
from pipelines.progress import Say, Track, unsaid, untracked
from pipelines.records import SPLITS, DatasetInfo, Sample, make_folder, sha256, shard_name, write_shard

CHOICES: Final = {
    "variant": ("preprocessed", "raw"),
    "detector": (None, *DETECTORS),
    "color": COLORS,
    "scene": ("annotated", "full"),
    "engine": tuple(ENGINES),
}
RANGES: Final = {
    "size_px": (16, 1024),
    "shard_rows": (1, 100_000),
    "face_scale": (0.1, 2.0),
    "min_iou": (0.05, 0.95),
    "workers": (1, 256),
}

WORKERS_NEED: Final = ("cv2", "fastfer.shards", "fastfer.faces.mtcnn", "scipy.optimize")
"""The slow imports of a shard's maker."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardConfig:
    """Settings of the shard stage.

    `out` holds all variants of all datasets. `images`, `min_confidence` and `labels` say how the dataset is read (see
    `Source`). `detector` None takes the dataset's own; `weights` are RetinaFace's. `face_scale` 1 is ArcFace's tight
    crop, less is roomier. `min_iou` is how much a found face must overlap the annotated box. `scene` full searches
    whole images too, to count their faces. `device` is the detector's. `engine` and `workers` (processes) change the
    time alone.
    """

    dataset: str
    data_root: Path
    out: Path
    variant: str = "preprocessed"
    images: str = "auto"
    min_confidence: float | None = None
    labels: Path | None = None
    detector: str | None = None
    weights: Path | None = None
    scene: str = "annotated"
    color: str = "gray"
    size_px: int = 224
    face_scale: float = 0.9
    min_iou: float = 0.3
    shard_rows: int = 512
    seed: int = 0
    device: str = "cpu"
    engine: str = "local"
    workers: int = 2

    def __post_init__(self) -> None:
        """Refuse impossible settings."""
        find_dataset(self.dataset)
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                known = ", ".join(choice for choice in choices if choice)
                more = " (make balance adds augmented)" if name == "variant" else ""
                raise InputError(f"no {name} {getattr(self, name)!r}: choose one of {known}{more}")
        for name, (low, high) in RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(f"{name} is {getattr(self, name)}: it must be from {low} to {high}")

    @property
    def folder(self) -> Path:
        """Where the variant goes."""
        return self.out / self.dataset / self.variant

    @property
    def source(self) -> Source:
        """What is read."""
        return Source(
            dataset=self.dataset,
            root=self.data_root,
            images=self.images,
            min_confidence=self.min_confidence,
            labels=self.labels,
        )

    def face_settings(self, *, cropped: bool) -> FaceSettings:
        """What determines the pixels of the faces; `cropped` images and raw variants are not searched."""
        searched = self.variant == "preprocessed" and not cropped
        detector = (self.detector or find_dataset(self.dataset).detector) if searched else None
        return FaceSettings(
            size_px=self.size_px,
            face_scale=self.face_scale,
            min_iou=self.min_iou,
            color=self.color,
            detector=detector,
            device=self.device,
            weights=_weights(self.weights) if detector == "retinaface" else None,
            cropped=cropped,
            whole_scene=self.scene == "full" and searched,
        )


def _weights(given: Path | None) -> Path:
    from fastfer.faces.weights import retinaface_weights

    return retinaface_weights(given)


def make_shards(config: ShardConfig, track: Track = untracked, say: Say = unsaid) -> DatasetInfo:
    """Build the variant that `config` describes, or go on where an earlier run stopped.

    `say` is told what was recognised, and which detector is used.

    Raises:
        InputError: the dataset is missing or unusable, the detector cannot be had, or the folder holds records made
            with other settings.
    """
    reading = read(config.source)
    faces = config.face_settings(cropped=reading.cropped)
    say(f"{config.dataset} in {config.data_root}: {reading.layout}; {len(reading.rows)} rows")
    say(f"detector: {faces.detector} on {faces.device}" if faces.detector else "no detection: faces as they are given")
    expect_work(config.folder, config.engine, WORKERS_NEED)
    rows = split_reading(reading, config, track)
    settings = _settings(config, reading, rows, faces)
    task = settings | {"data_root": config.data_root, "faces": faces, "threads": _threads(config)}
    plan = VariantPlan(
        folder=config.folder,
        dataset=config.dataset,
        variant=config.variant,
        size_px=config.size_px,
        settings=settings,
        manifest=rows.drop("image_sha256"),
        jobs=_jobs(config, rows, task),
        outcome_schema=pl.Schema({**PLACE_SCHEMA, **OUTCOME_SCHEMA}),
    )
    return build_variant(
        plan,
        make_shard,
        workers=config.workers,
        title=f"Sharding {config.dataset}",
        unit="faces",
        track=track,
        engine=config.engine,
    )


def split_reading(reading: Reading, config: ShardConfig, track: Track) -> pl.DataFrame:
    """The rows with `split` and `image_sha256`: faces of one image and of near-duplicates stay on one side.

    The images' fingerprints are kept in the dataset's folder, beside its variants: all of them split alike.
    """
    rows = reading.rows
    good = rows.filter(pl.col("problem").is_null())
    folder = config.folder.parent
    make_folder(folder)
    prints = fingerprint_images(
        config.data_root,
        good["image_path"].unique(maintain_order=True).to_list(),
        folder / FINGERPRINTS_NAME,
        workers=config.workers,
        track=track,
    )
    groups = group_images(near_duplicates(prints))
    digests = prints.select("image_path", image_sha256="sha256")
    return rows.with_columns(split=split_rows(rows, groups, config.seed)).join(
        digests, on="image_path", how="left", maintain_order="left"
    )


def _settings(config: ShardConfig, reading: Reading, rows: pl.DataFrame, faces: FaceSettings) -> dict[str, Any]:
    """All that determines the bytes of the variant, as `dataset.json` states it."""
    return {
        "variant": config.variant,
        "layout": reading.layout,
        "min_confidence": config.min_confidence,
        "detector": faces.detector,
        "detector_version": detector_version(faces.detector) if faces.detector else None,
        "detector_weights_sha256": sha256(faces.weights) if faces.weights else None,
        "device": config.device,
        "scene": "full" if faces.whole_scene else "annotated",
        "color": config.color,
        "size_px": config.size_px,
        "face_scale": config.face_scale,
        "min_iou": config.min_iou,
        "shard_rows": config.shard_rows,
        "seed": config.seed,
        "rows_sha256": hashlib.sha256(rows.write_json().encode()).hexdigest(),
    }


def _threads(config: ShardConfig) -> int:
    """Decoding threads of each process: a GPU must not wait for one; on the CPU one more hides a slow disk."""
    return 1 if config.device == "cpu" else max(1, (os.cpu_count() or 1) // config.workers)


def _jobs(config: ShardConfig, rows: pl.DataFrame, task: dict[str, Any]) -> list[ShardJob]:
    """Images, each with all its faces, in random order and cut into shards; then the faces of a shard shuffled."""
    good = rows.filter(pl.col("problem").is_null()).select(
        "row", "key", "image_path", "label", "split", "box", "landmarks"
    )
    jobs = []
    for number, split in enumerate(SPLITS):
        rng = np.random.default_rng((config.seed, number))
        part = good.filter(pl.col("split") == split).with_row_index("at")
        groups = part.group_by("image_path", maintain_order=True).agg("at")["at"].to_list()
        shuffled = (groups[i] for i in rng.permutation(len(groups)))
        for shard, places in enumerate(cut(shuffled, config.shard_rows)):
            mixed = part[rng.permutation(places)].drop("at")
            jobs.append(ShardJob(config.folder, shard_name(split, shard), split, mixed, task))
    return jobs


def make_shard(job: ShardJob) -> ShardResult:
    """Decode, detect, match, align and write one shard: a pure function of its job."""
    task = job.settings
    rows = job.rows.to_dicts()
    faces = {one.row["row"]: one for one in extract(rows, task["data_root"], task["faces"], task["threads"])}
    kept = [faces[row["row"]] for row in rows if faces[row["row"]].jpeg is not None]
    place = {one.row["row"]: {"shard": job.name, "position": position} for position, one in enumerate(kept)}
    info = write_shard(job.folder, job.name, job.split, (_sample(one, task["detector"]) for one in kept))
    return ShardResult(
        info, [{"row": row["row"], **faces[row["row"]].outcome, **place.get(row["row"], {})} for row in rows]
    )


def _sample(one: Extracted, detector: str | None) -> Sample:
    assert one.jpeg is not None  # only kept rows come here
    meta = {"source": one.row["image_path"], "box": one.row["box"], "detector": detector}
    meta |= {name: one.outcome[name] for name in SAMPLE_KNOWS if one.outcome.get(name) is not None}
    return Sample(one.row["key"], one.jpeg, one.row["label"], one.row["row"], meta)
