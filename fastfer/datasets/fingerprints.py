"""What images look like, in few bytes: a checksum, a perceptual hash and a thumbnail of each, made once and kept.

Images are decoded at the smallest scale that their format offers, so that this takes a small part of the time that the
face stage takes. An image that is unchanged (same size, same time) is not read again.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import imagehash
import numpy as np
import polars as pl
from PIL import Image, ImageOps

from fastfer.faces.images import UnreadableImageError, opened, read_bytes, to_rgb
from pipelines.errors import InputError
from pipelines.progress import Track, untracked
from pipelines.records import read_table, write_table

THUMB_PX: Final = 32
"""Side of the thumbnail; the perceptual hash is made from it too."""
DRAFT_PX: Final = 8 * THUMB_PX
"""A JPEG is decoded at the smallest scale (of 1/1 to 1/8) that is at least this large. Smaller is hardly faster, and
copies of other sizes then differ by what the scaling leaves out: 0.46 instead of 0.16 by `duplicates.difference`."""
KEPT_EVERY: Final = 4096
"""Images after which what was made is written: a stopped run goes on from there."""
FINGERPRINTS_NAME: Final = "fingerprints.parquet"
PRINT_SCHEMA: Final = pl.Schema(
    {
        "image_path": pl.String(),
        "file_bytes": pl.Int64(),
        "file_time": pl.Float64(),
        "sha256": pl.String(),  # of the file; null if it cannot be read
        "phash": pl.UInt64(),  # null if the file is no picture
        "thumb": pl.Binary(),  # gray, THUMB_PX x THUMB_PX bytes; null likewise
    }
)
UNCHANGED_BY: Final = ("image_path", "file_bytes", "file_time")


def fingerprint_images(
    root: Path, paths: Sequence[str], cache: Path, *, workers: int = 2, track: Track = untracked
) -> pl.DataFrame:
    """The fingerprints (`PRINT_SCHEMA`) of the images at `root / path`, in the order of `paths`.

    Those in the file `cache` whose image has not changed are taken from there; the others are added to it.
    """
    with ThreadPoolExecutor(workers) as pool:
        asked = pl.DataFrame(
            list(pool.map(partial(_state, root), paths)),
            schema={name: PRINT_SCHEMA[name] for name in UNCHANGED_BY},
            orient="row",
        )
        known = _kept(cache)
        new = asked.join(known, on=list(UNCHANGED_BY), how="anti", nulls_equal=True, maintain_order="left")
        known = known.filter(~pl.col("image_path").is_in(new["image_path"].implode()))
        with track("Comparing images", total=len(new), unit="images") as advance:
            for lot in new.iter_slices(KEPT_EVERY):
                made = []
                for one in pool.map(partial(_fingerprint, root), lot.iter_rows(named=True)):
                    made.append(one)
                    advance(1)
                known = pl.concat([known, pl.DataFrame(made, schema=PRINT_SCHEMA)])
                write_table(cache, known)
    return asked.select("image_path").join(known, on="image_path", how="left", maintain_order="left")


def read_fingerprints(folder: Path) -> pl.DataFrame:
    """The fingerprints that the shard stage left in a dataset's folder.

    Raises:
        InputError: there are none.
    """
    known = _kept(folder / FINGERPRINTS_NAME)
    if known.is_empty():
        raise InputError(f"no {FINGERPRINTS_NAME} in {folder}: make shards DATASET={folder.name} makes it")
    return known


def _kept(cache: Path) -> pl.DataFrame:
    """What an earlier run kept; nothing if there is no such file, or it is damaged or of another version."""
    try:
        known = read_table(cache)
    except (OSError, pl.exceptions.PolarsError):
        return PRINT_SCHEMA.to_frame()
    return known if known.schema == PRINT_SCHEMA else PRINT_SCHEMA.to_frame()


def _state(root: Path, path: str) -> tuple[str, int | None, float | None]:
    """By what a changed file is known; nulls for one that cannot be there."""
    try:
        state = (root / path).stat()
    except (OSError, ValueError):
        return path, None, None
    return path, state.st_size, float(state.st_mtime)


def _fingerprint(root: Path, state: dict[str, Any]) -> dict[str, Any]:
    try:
        data = read_bytes(root, state["image_path"])
    except UnreadableImageError:
        return state
    state |= {"sha256": hashlib.sha256(data).hexdigest()}
    try:
        with opened(data) as image:
            image.draft("RGB", (DRAFT_PX, DRAFT_PX))
            gray = to_rgb(ImageOps.exif_transpose(image)).convert("L")
            thumb = gray.resize((THUMB_PX, THUMB_PX), Image.Resampling.BOX)
    except UnreadableImageError:
        return state
    bits = imagehash.phash(thumb).hash.ravel()
    return state | {"phash": int(np.packbits(bits).view(">u8")[0]), "thumb": thumb.tobytes()}
