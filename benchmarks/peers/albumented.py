"""The augmentation in albumentations."""

import os

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask the network for its newest version

from typing import Any

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.opencv import Image
from benchmarks.peers.protocol import BRIGHTNESS, CONTRAST, FLIP_PROBABILITY, ROTATION_DEGREES, SCALE


def policy() -> Any:
    """The augmentation in albumentations, on uint8."""
    contrast = (CONTRAST[0] - 1, CONTRAST[1] - 1)  # albumentations adds one
    return A.Compose(
        [
            A.HorizontalFlip(p=FLIP_PROBABILITY),
            A.Affine(
                scale=SCALE,
                rotate=ROTATION_DEGREES,
                keep_ratio=True,
                interpolation=cv2.INTER_LINEAR,
                border_mode=cv2.BORDER_REFLECT_101,
                p=1,
            ),
            A.RandomBrightnessContrast(brightness_limit=BRIGHTNESS, contrast_limit=contrast, p=1),
        ]
    )


class Albumented:
    """A `Finish` by albumentations."""

    def __init__(self) -> None:
        self._transform = policy()

    def __call__(self, img_HW: Image, out_HW: NDArray[Any]) -> None:
        """Augment one image into its place in the batch."""
        np.multiply(self._transform(image=img_HW)["image"], np.float32(1 / 255), out=out_HW)
