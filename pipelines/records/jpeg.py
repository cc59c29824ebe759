"""JPEG in and out, the one place that knows how: baseline, gray or RGB."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

START: Final = b"\xff\xd8\xff"
"""What a JPEG file begins with."""
QUALITY: Final = 95
"""At 224 px a gray face takes about 16 KB; artefacts are below the noise of the source photographs."""


def encode_jpeg(img: NDArray[np.uint8]) -> bytes:
    """Encode uint8 `H x W` (gray) or `H x W x 3` (RGB) as baseline JPEG, which hardware decoders take."""
    bgr = img if img.ndim == 2 else cv2.cvtColor(img, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_PROGRESSIVE, 0])
    if not done:
        raise ValueError(f"an image of shape {img.shape} and type {img.dtype} cannot be encoded as JPEG")
    return bytes(data)


def decode_jpeg(data: bytes) -> NDArray[np.uint8]:
    """Decode to uint8 `H x W` (gray files) or `H x W x 3` (RGB).

    Raises:
        ValueError: the bytes are not a JPEG file, or cannot be decoded.
    """
    if not data.startswith(START):
        raise ValueError("the bytes are not a JPEG image")
    try:
        img = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:  # the size that it states is beyond all measure
        raise ValueError(f"the JPEG image cannot be decoded ({error.err})") from None
    if img is None:
        raise ValueError("the JPEG image cannot be decoded")
    return np.asarray(img if img.ndim == 2 else cv2.cvtColor(img, cv2.COLOR_BGR2RGB), np.uint8)
