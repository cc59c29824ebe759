"""Our cascade over facenet-pytorch's networks finds what facenet-pytorch finds, whatever the batch."""

import numpy as np
import pytest
from facenet_pytorch import MTCNN
from skimage import data

from fastfer.faces.align import crop
from fastfer.faces.detect import open_detector
from fastfer.faces.match import iou
from fastfer.faces.mtcnn import Mtcnn


@pytest.fixture(scope="module")
def detector() -> Mtcnn:
    return Mtcnn("cpu")


def portraits(side_px: int) -> np.ndarray:
    """The astronaut's face at several sizes and places, and a picture without a face."""
    img_HWC = data.astronaut()
    boxes = ((100, 0, 400, 300), (150, 20, 320, 190), (120, 30, 300, 210), (0, 300, 150, 450))
    return np.stack([crop(img_HWC, np.array(box, float), size_px=side_px, margin=0.0) for box in boxes])


def test_it_finds_what_facenet_pytorch_finds(detector: Mtcnn) -> None:
    img_BHWC = portraits(256)
    boxes, scores, landmarks = MTCNN(keep_all=True, min_face_size=40).detect(img_BHWC, landmarks=True)
    ours = detector.detect(img_BHWC, face_range_px=(40, 256))
    assert [len(faces) for faces in ours] == [0 if box is None else len(box) for box in boxes] == [1, 1, 1, 0]
    for faces, box, score, points in list(zip(ours, boxes, scores, landmarks, strict=True))[:3]:
        assert iou(faces.box_N4_px, np.asarray(box, float))[0, 0] > 0.85
        assert faces.score_N[0] == pytest.approx(float(score[0]), abs=0.02)
        eyes_px = np.linalg.norm(points[0, 0] - points[0, 1])
        assert np.linalg.norm(faces.lmk_N52_px[0] - points[0], axis=1).max() < 0.06 * eyes_px


def test_the_batch_a_picture_stands_in_does_not_change_its_faces(detector: Mtcnn) -> None:
    img_BHWC = portraits(192)
    together = detector.detect(img_BHWC, face_range_px=(40, 170))
    for img_HWC, among in zip(img_BHWC, together, strict=True):
        (alone,) = detector.detect(img_HWC[None], face_range_px=(40, 170))
        assert len(alone) == len(among)
        assert np.allclose(alone.box_N4_px, among.box_N4_px, atol=1e-2)
        assert np.allclose(alone.lmk_N52_px, among.lmk_N52_px, atol=1e-2)


@pytest.mark.parametrize("side_px", [12, 20, 64])
def test_small_flat_and_noisy_pictures_hold_no_face(detector: Mtcnn, side_px: int) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)
    pictures = np.stack([noise, np.zeros_like(noise), np.full_like(noise, 255)])
    assert [len(faces) for faces in detector.detect(pictures, face_range_px=(12, side_px))] == [0, 0, 0]


def test_faces_come_best_first_with_scores_in_range(detector: Mtcnn) -> None:
    astronaut = crop(data.astronaut(), np.array([100.0, 0, 400, 300]), size_px=160, margin=0.0)
    (faces,) = detector.detect(np.hstack([astronaut, astronaut[:, ::-1]])[None], face_range_px=(30, 160))
    assert len(faces) == 2
    assert faces.score_N[0] >= faces.score_N[1] > 0.7
    assert faces.score_N[0] <= 1
    assert faces.lmk_N52_px.shape == (2, 5, 2)
    assert isinstance(open_detector("mtcnn", "cpu"), Mtcnn)


@pytest.mark.gpu
def test_a_gpu_finds_what_the_host_finds(detector: Mtcnn) -> None:
    img_BHWC = portraits(256)
    on_host = detector.detect(img_BHWC, face_range_px=(40, 256))
    on_gpu = Mtcnn("cuda").detect(img_BHWC, face_range_px=(40, 256))
    assert [len(faces) for faces in on_gpu] == [len(faces) for faces in on_host] == [1, 1, 1, 0]
    for mine, theirs in zip(on_gpu, on_host, strict=True):
        assert np.allclose(mine.box_N4_px, theirs.box_N4_px, atol=0.5)
        assert np.allclose(mine.lmk_N52_px, theirs.lmk_N52_px, atol=0.5)
