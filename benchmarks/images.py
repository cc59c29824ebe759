"""The images that loaders and augmentation are measured on: gray, 224 px, 16 KB each, as the shard stage writes them.

Crops of the demo's two portraits, turned and lit at random, with grain that gives their JPEGs the size of a real face.
"""

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.machine import CORES
from fastfer.cli.console import track
from fastfer.datasets.demo.portraits import portraits
from fastfer.labels import CLASSES
from fastfer.variants import PLACE_SCHEMA, ShardJob, ShardResult, VariantPlan, build_variant, cut
from pipelines.records import Sample, encode_jpeg, write_shard

SIZE_PX: Final = 224
SHARD_ROWS: Final = 512
GRAIN: Final = 1.5
"""Standard deviation of the noise, in gray levels."""
SOFTNESS_PX: Final = 0.7
"""Of the blur before it, as of faces that were enlarged a little; together they make JPEGs of 16 KB."""


def bench_records(folder: Path, images: int) -> Path:
    """The variant folder with `images` training images below `folder`, classes alike; made if it is not there."""
    variant = folder / str(images) / "preprocessed"
    make_records(variant, np.arange(images) % len(CLASSES), {})
    return variant


def make_records(variant: Path, labels: NDArray[np.int64], more: dict[str, Any]) -> None:
    """Training images with these labels as the records of a variant, unless they are there; `more` settings of it."""
    images = len(labels)
    manifest = pl.DataFrame(
        {
            "row": np.arange(images),
            "key": [f"image_{row:06d}" for row in range(images)],
            "label": labels.astype(np.int8),
            "split": ["train"] * images,
            "how": ["drawn"] * images,
            "problem": pl.Series([None] * images, dtype=pl.String),
        }
    )
    settings = {"images": images, "grain": GRAIN, "softness_px": SOFTNESS_PX, "size_px": SIZE_PX, **more}
    jobs = [
        ShardJob(variant, f"train-{number:05d}", "train", manifest[rows], settings)
        for number, rows in enumerate(cut(([row] for row in range(images)), SHARD_ROWS))
    ]
    plan = VariantPlan(
        folder=variant,
        dataset="bench",
        variant="preprocessed",
        size_px=SIZE_PX,
        settings=settings,
        manifest=manifest,
        jobs=jobs,
        outcome_schema=PLACE_SCHEMA,
    )
    build_variant(plan, _make_shard, workers=CORES, title="Benchmark images", unit="images", track=track)


def _make_shard(job: ShardJob) -> ShardResult:
    samples = [
        Sample(key, encode_jpeg(_draw(row)), label, row)
        for row, key, label in job.rows.select("row", "key", "label").iter_rows()
    ]
    return ShardResult.of(job, write_shard(job.folder, job.name, job.split, samples))


def _draw(row: int) -> NDArray[np.uint8]:
    """One image, a pure function of its row: uint8 `224 x 224`."""
    rng = np.random.default_rng((0, row))
    faces = portraits()
    face = faces[row % len(faces)]
    gray = cv2.cvtColor(np.ascontiguousarray(face.cutouts[0][..., :3]), cv2.COLOR_RGB2GRAY)
    eyes = face.to_px_23[:, 2]
    zoom = SIZE_PX * rng.uniform(0.3, 0.42) / face.unit_px
    matrix = cv2.getRotationMatrix2D((float(eyes[0]), float(eyes[1])), rng.uniform(-15, 15), zoom)
    matrix[:, 2] += SIZE_PX * rng.uniform((0.45, 0.35), (0.55, 0.45)) - eyes
    size = (SIZE_PX, SIZE_PX)
    warped = cv2.warpAffine(gray, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    lit = cv2.GaussianBlur(warped, (0, 0), SOFTNESS_PX) * rng.uniform(0.7, 1.2) + rng.normal(0, GRAIN, warped.shape)
    return np.asarray(np.clip(lit, 0, 255), np.uint8)
