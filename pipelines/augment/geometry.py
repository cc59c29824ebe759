"""All geometry of a batch as one warp, on the host: each image's operations composed into one 3x3 matrix.

Frame of the operations' matrices: pixels, x right, y down, origin in the image's centre; they map input to output.
Angles are anticlockwise as seen. `pipelines.augment.warp` resamples by them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipelines.augment.draws import Drawn

Floats = NDArray[np.float64]


TURNED, TURNED_TWICE = [1, 2, 0], [2, 0, 1]
"""The axes in turn, for cross products."""


def _flip(xyw_33n: Floats, _params_Kn: Floats, _height_px: int, _width_px: int) -> None:
    xyw_33n[0] *= -1


def _rotation(xyw_33n: Floats, params_Kn: Floats, _height_px: int, _width_px: int) -> None:
    x_3n, y_3n, _ = xyw_33n
    angle_n = np.deg2rad(params_Kn[0])
    cos_n, sin_n = np.cos(angle_n), np.sin(angle_n)
    x_3n[...], y_3n[...] = cos_n * x_3n + sin_n * y_3n, cos_n * y_3n - sin_n * x_3n


def _translation(xyw_33n: Floats, params_Kn: Floats, height_px: int, width_px: int) -> None:
    x_3n, y_3n, w_3n = xyw_33n
    x_3n += params_Kn[0] * width_px * w_3n
    y_3n += params_Kn[1] * height_px * w_3n


def _scale(xyw_33n: Floats, params_Kn: Floats, _height_px: int, _width_px: int) -> None:
    xyw_33n[:2] *= params_Kn[0]


def _shear(xyw_33n: Floats, params_Kn: Floats, _height_px: int, _width_px: int) -> None:
    x_3n, y_3n, _ = xyw_33n
    slope_x_n, slope_y_n = np.tan(np.deg2rad(params_Kn))
    x_3n[...], y_3n[...] = x_3n + slope_x_n * y_3n, y_3n + slope_y_n * x_3n


def _perspective(xyw_33n: Floats, params_Kn: Floats, height_px: int, width_px: int) -> None:
    """Tilt about the two axes: to first order an edge's middle moves by the parameter times the size."""
    x_3n, y_3n, w_3n = xyw_33n
    w_3n += params_Kn[0] * (4 / width_px) * x_3n
    w_3n += params_Kn[1] * (4 / height_px) * y_3n


MOVES: Final[Mapping[str, Callable[[Floats, Floats, int, int], None]]] = {
    "flip": _flip,
    "rotation": _rotation,
    "translation": _translation,
    "scale": _scale,
    "shear": _shear,
    "perspective": _perspective,
}
"""(x, y and w of points [3, 3, n], parameters [K, n] in the table's order, height_px, width_px): moved in place."""


def sampling_matrices(drawn: Iterable[Drawn], batch: int, height_px: int, width_px: int) -> Floats:
    """Compose each image's operations, in the given order, into the matrix that its warp samples with.

    Returns:
        float64 [batch, 3, 3], from output to input, both in `grid_sample`'s coordinates (-1 and 1 are the centres of
        the first and the last pixel); the identity where an image has no operation.
    """
    forward_33B = np.repeat(np.eye(3)[:, :, None], batch, axis=2)  # x, y and w of the input's three axes
    for one in drawn:
        move, params_Kn = MOVES[one.operation.name], one.params_nK.T
        if len(one.index_n) == batch:
            move(forward_33B, params_Kn, height_px, width_px)
        else:
            moved_33n = forward_33B[:, :, one.index_n]
            move(moved_33n, params_Kn, height_px, width_px)
            forward_33B[:, :, one.index_n] = moved_33n
    half_size = np.array([(width_px - 1) / 2, (height_px - 1) / 2, 1.0])
    sampling_33B: Floats = _adjugates(forward_33B) * (half_size / half_size[:, None])[:, :, None]
    sampling_33B /= sampling_33B[2, 2]
    return sampling_33B.transpose(2, 0, 1)


def _adjugates(row_33B: Floats) -> Floats:
    """Inverses times the determinants, on which no place depends; quicker than `np.linalg.inv`."""
    next_33B, after_33B = row_33B[TURNED], row_33B[TURNED_TWICE]
    column_33B: Floats = next_33B[:, TURNED] * after_33B[:, TURNED_TWICE]  # cross products of rows
    column_33B -= next_33B[:, TURNED_TWICE] * after_33B[:, TURNED]
    return column_33B.transpose(1, 0, 2)


def in_pixels(sampling_B33: Floats, height_px: int, width_px: int) -> Floats:
    """The same matrices in pixels, from output to input, 0 being the centre of the first pixel."""
    half_x, half_y = (width_px - 1) / 2, (height_px - 1) / 2
    matrix_33B = np.moveaxis(sampling_B33, (-2, -1), (0, 1)).copy()
    column_x_3B, column_y_3B, shift_3B = matrix_33B.swapaxes(0, 1)
    shift_3B -= column_x_3B + column_y_3B
    column_x_3B /= half_x
    column_y_3B /= half_y
    x_3B, y_3B, w_3B = matrix_33B
    for row_3B, half in ((x_3B, half_x), (y_3B, half_y)):
        row_3B += w_3B
        row_3B *= half
    return np.moveaxis(matrix_33B, (0, 1), (-2, -1))
