"""The one table every dataset reader makes: a row per line of the annotation, good or bad."""

import hashlib
import math
import re
from pathlib import Path
from typing import Any, Final

import polars as pl

from pipelines.errors import InputError

ROW_SCHEMA: Final = pl.Schema(
    {
        "key": pl.String(),  # unique name of the labelled face, safe as a file name
        "image_path": pl.String(),  # relative to the dataset's folder
        "label": pl.Int8(),  # canonical, 0..6
        "official_split": pl.String(),  # train, test, or null where the dataset has none
        "box": pl.List(pl.Float64()),  # annotated face, xmin ymin xmax ymax in pixels of the image
        "landmarks": pl.List(pl.Float64()),  # x0 y0 .. x4 y4 in pixels: eyes, nose, mouth corners
        "box_confidence": pl.Float64(),
        "problem": pl.String(),  # why this line cannot become a sample, or null
    }
)
LONGEST_KEY: Final = 80
LONGEST_NAME: Final = 255
"""Bytes of a file's name on the usual file systems."""
NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
PICTURES: Final = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")
"""Endings of the files that a class folder is searched for."""


def read_lines(path: Path) -> list[str]:
    """The lines of an annotation file that are not blank; bytes that are not UTF-8 become replacement characters.

    Raises:
        InputError: there are none.
    """
    text = path.read_bytes().decode("utf-8", errors="replace")
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        raise InputError(f"{path} is empty: it should list a labelled face per line")
    return lines


def rows_table(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """The table of `rows`, one per line of the annotation; missing fields become null.

    A row whose key an earlier one has gets the key `=line-N` and that as its problem.
    """
    seen: set[str] = set()
    for number, row in enumerate(rows, start=1):
        if row["key"] in seen:
            row |= {"key": f"=line-{number}", "problem": f"repeats {row['key']}"}
        seen.add(row["key"])
    return pl.DataFrame([{name: row.get(name) for name in ROW_SCHEMA} for row in rows], schema=ROW_SCHEMA)


def kind_of_reason(reason: pl.Expr) -> pl.Expr:
    """Reasons ready to be counted: which line is repeated does not matter then."""
    return reason.str.replace("^repeats .*", "repeats an earlier line")


def safe_key(name: str) -> str:
    """A file-name-safe key that differs whenever `name` does: other characters become `=` and their UTF-8 bytes.

    Names whose key would be longer than `LONGEST_KEY` keep their head and end in a checksum of the whole.
    """
    key = re.sub(r"[^A-Za-z0-9_-]", lambda found: "".join(f"={byte:02X}" for byte in found[0].encode()), name)
    if len(key) <= LONGEST_KEY:
        return key
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return f"{key[: LONGEST_KEY - 1 - len(digest)]}-{digest}"


def path_problem(name: str) -> str | None:
    """Why an image name from an annotation file must not be opened, or None: no path may leave its folder."""
    if not name or "\x00" in name or "\\" in name or len(name.encode()) > LONGEST_NAME:
        return "impossible file name"
    path = Path(name)
    return "path leaves the image folder" if path.is_absolute() or ".." in path.parts else None


def numbers(words: list[str], count: int) -> list[float] | None:
    """The first `count` words as finite numbers, or None; only what C would read as one (no `1_0`, no other digits)."""
    values = [float(word) for word in words[:count] if NUMBER.fullmatch(word)]
    return values if len(values) == count and all(map(math.isfinite, values)) else None


def pictures(folder: Path) -> list[Path]:
    """The image files directly in a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES and not path.is_dir())


def box_problem(box: list[float]) -> str | None:
    """Why `[xmin, ymin, xmax, ymax]` cannot be a face's box, or None."""
    finite = all(abs(value) < 1e6 for value in box)  # false for NaN too
    return None if finite and box[2] > box[0] and box[3] > box[1] else "impossible box"
