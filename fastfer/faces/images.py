"""Opens photographs that nobody vouches for."""

import warnings
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

MAX_PIXELS: Final = 100_000_000
"""Larger images are refused: decoded they would take over 300 MB."""


class UnreadableImageError(Exception):
    """An image that cannot become pixels; the message is the reason for the manifest."""


def read_image(root: Path, relative: str) -> NDArray[np.uint8]:
    """Decode `root / relative` to RGB uint8 `H x W x 3`, upright by its EXIF orientation.

    Raises:
        UnreadableImageError: missing, outside `root` (symbolic links followed), too large, cut short, or no image.
    """
    path = root / relative
    if not path.resolve().is_relative_to(root.resolve()):
        raise UnreadableImageError("path leaves the dataset folder")
    if not path.is_file():
        raise UnreadableImageError("missing image")
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")  # of metadata that we do not use
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableImageError("image too large")
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise UnreadableImageError("unreadable image") from None
