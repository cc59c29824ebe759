"""Reads RAF-DB (basic): the official folder, as photographs or as aligned faces, and the mirrors of its aligned faces.

`EmoLabel/list_patition_label.txt` lists `train_00001.jpg 5`; the split is the name's prefix. Beside it lie
`Image/original/<stem>.jpg`, `Image/aligned/<stem>_aligned.jpg`, `Annotation/boundingbox/<stem>_boundingbox.txt` (or
`<stem>.txt`; four floats) and `Annotation/manual/<stem>_manu_attri.txt`, whose first five lines are landmarks. Mirrors
hold aligned faces: in folders `train/1` to `test/7`, or flat in `train` and `test` beside the official list.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from fastfer.datasets.source import Reading, Source
from fastfer.datasets.table import box_problem, numbers, path_problem, pictures, read_lines, rows_table, safe_key
from fastfer.labels import RAFDB_TO_CANONICAL
from pipelines.errors import InputError

LIST_NAME: Final = "list_patition_label.txt"
LABEL_LIST: Final = f"EmoLabel/{LIST_NAME}"
BOX_FILES: Final = ("Annotation/boundingbox/{}_boundingbox.txt", "Annotation/boundingbox/{}.txt")
LANDMARK_FILE: Final = "Annotation/manual/{}_manu_attri.txt"
LABELS: Final = {str(number): label for number, label in RAFDB_TO_CANONICAL.items()}
SPLITS: Final = ("train", "test")
ENOUGH_BYTES: Final = 4096
"""Of a box or landmark file: ten numbers are far shorter."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """A layout with the official list: where an image lies, by `{stem}` and `{split}`, and what it is."""

    name: str
    image: str
    cropped: bool

    @property
    def folder(self) -> str:
        """The folder that must be there."""
        return self.image.format(stem="", split=SPLITS[0]).rpartition("/")[0]


OFFICIAL: Final = (
    _Listed("original photographs", "Image/original/{stem}.jpg", cropped=False),
    _Listed("aligned faces", "Image/aligned/{stem}_aligned.jpg", cropped=True),
    _Listed("flat mirror of aligned faces", "{split}/{stem}_aligned.jpg", cropped=True),
    _Listed("flat mirror of aligned faces", "DATASET/{split}/{stem}_aligned.jpg", cropped=True),
)
LIST_PLACES: Final = (LABEL_LIST, LIST_NAME, f"DATASET/{LIST_NAME}", f"DATASET/{LABEL_LIST}")
CLASS_FOLDERS: Final = ("", "DATASET/")


def read(source: Source) -> Reading:
    """One row per line of the label list, or per file of the class folders.

    Raises:
        InputError: no known layout with the images asked for is found, or it holds nothing.
    """
    root = source.root
    for parent in CLASS_FOLDERS:
        if source.images != "original" and all((root / parent / split / "1").is_dir() for split in SPLITS):
            return Reading(_class_folders(root, parent), f"RAF-DB, class folders {parent}train/1 to 7", cropped=True)
    label_list = next((root / name for name in LIST_PLACES if (root / name).is_file()), None)
    if label_list is None:
        raise InputError(
            f"no RAF-DB in {root}: expected {LABEL_LIST} or class folders train/1 to test/7 there (docs/data.md shows "
            "the layouts)"
        )
    layout = _layout(source)
    lines = read_lines(label_list)
    rows = [_row(root, layout, number, line.split()) for number, line in enumerate(lines, start=1)]
    return Reading(rows_table(rows), f"RAF-DB, {layout.name} in {layout.folder}", layout.cropped)


def _layout(source: Source) -> _Listed:
    wanted = {"auto": (False, True), "original": (False,), "aligned": (True,)}[source.images]
    fitting = [layout for layout in OFFICIAL if layout.cropped in wanted]
    for layout in fitting:
        if (source.root / layout.folder).is_dir():
            return layout
    places = " or ".join(dict.fromkeys(layout.folder for layout in fitting))
    raise InputError(f"RAF-DB in {source.root} has no images: expected {places} there (docs/data.md shows the layouts)")


def _row(root: Path, layout: _Listed, number: int, fields: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"key": f"=line-{number}"}
    if len(fields) != 2:
        return row | {"problem": f"{len(fields)} fields where 2 are due"}
    name, label = fields
    if (problem := path_problem(name)) is not None:
        return row | {"problem": problem}
    stem = name.removesuffix(".jpg")
    split = stem.split("_")[0]
    row |= {"key": safe_key(stem)}
    if split not in SPLITS:
        return row | {"problem": "name starts with neither train_ nor test_"}
    row |= {"image_path": layout.image.format(stem=stem, split=split)}
    if label not in LABELS:
        return row | {"problem": "unknown label"}
    row |= {"label": LABELS[label], "official_split": split}
    if layout.cropped:
        return row
    return row | {"box": _box(root, stem), "landmarks": _numbers(root, LANDMARK_FILE.format(stem), 10)}


def _box(root: Path, stem: str) -> list[float] | None:
    found = (_numbers(root, pattern.format(stem), 4) for pattern in BOX_FILES)
    return next((box for box in found if box and not box_problem(box)), None)


def _numbers(root: Path, relative: str, count: int) -> list[float] | None:
    """The first `count` numbers of a small text file, or None when it is missing or holds something else."""
    path = root / relative
    try:
        if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
            return None
        with path.open("rb") as file:
            return numbers(file.read(ENOUGH_BYTES).decode("ascii").split(), count)
    except (OSError, ValueError):
        return None


def _class_folders(root: Path, parent: str) -> pl.DataFrame:
    rows = []
    for split in SPLITS:
        for number, label in LABELS.items():
            folder = root / parent / split / number
            for path in pictures(folder) if folder.is_dir() else ():
                rows.append(
                    {
                        "key": safe_key(f"{split}-{number}-{path.stem.removesuffix('_aligned')}"),
                        "image_path": f"{parent}{split}/{number}/{path.name}",
                        "label": label,
                        "official_split": split,
                        "problem": path_problem(path.name),
                    }
                )
    if not rows:
        raise InputError(f"the class folders of RAF-DB in {root} hold no images")
    return rows_table(rows)
