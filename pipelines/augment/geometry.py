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


def _linear(xx: Floats, xy: Floats, yx: Floats, yy: Floats) -> Floats:
    """Matrices [n, 3, 3] of x' = xx x + xy y, y' = yx x + yy y."""
    zero, one = np.zeros_like(xx), np.ones_like(xx)
    return np.stack([xx, xy, zero, yx, yy, zero, zero, zero, one], axis=-1).reshape(-1, 3, 3)


def _flip(params_nK: Floats, _height_px: int, _width_px: int) -> Floats:
    return np.broadcast_to(np.diag([-1.0, 1.0, 1.0]), (len(params_nK), 3, 3))


def _rotation(params_nK: Floats, _height_px: int, _width_px: int) -> Floats:
    angle = np.deg2rad(params_nK[:, 0])
    return _linear(np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle))


def _translation(params_nK: Floats, height_px: int, width_px: int) -> Floats:
    matrix_n33 = np.tile(np.eye(3), (len(params_nK), 1, 1))
    matrix_n33[:, :2, 2] = params_nK * (width_px, height_px)
    return matrix_n33


def _scale(params_nK: Floats, _height_px: int, _width_px: int) -> Floats:
    zoom = params_nK[:, 0]
    return _linear(zoom, np.zeros_like(zoom), np.zeros_like(zoom), zoom)


def _shear(params_nK: Floats, _height_px: int, _width_px: int) -> Floats:
    slope_x, slope_y = np.tan(np.deg2rad(params_nK)).T
    return _linear(np.ones_like(slope_x), slope_x, slope_y, np.ones_like(slope_y))


def _perspective(params_nK: Floats, height_px: int, width_px: int) -> Floats:
    """Tilt about the two axes: to first order an edge's middle moves by the parameter times the size."""
    matrix_n33 = np.tile(np.eye(3), (len(params_nK), 1, 1))
    matrix_n33[:, 2, :2] = params_nK * (4 / width_px, 4 / height_px)
    return matrix_n33


MATRICES: Final[Mapping[str, Callable[[Floats, int, int], Floats]]] = {
    "flip": _flip,
    "rotation": _rotation,
    "translation": _translation,
    "scale": _scale,
    "shear": _shear,
    "perspective": _perspective,
}
"""(parameters [n, K] in the table's order, height_px, width_px) -> matrices [n, 3, 3], input to output."""


def sampling_matrices(drawn: Iterable[Drawn], batch: int, height_px: int, width_px: int) -> Floats:
    """Compose each image's operations, in the given order, into the matrix that its warp samples with.

    Returns:
        float64 [batch, 3, 3], from output to input, both in `grid_sample`'s coordinates (-1 and 1 are the centres of
        the first and the last pixel); the identity where an image has no operation.
    """
    forward_B33 = np.tile(np.eye(3), (batch, 1, 1))
    for one in drawn:
        matrix_n33 = MATRICES[one.operation.name](one.params_nK, height_px, width_px)
        forward_B33[one.index_n] = matrix_n33 @ forward_B33[one.index_n]
    half_size = np.array([(width_px - 1) / 2, (height_px - 1) / 2, 1.0])
    sampling_33B: Floats = _adjugates(forward_B33) * (half_size / half_size[:, None])[:, :, None]
    sampling_33B /= sampling_33B[2, 2]
    return sampling_33B.transpose(2, 0, 1)


def _adjugates(matrix_B33: Floats) -> Floats:
    """[3, 3, B]: inverses times the determinants, on which no place depends; quicker than `np.linalg.inv`."""
    row_33B = np.ascontiguousarray(matrix_B33.transpose(1, 2, 0))
    next_33B, after_33B = row_33B[TURNED], row_33B[TURNED_TWICE]
    column_33B: Floats = next_33B[:, TURNED] * after_33B[:, TURNED_TWICE]  # cross products of rows
    column_33B -= next_33B[:, TURNED_TWICE] * after_33B[:, TURNED]
    return column_33B.transpose(1, 0, 2)


def in_pixels(sampling_B33: Floats, height_px: int, width_px: int) -> Floats:
    """The same matrices in pixels, from output to input, 0 being the centre of the first pixel."""
    half_x, half_y = (width_px - 1) / 2, (height_px - 1) / 2
    from_unit_33 = np.array([[half_x, 0, half_x], [0, half_y, half_y], [0, 0, 1]])
    matrices_B33: Floats = from_unit_33 @ sampling_B33 @ np.linalg.inv(from_unit_33)
    return matrices_B33
