"""Reads ExpW: `label.lst` and the web photographs it speaks of, several labelled faces to an image.

Columns, separated by spaces: image_name face_id_in_image top left right bottom confidence label. The box order is
top, left, right, bottom. A face is known by (image, face id), never by the image alone.
"""

import re
from pathlib import Path
from typing import Any, Final

from fastfer.datasets.source import Reading, Source
from fastfer.datasets.table import box_problem, numbers, path_problem, read_lines, rows_table, safe_key
from fastfer.labels import EXPW_TO_CANONICAL
from pipelines.errors import InputError

LAYOUTS: Final = (
    ("label/label.lst", "image/origin"),
    ("data/label/label.lst", "data/image/origin"),
    ("label/label.lst", "data/image/origin"),
    ("label.lst", "origin"),
)
"""Where copies keep the label list and the images."""
LABELS: Final = {str(number): label for number, label in EXPW_TO_CANONICAL.items()}
FACE_ID: Final = re.compile(r"[0-9]{1,9}")


def read(source: Source) -> Reading:
    """One row per line of the label list.

    Raises:
        InputError: no known layout is found, the label list is empty, or aligned images are asked for.
    """
    if source.images == "aligned":
        raise InputError("ExpW has no aligned images: leave SOURCE= away")
    label_list, images = _layout(source.root)
    lines = read_lines(source.root / label_list)
    rows = [_row(images, number, line.split()) for number, line in enumerate(lines, start=1)]
    return Reading(rows_table(rows), f"ExpW, {label_list} with {images}", cropped=False)


def _layout(root: Path) -> tuple[str, str]:
    for label_list, images in LAYOUTS:
        if (root / label_list).is_file() and (root / images).is_dir():
            return label_list, images
    raise InputError(
        f"no ExpW in {root}: expected label/label.lst and image/origin there (docs/data.md shows the layouts)"
    )


def _row(images: str, number: int, fields: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"key": f"=line-{number}"}
    if len(fields) != 8:
        return row | {"problem": f"{len(fields)} fields where 8 are due"}
    name, face = fields[:2]
    if (problem := path_problem(name)) is not None:
        return row | {"problem": problem}
    row |= {"image_path": f"{images}/{name}"}
    if FACE_ID.fullmatch(face) is None:
        return row | {"problem": "impossible face id"}
    row |= {"key": safe_key(f"{name.removesuffix('.jpg')}-{int(face)}")}
    values = numbers(fields[2:7], 5)
    if values is None:
        return row | {"problem": "impossible box"}
    top, left, right, bottom, confidence = values
    row |= {"box": [left, top, right, bottom], "box_confidence": confidence}
    if (problem := box_problem(row["box"])) is not None:
        return row | {"box": None, "problem": problem}
    if fields[7] not in LABELS:
        return row | {"problem": "unknown label"}
    return row | {"label": LABELS[fields[7]]}
