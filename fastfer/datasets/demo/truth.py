"""What is true of every annotated demo face, whatever the written annotation says: `truth.parquet`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from fastfer.datasets.demo.plan import ImagePlan
from fastfer.datasets.demo.portraits import Points
from fastfer.datasets.demo.scenes import Face, Picture

TRUTH_SCHEMA: Final = pl.Schema(
    {
        "dataset": pl.String(),  # demo-rafdb or demo-expw
        "image": pl.String(),  # relative to the dataset's folder
        "face_id": pl.Int64(),  # as in ExpW's list; null in RAF-DB
        "label": pl.Int64(),  # canonical class of the expression drawn
        "written_label": pl.Int64(),  # canonical class that the list says; another one where label noise struck
        "box": pl.List(pl.Float64()),  # xmin ymin xmax ymax, pixels of the image
        "landmarks": pl.List(pl.Float64()),  # x0 y0 .. x4 y4: eyes, nose, mouth corners, left in the image first
        "duplicate_of": pl.String(),  # "<dataset>/<image>" of which this image is a near-duplicate, or null
        "query_class": pl.Int64(),  # canonical class of the emotion word in ExpW's file name; null in RAF-DB
        "is_largest": pl.Boolean(),  # of all faces in the image, annotated or not
    }
)

TRUTH: Final = "truth.parquet"
DECIMALS = 3
"""Pixels are kept to a thousandth: processors differ in the last bits, files should not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What one image adds to its dataset besides its own files."""

    lines: list[str]  # of the label list
    truth: list[dict[str, Any]] = field(default_factory=list)  # rows of `TRUTH_SCHEMA`; none for an unreadable image


def read_truth(folder: Path) -> pl.DataFrame:
    """The truth of the demo set in `folder` (`TRUTH_SCHEMA`), and `key`: the names that the readers give its rows."""
    stem = pl.col("image").str.split("/").list.last().str.strip_suffix(".jpg")
    number = pl.lit("-") + pl.col("face_id").cast(pl.String)
    return pl.read_parquet(folder / TRUTH).with_columns(key=stem + number.fill_null(""))


def truth_rows(plan: ImagePlan, picture: Picture, *, numbered: bool) -> list[dict[str, Any]]:
    """One row of `TRUTH_SCHEMA` per annotated face; `numbered` faces get their place in the picture as `face_id`."""
    largest_px = max(face.area_px for face in picture.faces)
    return [
        {
            "dataset": plan.dataset.folder,
            "image": plan.path,
            "face_id": face_id if numbered else None,
            "label": face.label,
            "written_label": written,
            "box": rounded(face.box_xyxy_px),
            "landmarks": rounded(face.lmk_P2_px),
            "duplicate_of": plan.copy_of.full_path if plan.copy_of else None,
            "query_class": plan.query,
            "is_largest": face.area_px == largest_px,
        }
        for (face_id, face), written in zip(annotated(picture), plan.written, strict=True)
    ]


def annotated(picture: Picture) -> list[tuple[int, Face]]:
    """The faces that the list speaks of, each with its place among all faces of the picture."""
    return [(place, face) for place, face in enumerate(picture.faces) if face.annotated]


def rounded(points_px: Points) -> list[float]:
    """Flattened, to `DECIMALS`."""
    return [round(float(value), DECIMALS) for value in points_px.ravel()]
