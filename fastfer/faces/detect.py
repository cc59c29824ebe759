"""What a face detector is, and the choice of one by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import InputError

DETECTORS: Final = {"mtcnn": "facenet-pytorch", "retinaface": "retinaface-pytorch"}
"""Detectors by name, and the distribution that holds the network."""


@dataclass(frozen=True, slots=True)
class Faces:
    """N faces found in one image: boxes `N x 4` (xyxy), scores `N` in 0..1, landmarks `N x 5 x 2`; pixels, float64."""

    box_N4_px: NDArray[np.float64]
    score_N: NDArray[np.float64]
    lmk_N52_px: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.score_N)

    def moved(self, scale: float, offset_xy_px: tuple[float, float]) -> "Faces":
        """The same faces in another frame: coordinates times `scale`, plus the offset."""
        offset = np.asarray(offset_xy_px)
        return Faces(self.box_N4_px * scale + np.tile(offset, 2), self.score_N, self.lmk_N52_px * scale + offset)

    @classmethod
    def joined(cls, parts: Sequence["Faces"]) -> "Faces":
        """All faces of several findings of one image."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))


class Detector(Protocol):
    """Finds faces in batches of images of one size."""

    def detect(self, img_BHWC: NDArray[np.uint8], *, face_range_px: tuple[float, float]) -> list[Faces]:
        """Faces of each RGB image, in its pixels. The batch a picture stands in does not change its faces.

        Only faces whose longer side is in `face_range_px` need be found; a detector may use that to search less.
        """
        ...


def open_detector(name: str, device: str, weights: Path | None = None) -> Detector:
    """Load the detector called `name` onto `device`; `weights` are RetinaFace's (see `weights.retinaface_weights`).

    Raises:
        InputError: there is no such detector, or its weights cannot be had.
    """
    _known(name)
    if name == "mtcnn":
        from fastfer.faces.mtcnn import Mtcnn

        return Mtcnn(device)
    from fastfer.faces.retinaface import RetinaFace
    from fastfer.faces.weights import retinaface_weights

    return RetinaFace(device, retinaface_weights(weights))


def detector_version(name: str) -> str:
    """Name and version of the distribution that holds a detector's network, for the records.

    Raises:
        InputError: there is no such detector, or its distribution is not installed.
    """
    try:
        return f"{_known(name)} {version(DETECTORS[name])}"
    except PackageNotFoundError:
        raise InputError(
            f"the detector {name} needs the package {DETECTORS[name]}: make setup installs it, or choose another"
        ) from None


def _known(name: str) -> str:
    if name not in DETECTORS:
        raise InputError(f"no detector {name!r}: choose one of {', '.join(DETECTORS)}")
    return DETECTORS[name]
