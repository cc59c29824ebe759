"""Opens photographs that nobody vouches for."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

FORMATS: Final = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF")
"""Whatever a file is called, only these decoders see it."""
MAX_PIXELS: Final = 100_000_000
"""Larger images are refused: decoded they would take over 300 MB."""
MAX_BYTES: Final = 400_000_000
PLAIN_JPEG: Final = ("L", "RGB")
"""Modes of the JPEG files that OpenCV decodes to the same pixels as Pillow, in two thirds of the time."""
JPEG_END: Final = b"\xff\xd9"
DEEP_GRAY: Final = ("I;16", "I;16L", "I;16B", "I;16N")
SEE_THROUGH: Final = ("LA", "La", "PA", "RGBA", "RGBa")
UPRIGHT: Final = 1
WHITE: Final = (255, 255, 255, 255)


class UnreadableImageError(Exception):
    """An image that cannot become pixels; the message is the reason for the manifest."""


@contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """The picture in `data`, its pixels not decoded yet; errors of decoding within the block are refusals too.

    Raises:
        UnreadableImageError: too large, cut short, or no picture of the kinds in `FORMATS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata that we do not use
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise UnreadableImageError("image too large")
                yield image
    except Image.DecompressionBombError:
        raise UnreadableImageError("image too large") from None
    except UnidentifiedImageError:
        raise UnreadableImageError("unreadable image: not a picture of a known kind") from None
    except (OSError, ValueError, SyntaxError, EOFError):
        raise UnreadableImageError("unreadable image: broken or cut short") from None


def read_image(root: Path, relative: str) -> NDArray[np.uint8]:
    """Decode `root / relative` to RGB uint8 `H x W x 3` (see `decoded`).

    Raises:
        UnreadableImageError: see `read_bytes` and `opened`.
    """
    return decoded(read_bytes(root, relative))


def decoded(data: bytes) -> NDArray[np.uint8]:
    """The picture in `data` as RGB uint8 `H x W x 3`, upright by its EXIF orientation.

    Gray, palette and CMYK become RGB, 16 bits become the upper 8, see-through pixels are laid on white, and of several
    frames the first is taken.

    Raises:
        UnreadableImageError: see `opened`.
    """
    with opened(data) as image:
        turn = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
        whole = data.endswith(JPEG_END)  # OpenCV would fill what is cut off with gray and say nothing
        if image.format == "JPEG" and image.mode in PLAIN_JPEG and turn == UPRIGHT and whole:
            img = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
            if img is not None:
                return np.asarray(img, np.uint8)
        return np.asarray(to_rgb(ImageOps.exif_transpose(image)))


def read_bytes(root: Path, relative: str) -> bytes:
    """The file at `root / relative`.

    Raises:
        UnreadableImageError: missing, outside `root` (symbolic links followed), too large, or it cannot be read.
    """
    path = root / relative
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            raise UnreadableImageError("path leaves the dataset folder")
        if not path.is_file():
            raise UnreadableImageError("missing image")
        if path.stat().st_size > MAX_BYTES:
            raise UnreadableImageError("image too large")
        return path.read_bytes()
    except (OSError, ValueError):
        raise UnreadableImageError("unreadable image: the file cannot be read") from None


def to_rgb(image: Image.Image) -> Image.Image:
    """A picture of any mode as RGB, as `read_image` describes.

    Raises:
        UnreadableImageError: its pixels are numbers of no known range.
    """
    if image.mode in DEEP_GRAY:
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise UnreadableImageError("unreadable image: its pixels have no known range")
    if image.mode in SEE_THROUGH or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image)
    return image.convert("RGB")
