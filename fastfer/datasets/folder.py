"""Reads any folder of class folders: AffectNet, FER2013, one's own photographs.

`<class>/*.jpg`, or `train/<class>/`, `val/<class>/` and `test/<class>/`, which then are the splits. Folder names that
are a canonical class or a usual synonym of one are understood; `LABELS=map.toml` names others (`joy = "happiness"`),
and a folder mapped to `""` is left out.
"""

import tomllib
from pathlib import Path
from typing import Any, Final

from fastfer.datasets.source import Reading, Source
from fastfer.datasets.table import path_problem, pictures, rows_table, safe_key
from fastfer.labels import CLASSES, SYNONYMS
from pipelines.errors import InputError

SPLIT_FOLDERS: Final = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
}  # fmt: skip
LARGEST_MAP: Final = 1_000_000


def read(source: Source) -> Reading:
    """One row per image file of the class folders, by split, class and name.

    Raises:
        InputError: there are no class folders, one has a name that is not understood, or the label map is unusable.
    """
    root = source.root
    splits = [path for path in _folders(root) if path.name.lower() in SPLIT_FOLDERS]
    parents: list[tuple[Path, str | None]] = [(path, SPLIT_FOLDERS[path.name.lower()]) for path in splits]
    folders = [(path, split) for parent, split in parents or [(root, None)] for path in _folders(parent)]
    if not folders:
        raise InputError(f"no class folders in {root}: expected <class>/*.jpg or train/<class>/*.jpg there")
    labels = _label_map(source.labels)
    unknown = sorted({path.name for path, _ in folders if path.name.lower() not in labels})
    if unknown:
        raise InputError(
            f"{root} has folders whose class is not known ({', '.join(unknown[:8])}): name each in LABELS=map.toml, "
            f'such as "{unknown[0]}" = "happiness", or = "" to leave it out'
        )
    rows = [_row(root, path, split, labels[path.parent.name.lower()]) for path, split in _files(folders)]
    if not rows:
        raise InputError(f"the class folders in {root} hold no images")
    named = "with train/val/test folders" if parents else "split by fastfer"
    return Reading(rows_table(rows), f"class folders, {named}", cropped=source.images == "aligned")


def _folders(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))


def _files(folders: list[tuple[Path, str | None]]) -> list[tuple[Path, str | None]]:
    return [(path, split) for folder, split in folders for path in pictures(folder)]


def _row(root: Path, path: Path, split: str | None, label: int | None) -> dict[str, Any]:
    relative = path.relative_to(root).as_posix()
    row = {
        "key": safe_key(relative.replace("/", "-")),
        "image_path": relative,
        "label": label,
        "official_split": split,
        "problem": path_problem(relative),
    }
    return row | ({"problem": "class left out by LABELS="} if label is None else {})


def _label_map(path: Path | None) -> dict[str, int | None]:
    """Folder names in lower case and their canonical labels; None leaves a folder out."""
    labels: dict[str, int | None] = dict(SYNONYMS)
    for name, known in _read_map(path).items() if path is not None else ():
        if known != "" and known not in CLASSES:
            raise InputError(f"{path} maps {name!r} to {known!r}: choose one of {', '.join(CLASSES)}, or an empty text")
        labels[name.lower()] = CLASSES.index(known) if known else None
    return labels


def _read_map(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_MAP:
            raise InputError(f"{path} is no label map: it is too large")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            f'the label map {path} cannot be read ({error}): it holds lines such as joy = "happiness"'
        ) from None
