"""Reads ExpW: `label.lst` and the web photographs it speaks of, several labelled faces to an image.

Columns, separated by spaces: image_name face_id_in_image top left right bottom confidence label. The box order is
top, left, right, bottom. A face is known by (image, face id), never by the image alone.
"""

from pathlib import Path
from typing import Any, Final

import polars as pl

from fastfer.datasets.table import box_problem, path_problem, read_lines, rows_table, safe_key
from fastfer.labels import EXPW_TO_CANONICAL
from pipelines.errors import InputError

LAYOUTS: Final = (
    ("label/label.lst", "image/origin"),
    ("data/label/label.lst", "data/image/origin"),
    ("label/label.lst", "data/image/origin"),
    ("label.lst", "origin"),
)
"""Where copies keep the label list and the images."""


def read(root: Path) -> pl.DataFrame:
    """One row (`ROW_SCHEMA`) per line of the label list.

    Raises:
        InputError: no known layout is found under `root`, or the label list is empty.
    """
    label_list, images = _layout(root)
    return rows_table(
        [_row(images, number, line.split()) for number, line in enumerate(read_lines(label_list), start=1)]
    )


def _layout(root: Path) -> tuple[Path, str]:
    for label_list, images in LAYOUTS:
        if (root / label_list).is_file() and (root / images).is_dir():
            return root / label_list, images
    raise InputError(
        f"no ExpW in {root}: expected label/label.lst and image/origin there (README.md shows the layouts)"
    )


def _row(images: str, number: int, fields: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"key": f"=line-{number}"}
    if len(fields) != 8:
        return row | {"problem": f"{len(fields)} fields where 8 are due"}
    name, face = fields[:2]
    row |= {"key": safe_key(f"{name.removesuffix('.jpg')}-{face}"), "image_path": f"{images}/{name}"}
    if (problem := path_problem(name)) is not None:
        return row | {"problem": problem}
    try:
        top, left, right, bottom, confidence = (float(field) for field in fields[2:7])
    except ValueError:
        return row | {"problem": "impossible box"}
    row |= {"box": [left, top, right, bottom], "box_confidence": confidence}
    if (problem := box_problem(row["box"])) is not None:
        return row | {"box": None, "problem": problem}
    if fields[7] not in {str(known) for known in EXPW_TO_CANONICAL}:
        return row | {"problem": "unknown label"}
    return row | {"label": EXPW_TO_CANONICAL[int(fields[7])]}
