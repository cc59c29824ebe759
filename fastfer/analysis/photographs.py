"""What the photographs of a dataset are like, measured once: each image, and each annotated face in it.

The table of images is kept beside the dataset's records, in `photographs.parquet`; an image is read again only if its
file or the boxes in it changed. Brightness and contrast are mean and standard deviation of the gray levels, sharpness
is the variance of the Laplacian (Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", 2000), all at
one working size, because the Laplacian of one and the same scene falls as the scene is drawn larger. A photograph
of 0.9 megapixels takes 7.5 ms of one core.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from fastfer.analysis.jpeg_quality import jpeg_quality
from fastfer.datasets import Source, read
from fastfer.datasets.per_image import STATE_SCHEMA, rows_per_image
from fastfer.faces.images import UnreadableImageError, decoded, opened, read_bytes
from pipelines.progress import Track, untracked
from pipelines.records import make_folder

WORK_PX: Final = 512
"""The longer side of an image, enlarged or reduced to this before its gray levels and sharpness are measured."""
FACE_PX: Final = 96
"""Both sides of a face's box, likewise."""
LEAST_FACE_PX: Final = 2
"""A box with less than this within its image shows nothing to measure."""
PHOTOGRAPHS_NAME: Final = "photographs.parquet"
KEPT_SCHEMA: Final = pl.Schema(
    {
        **STATE_SCHEMA,
        "boxes": pl.String(),  # of the annotated faces, as JSON: xyxy or null, in the order of the annotation
        "problem": pl.String(),  # why the image cannot be measured, or null; then so is what follows
        "width": pl.Int32(),  # upright, in pixels
        "height": pl.Int32(),
        "brightness": pl.Float64(),  # 0 to 255
        "contrast": pl.Float64(),  # gray levels
        "sharpness": pl.Float64(),
        "jpeg_quality": pl.Int32(),  # 1 to 100; null for files of other formats
        "face_sharpness": pl.List(pl.Float64()),  # of each box; null where there is none
    }
)
IMAGE_SCHEMA: Final = pl.Schema(
    {
        **{name: KEPT_SCHEMA[name] for name in ("image_path", "width", "height")},
        "megapixels": pl.Float64(),
        "aspect": pl.Float64(),  # width over height
        **{name: KEPT_SCHEMA[name] for name in ("file_bytes", "brightness", "contrast", "sharpness", "jpeg_quality")},
        "faces_annotated": pl.Int32(),
    }
)
FACE_SCHEMA: Final = pl.Schema(
    {
        "key": pl.String(),
        "image_path": pl.String(),
        "label": pl.Int8(),
        "area_share": pl.Float64(),  # of the image that the box covers; null without a box, as all that follows from it
        "is_largest": pl.Boolean(),  # among the annotated faces of its image, as the next two
        "is_most_central": pl.Boolean(),
        "is_sharpest": pl.Boolean(),
        "faces_annotated": pl.Int32(),  # in its image, itself included
        "box_confidence": pl.Float64(),  # 0 to 100, where the dataset states one
    }
)


@dataclass(frozen=True, slots=True)
class Photographs:
    """The images that can be read (`IMAGE_SCHEMA`), their annotated faces (`FACE_SCHEMA`), and the rest.

    `unreadable` has `image_path` and `problem` of each image that is skipped.
    """

    images: pl.DataFrame
    faces: pl.DataFrame
    unreadable: pl.DataFrame


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """A numeric column of `images` or `faces` and how it is shown."""

    name: str
    of: Literal["images", "faces"]
    title: str
    digits: int = 0
    is_log: bool = False  # spread over orders of magnitude
    is_whole: bool = False  # a small whole number


MEASURES: Final = (
    Measure(name="width", of="images", title="Width, px", is_log=True),
    Measure(name="height", of="images", title="Height, px", is_log=True),
    Measure(name="megapixels", of="images", title="Megapixels", digits=2, is_log=True),
    Measure(name="aspect", of="images", title="Aspect, width / height", digits=2),
    Measure(name="file_bytes", of="images", title="File size, bytes", is_log=True),
    Measure(name="jpeg_quality", of="images", title="JPEG quality, 1 to 100", is_whole=True),
    Measure(name="brightness", of="images", title="Brightness, mean gray 0 to 255"),
    Measure(name="contrast", of="images", title="Contrast, standard deviation of gray"),
    Measure(name="sharpness", of="images", title="Sharpness, variance of the Laplacian", is_log=True),
    Measure(name="faces_annotated", of="images", title="Annotated faces per image", is_whole=True),
    Measure(
        name="area_share", of="faces", title="Share of the image that the face's box covers", digits=3, is_log=True
    ),
    Measure(name="box_confidence", of="faces", title="Box confidence, 0 to 100", digits=1),
)
QUANTILES: Final = {"min": 0.0, "p5": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "p95": 0.95, "max": 1.0}


def measure(source: Source, shards: Path, *, workers: int = 2, track: Track = untracked) -> Photographs:
    """Measure every image of a dataset that has a usable line of the annotation.

    Args:
        source: the dataset's folder.
        shards: the folder of all records; the dataset's own in it gets `photographs.parquet`.
        workers: threads.
        track: told of each image read.

    Raises:
        InputError: the folder is missing or incomplete (see `datasets.read`).
    """
    rows = read(source).rows.filter(pl.col("problem").is_null())
    boxes = rows.group_by("image_path", maintain_order=True).agg("box")
    asked = boxes.select(
        "image_path", boxes=pl.Series([json.dumps(one) for one in boxes["box"].to_list()], dtype=pl.String)
    )
    folder = shards / source.dataset
    make_folder(folder)
    kept = rows_per_image(
        source.root, asked, folder / PHOTOGRAPHS_NAME, KEPT_SCHEMA, _measured,
        title="Measuring photographs", workers=workers, track=track,
    )  # fmt: skip
    readable = kept.filter(pl.col("problem").is_null())
    unreadable = kept.filter(pl.col("problem").is_not_null()).select("image_path", "problem")
    return Photographs(_images(readable), _faces(rows, readable), unreadable)


def summary_of(photographs: Photographs) -> pl.DataFrame:
    """A row per measure of `MEASURES`: `measure`, `n` (how many are known), and `QUANTILES` of it, null if n is 0."""
    tables = {"images": photographs.images, "faces": photographs.faces}
    return pl.concat(
        tables[one.of].select(
            pl.lit(one.name).alias("measure"),
            pl.col(one.name).count().cast(pl.Int64).alias("n"),
            *(pl.col(one.name).quantile(at, "linear").cast(pl.Float64).alias(name) for name, at in QUANTILES.items()),
        )
        for one in MEASURES
    )


def _images(readable: pl.DataFrame) -> pl.DataFrame:
    area = pl.col("width").cast(pl.Float64) * pl.col("height")
    return readable.with_columns(
        megapixels=area / 1e6,
        aspect=pl.col("width") / pl.col("height"),
        faces_annotated=pl.col("face_sharpness").list.len().cast(pl.Int32),
    ).select(IMAGE_SCHEMA.names())


def _faces(rows: pl.DataFrame, readable: pl.DataFrame) -> pl.DataFrame:
    """A row per annotated face of the images that can be read, in the order of the annotation."""
    place = pl.int_range(pl.len()).over("image_path")
    size = readable.select("image_path", "width", "height", "face_sharpness")
    x0, y0, x1, y1 = (pl.col("box").list.get(i, null_on_oob=True) for i in range(4))
    width, height = pl.col("width"), pl.col("height")
    area = _within(x0, x1, width) * _within(y0, y1, height) / (width.cast(pl.Float64) * height)
    from_centre = ((x0 + x1) / 2 / width - 0.5).pow(2) + ((y0 + y1) / 2 / height - 0.5).pow(2)
    return (
        rows.with_columns(place=place)
        .join(size, on="image_path", how="inner", maintain_order="left")
        .with_columns(
            area_share=area,
            from_centre=from_centre,
            sharpness=pl.col("face_sharpness").list.get(pl.col("place"), null_on_oob=True),
            faces_annotated=pl.len().over("image_path").cast(pl.Int32),
        )
        .with_columns(
            is_largest=pl.col("area_share") == pl.col("area_share").max().over("image_path"),
            is_most_central=pl.col("from_centre") == pl.col("from_centre").min().over("image_path"),
            is_sharpest=pl.col("sharpness") == pl.col("sharpness").max().over("image_path"),
        )
        .select(FACE_SCHEMA.names())
    )


def _within(low: pl.Expr, high: pl.Expr, length: pl.Expr) -> pl.Expr:
    """How much of low..high lies in 0..length."""
    return (pl.min_horizontal(high, length) - low.clip(lower_bound=0)).clip(lower_bound=0)


def _measured(root: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """The row (`KEPT_SCHEMA`) of an image."""
    try:
        data = read_bytes(root, asked["image_path"])
        img_HWC = decoded(data)
        with opened(data) as image:
            table = getattr(image, "quantization", {}).get(0)
    except UnreadableImageError as error:
        return asked | {"problem": str(error)}
    height, width = img_HWC.shape[:2]
    gray = cv2.cvtColor(img_HWC, cv2.COLOR_RGB2GRAY)
    scale = WORK_PX / max(width, height)
    work = _resized(gray, max(1, round(width * scale)), max(1, round(height * scale)))
    return asked | {
        "width": width,
        "height": height,
        "brightness": float(work.mean()),
        "contrast": float(work.std()),
        "sharpness": _sharpness(work),
        "jpeg_quality": jpeg_quality(table) if table else None,
        "face_sharpness": [face_sharpness(gray, box) for box in json.loads(asked["boxes"])],
    }


def face_sharpness(gray_HW: NDArray[np.uint8], box_xyxy_px: list[float] | None) -> float | None:
    """Variance of the Laplacian within a box, drawn `FACE_PX` wide; None without a box, or almost none in the image."""
    if box_xyxy_px is None:
        return None
    height, width = gray_HW.shape
    x0, y0, x1, y1 = np.clip(box_xyxy_px, 0, [width, height] * 2).round().astype(int)
    if min(x1 - x0, y1 - y0) < LEAST_FACE_PX:
        return None
    return _sharpness(_resized(gray_HW[y0:y1, x0:x1], FACE_PX, FACE_PX))


def _resized(gray_HW: NDArray[np.uint8], width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Area averages where it becomes smaller, linear where larger."""
    smaller = width_px * height_px < gray_HW.size
    resized = cv2.resize(gray_HW, (width_px, height_px), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def _sharpness(gray_HW: NDArray[np.uint8]) -> float:
    return float(cv2.Laplacian(gray_HW, cv2.CV_64F).var())
