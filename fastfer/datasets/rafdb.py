"""Reads RAF-DB (basic) in its official layout: original photographs with annotated boxes and landmarks.

`EmoLabel/list_patition_label.txt` lists `train_00001.jpg 5`; the split is the name's prefix. Beside it lie
`Image/original/<stem>.jpg`, `Annotation/boundingbox/<stem>_boundingbox.txt` (or `<stem>.txt`; four floats) and
`Annotation/manual/<stem>_manu_attri.txt`, whose first five lines are landmarks.
"""

from pathlib import Path
from typing import Any, Final

import polars as pl

from fastfer.datasets.table import box_problem, path_problem, read_lines, rows_table, safe_key
from fastfer.labels import RAFDB_TO_CANONICAL
from pipelines.errors import InputError

LABEL_LIST: Final = "EmoLabel/list_patition_label.txt"
IMAGES: Final = "Image/original"
BOX_FILES: Final = ("Annotation/boundingbox/{}_boundingbox.txt", "Annotation/boundingbox/{}.txt")
LANDMARK_FILE: Final = "Annotation/manual/{}_manu_attri.txt"


def read(root: Path) -> pl.DataFrame:
    """One row (`ROW_SCHEMA`) per line of the label list.

    Raises:
        InputError: the label list or the folder of original images is missing, or the list is empty.
    """
    label_list = root / LABEL_LIST
    if not label_list.is_file():
        raise InputError(f"no RAF-DB in {root}: expected {LABEL_LIST} there (README.md shows the folder's layout)")
    if not (root / IMAGES).is_dir():
        raise InputError(f"RAF-DB in {root} has no {IMAGES}: the original photographs are needed")
    return rows_table([_row(root, number, line.split()) for number, line in enumerate(read_lines(label_list), start=1)])


def _row(root: Path, number: int, fields: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"key": f"=line-{number}"}
    if len(fields) != 2:
        return row | {"problem": f"{len(fields)} fields where 2 are due"}
    name, label = fields
    stem = name.removesuffix(".jpg")
    row |= {"key": safe_key(stem), "image_path": f"{IMAGES}/{name}"}
    if (problem := path_problem(name)) is not None:
        return row | {"problem": problem}
    if label not in {str(known) for known in RAFDB_TO_CANONICAL}:
        return row | {"problem": "unknown label"}
    split = stem.split("_")[0]
    if split not in {"train", "test"}:
        return row | {"problem": "name starts with neither train_ nor test_"}
    return row | {
        "label": RAFDB_TO_CANONICAL[int(label)],
        "official_split": split,
        "box": _box(root, stem),
        "landmarks": _numbers(root / LANDMARK_FILE.format(stem), 10),
    }


def _box(root: Path, stem: str) -> list[float] | None:
    found = (_numbers(root / pattern.format(stem), 4) for pattern in BOX_FILES)
    return next((box for box in found if box and not box_problem(box)), None)


def _numbers(path: Path, count: int) -> list[float] | None:
    """The first `count` numbers of a small text file, or None when it is missing or holds something else."""
    try:
        values = [float(word) for word in path.read_text(encoding="ascii").split()[:count]]
    except (OSError, ValueError):
        return None
    return values if len(values) == count else None
