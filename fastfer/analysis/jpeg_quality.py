"""Which quality a JPEG file was saved with, by its quantisation table.

Encoders after libjpeg scale one base table, K.1 of ITU-T T.81 (1992), by the quality they are asked for
(`jpeg_quality_scaling` in jcparam.c). So the quality is the one whose table is nearest to the file's, as in Kornblum,
"Using JPEG quantization tables to identify imagery processed by software" (2008): exact for what such an encoder saved,
an equivalent for tables of another making (cameras, Photoshop).
"""

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

QUALITIES: Final = range(1, 101)
LUMINANCE: Final = (
    16, 11, 10, 16, 24, 40, 51, 61,
    12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77,
    24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
"""Table K.1, row by row."""


def jpeg_quality(table: Sequence[int]) -> int:
    """The quality, 1 to 100, of a file's first quantisation table: 64 divisors row by row, as Pillow gives them."""
    away_Q = np.abs(_tables() - np.asarray(table)).sum(axis=1)
    return QUALITIES[int(away_Q.argmin())]


@cache
def _tables() -> NDArray[np.int64]:
    """The luminance table of every quality: `100 x 64`, 1..255."""
    scale_Q1 = np.array([[5000 // quality if quality < 50 else 200 - 2 * quality] for quality in QUALITIES])
    table_QF = (np.array(LUMINANCE) * scale_Q1 + 50) // 100
    return np.asarray(table_QF.clip(1, 255))
