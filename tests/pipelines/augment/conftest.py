import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

ROWS = np.arange(48) * 7 + 3
"""Of `batch`."""


@pytest.fixture(scope="session")
def photo() -> NDArray[np.uint8]:
    """A smooth gray picture of 96 px with all levels, and a dark, sharp-edged bar in it."""
    noise = np.random.default_rng(0).random((96, 96))
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    picture: NDArray[np.uint8] = np.interp(smooth, (smooth.min(), smooth.max()), (0, 255)).astype(np.uint8)
    picture[60:70, 20:70] = 10
    return picture


@pytest.fixture(scope="session")
def photos(photo: NDArray[np.uint8]) -> Tensor:
    """Six different gray pictures, uint8 [6, 1, 96, 96]."""
    return torch.from_numpy(np.stack([np.roll(photo, 13 * shift, axis=shift % 2) for shift in range(6)]))[:, None]


@pytest.fixture(scope="session")
def batch(photos: Tensor) -> Tensor:
    """uint8 [48, 1, 40, 40]: enough images that every operation of STRONG acts on some."""
    crops = [photos[:, :, y : y + 40, x : x + 40] for y in (0, 20, 40, 56) for x in (0, 50)]
    return torch.cat(crops)
