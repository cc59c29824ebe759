"""OpenCV alone: decoding, and the augmentation as one warp and one table per image."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.protocol import Draws, draw

Image = NDArray[np.uint8]
Recipe = tuple[NDArray[np.float64], NDArray[np.float32]]
LEVELS_256: Final = np.arange(256) / 255
WARP: Final = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


def decode(data: Any) -> Image:
    """Decode a JPEG file to gray, uint8 `H x W`."""
    img = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if img is None:
        raise ValueError("the bytes are not a JPEG image")
    return np.asarray(img, np.uint8)


def recipes(draws: Draws, size_px: int) -> Iterator[Recipe]:
    """What each draw means for an image of this size: where it is read (`2 x 3`), what becomes of its 256 levels."""
    linear_B22 = draws.linear()
    centre = (size_px - 1) / 2
    shift_B2 = centre - linear_B22.sum(axis=2) * centre
    tables_BL = LEVELS_256 * draws.contrast[:, None] + draws.brightness[:, None]
    return zip(
        np.concatenate([linear_B22, shift_B2[..., None]], axis=2),
        np.clip(tables_BL, 0, 1).astype(np.float32),
        strict=True,
    )


def warp_into(img_HW: Image, recipe: Recipe, out_HW: NDArray[Any]) -> None:
    """Augment one image: one warp on bytes, and a table for gain, shift and conversion."""
    matrix_23, table_L = recipe
    warped = cv2.warpAffine(img_HW, matrix_23, img_HW.shape[::-1], flags=WARP, borderMode=cv2.BORDER_REFLECT_101)
    cv2.LUT(warped, table_L, dst=out_HW)


class ThreadedWarp:
    """The augmentation of a whole batch, uint8 `B x H x W` to float32 in 0..1, its images shared out among threads."""

    def __init__(self, threads: int) -> None:
        cv2.setNumThreads(1)  # the threads here are the parallelism
        self._pool = ThreadPoolExecutor(threads)
        self._threads = threads
        self._rng = np.random.default_rng()

    def __call__(self, img_BHW: Image) -> NDArray[np.float32]:
        """Augment a batch."""
        made = list(recipes(draw(self._rng, len(img_BHW)), img_BHW.shape[-1]))
        out_BHW = np.empty(img_BHW.shape, np.float32)

        def some(first: int) -> None:
            for i in range(first, len(img_BHW), self._threads):
                warp_into(img_BHW[i], made[i], out_BHW[i])

        list(self._pool.map(some, range(self._threads)))
        return out_BHW
