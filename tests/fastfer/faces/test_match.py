"""One face to one box."""

import numpy as np

from fastfer.faces.detect import Faces
from fastfer.faces.match import by_prominence, distinct, iou, match


def faces(*boxes: tuple[float, float, float, float], scores: list[float] | None = None) -> Faces:
    count = len(boxes)
    return Faces(np.array(boxes, float).reshape(count, 4), np.array(scores or [0.9] * count), np.zeros((count, 5, 2)))


def test_iou_by_hand() -> None:
    found = iou(np.array([[0.0, 0, 10, 10]]), np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]]))
    np.testing.assert_allclose(found, [[1, 50 / 150, 0]])


def test_two_boxes_never_share_a_face_and_the_better_pairing_wins() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [2, 0, 12, 10]])
    assert match(boxes, faces((1, 0, 11, 10)), min_iou=0.3).count(None) == 1
    pairs = match(boxes, faces((2, 0, 12, 10), (0, 0, 10, 10)), min_iou=0.3)
    assert [pair and pair[0] for pair in pairs] == [1, 0]


def test_too_little_overlap_is_no_match() -> None:
    assert match(np.array([[0.0, 0, 10, 10]]), faces((8, 8, 18, 18)), min_iou=0.3) == [None]
    assert match(np.array([[0.0, 0, 10, 10]]), faces(), min_iou=0.3) == [None]


def test_a_face_seen_twice_is_one() -> None:
    once = distinct(faces((0, 0, 10, 10), (1, 0, 11, 10), (30, 0, 40, 10), scores=[0.8, 0.9, 0.7]))
    assert once.box_N4_px.tolist() == [[1, 0, 11, 10], [30, 0, 40, 10]]


def test_the_prominent_face_is_large_and_central() -> None:
    assert by_prominence(faces((40, 40, 60, 60), (0, 0, 21, 21)), (100, 100)) == [0, 1]
    assert by_prominence(faces((45, 45, 55, 55), (0, 0, 60, 60)), (100, 100)) == [1, 0]
    assert by_prominence(faces(), (100, 100)) == []
