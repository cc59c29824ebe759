"""MTCNN (Zhang et al. 2016): facenet-pytorch's networks, with the weights that its wheel carries."""

import numpy as np
from facenet_pytorch import MTCNN
from numpy.typing import NDArray

from fastfer.faces.detect import Faces


class Mtcnn:
    """A detector of faces of `min_face_px` and more."""

    def __init__(self, device: str, *, min_face_px: int = 32) -> None:
        self._network = MTCNN(keep_all=True, min_face_size=min_face_px, device=device)

    def detect(self, img_BHWC: NDArray[np.uint8]) -> list[Faces]:
        """See `Detector.detect`."""
        boxes, scores, landmarks = self._network.detect(img_BHWC, landmarks=True)
        return [_faces(*found) for found in zip(boxes, scores, landmarks, strict=True)]


def _faces(boxes: NDArray[np.float32] | None, scores: object, landmarks: object) -> Faces:
    if boxes is None:
        return Faces(np.empty((0, 4)), np.empty(0), np.empty((0, 5, 2)))
    found = (np.asarray(values, np.float64) for values in (boxes, scores, landmarks))
    return Faces(*found)
