"""What images look like, in few bytes: a checksum, a perceptual hash and a thumbnail of each, made once and kept.

Images are decoded at the smallest scale that their format offers, so that this takes a small part of the time that the
face stage takes. An image that is unchanged is not read again (`per_image`).
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import imagehash
import numpy as np
import polars as pl
from PIL import Image, ImageOps

from fastfer.datasets.per_image import STATE_SCHEMA, asked_of, kept_rows, rows_per_image
from fastfer.faces.images import UnreadableImageError, opened, read_bytes, to_rgb
from pipelines.errors import InputError
from pipelines.progress import Track, untracked

THUMB_PX: Final = 32
"""Side of the thumbnail; the perceptual hash is made from it too."""
DRAFT_PX: Final = 8 * THUMB_PX
"""A JPEG is decoded at the smallest scale (of 1/1 to 1/8) that is at least this large. Smaller is hardly faster, and
copies of other sizes then differ by what the scaling leaves out: 0.46 instead of 0.16 by `duplicates.difference`."""
FINGERPRINTS_NAME: Final = "fingerprints.parquet"
PRINT_SCHEMA: Final = pl.Schema(
    {
        **STATE_SCHEMA,
        "sha256": pl.String(),  # of the file; null if it cannot be read
        "phash": pl.UInt64(),  # null if the file is no picture
        "thumb": pl.Binary(),  # gray, THUMB_PX x THUMB_PX bytes; null likewise
    }
)


def fingerprint_images(
    root: Path, paths: Sequence[str], cache: Path, *, workers: int = 2, track: Track = untracked
) -> pl.DataFrame:
    """The fingerprints (`PRINT_SCHEMA`) of the images at `root / path`, in the order of `paths`.

    Those in the file `cache` whose image has not changed are taken from there; the others are added to it.
    """
    return rows_per_image(
        root, asked_of(paths), cache, PRINT_SCHEMA, _fingerprint, title="Comparing images", workers=workers, track=track
    )


def read_fingerprints(folder: Path) -> pl.DataFrame:
    """The fingerprints that the shard stage left in a dataset's folder.

    Raises:
        InputError: there are none.
    """
    known = kept_rows(folder / FINGERPRINTS_NAME, PRINT_SCHEMA)
    if known.is_empty():
        raise InputError(f"no {FINGERPRINTS_NAME} in {folder}: make shards DATASET={folder.name} makes it")
    return known


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
