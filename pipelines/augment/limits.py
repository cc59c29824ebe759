"""What each operation takes: its parameters in order and how far each may reach, and keys of its own randomness.

Beyond, its function would give what is no image (levels outside 0..1, or no numbers), or need a larger kernel.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

Interval = tuple[float, float]

BLUR_SIGMA_MAX: Final = 0.012
"""The widest Gaussian blur, of the image's size; it fixes the kernel's size, so that no result depends on its batch."""
MOTION_LENGTH_MAX: Final = 0.05
"""The longest motion blur, of the image's size; fixes the kernel's size likewise."""
SHARE: Final[Interval] = (0, 1)
TURN: Final[Interval] = (-360, 360)


class Takes(NamedTuple):
    """What one operation takes; parameter -> its lowest and its highest value."""

    parameters: Mapping[str, Interval]
    keys: int = 0


GEOMETRY: Final[Mapping[str, Takes]] = {
    "flip": Takes({}),
    "scale": Takes({"zoom": (0.1, 10)}),
    "rotation": Takes({"angle": TURN}),
    "shear": Takes({"x": (-40, 40), "y": (-40, 40)}),
    "perspective": Takes({"x": (-0.2, 0.2), "y": (-0.2, 0.2)}),
    "translation": Takes({"x": (-1, 1), "y": (-1, 1)}),
}
"""The operations of the group geometry, and of no other."""
ON_PIXELS: Final[Mapping[str, Takes]] = {
    "brightness_contrast": Takes({"brightness": (-1, 1), "contrast": (0, 10)}),
    "gamma": Takes({"gamma": (0.1, 10)}),
    "equalise": Takes({"amount": SHARE}),
    "illumination": Takes({"amount": SHARE, "angle": TURN}),
    "gaussian_blur": Takes({"sigma": (0, BLUR_SIGMA_MAX)}),
    "motion_blur": Takes({"length": (0, MOTION_LENGTH_MAX), "angle": TURN}),
    "gaussian_noise": Takes({"sigma": SHARE}, keys=2),
    "downscale": Takes({"factor": (1, 16)}),
    "erasing": Takes({"area": SHARE, "aspect": (-4, 4), "x": SHARE, "y": SHARE, "value": SHARE}),
    "grid": Takes({"cell": (0.01, 1), "hole": SHARE, "x": SHARE, "y": SHARE, "value": SHARE}),
}
TAKES: Final[Mapping[str, Takes]] = {**GEOMETRY, **ON_PIXELS}
"""Every operation there is."""
