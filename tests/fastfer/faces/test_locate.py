"""Which face a row gets: where the annotation says, at a second look, or the most prominent one left."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from fastfer.faces.detect import Faces
from fastfer.faces.locate import LOOKS, MISSED, SCENE, Sought, locate
from fastfer.faces.match import iou

SIZE_PX = 400
SEEN_LEVEL = {192: 100, 384: 30, 640: 30}


@dataclass
class Discs:
    """A detector of bright discs: real pixels in, boxes out. A disc is seen if it is bright enough for the look."""

    looks: list[tuple[int, int]] = field(default_factory=list)

    def detect(self, img_BHWC: np.ndarray, *, face_range_px: tuple[float, float]) -> list[Faces]:
        self.looks.append((len(img_BHWC), img_BHWC.shape[1]))
        return [self._one(img_HWC[..., 0], face_range_px) for img_HWC in img_BHWC]

    def _one(self, img_HW: np.ndarray, face_range_px: tuple[float, float]) -> Faces:
        import cv2

        _, _, stats, _ = cv2.connectedComponentsWithStats((img_HW >= SEEN_LEVEL[len(img_HW)]).astype(np.uint8))
        low, high = face_range_px
        box = [
            (x, y, x + w, y + h)
            for x, y, w, h, _ in stats[1:].astype(float)
            if low <= max(w, h) <= high and w < len(img_HW)
        ]
        box_N4 = np.array(box, float).reshape(-1, 4)
        centre = (box_N4[:, :2] + box_N4[:, 2:]) / 2
        return Faces(box_N4, np.full(len(box_N4), 0.9), np.repeat(centre[:, None], 5, axis=1))


def picture(*discs: tuple[int, int, int, int]) -> np.ndarray:
    """A black picture with discs of (x, y, radius, brightness)."""
    import cv2

    img_HWC = np.zeros((SIZE_PX, SIZE_PX, 3), np.uint8)
    for x, y, radius, level in discs:
        cv2.circle(img_HWC, (x, y), radius, (level, level, level), -1)
    return img_HWC


def at(x: float, y: float, radius: float) -> Sought:
    return Sought(np.array([x - radius, y - radius, x + radius, y + radius]))


def test_a_face_is_found_where_its_box_says_at_the_first_look() -> None:
    detector = Discs()
    (scene,) = locate([picture((100, 120, 20, 255), (300, 300, 40, 255))], [[at(100, 120, 22)]], detector, min_iou=0.3)
    (found,) = scene.found
    assert found.how == "matched"
    assert found.iou is not None
    assert found.iou > 0.7
    assert np.allclose(found.lmk_52_px, [100, 120], atol=2)
    assert detector.looks == [(1, LOOKS[0].side_px)]
    assert scene.faces_in_image is None
    assert found.is_largest is None


def test_only_what_was_missed_is_looked_for_again() -> None:
    detector = Discs()
    image = picture((100, 120, 20, 255), (300, 300, 24, 60))  # the second is too dark for the first look
    (scene,) = locate([image], [[at(100, 120, 22), at(300, 300, 24)]], detector, min_iou=0.3)
    assert [found.how for found in scene.found] == ["matched", "second look"]
    assert detector.looks == [(2, LOOKS[0].side_px), (1, LOOKS[1].side_px)]


def test_where_nothing_is_the_face_is_missed() -> None:
    (scene,) = locate([picture()], [[at(200, 200, 30)]], Discs(), min_iou=0.3)
    assert scene.found[0].how == MISSED
    assert scene.found[0].lmk_52_px is None


def test_two_rows_never_get_one_face() -> None:
    (scene,) = locate([picture((200, 200, 30, 255))], [[at(198, 200, 30), at(204, 200, 30)]], Discs(), min_iou=0.3)
    assert sorted(found.how for found in scene.found) == ["matched", MISSED]


def test_landmarks_say_where_to_look_when_there_is_no_box() -> None:
    points = np.array([(90, 112), (110, 112), (100, 120), (92, 130), (108, 130)], float)
    (scene,) = locate(
        [picture((100, 120, 20, 255), (300, 300, 90, 255))], [[Sought(None, points)]], Discs(), min_iou=0.3
    )
    assert scene.found[0].how == "matched"
    assert scene.found[0].iou is None  # there is no annotated box to compare with
    assert np.allclose(scene.found[0].lmk_52_px, [100, 120], atol=2)


def test_without_an_annotation_the_large_central_face_is_meant() -> None:
    image = picture((60, 60, 30, 255), (210, 190, 40, 255), (350, 350, 20, 255))
    (scene,) = locate([image], [[Sought(None)]], Discs(), min_iou=0.3)
    assert scene.found[0].how == SCENE.name
    assert np.allclose(scene.found[0].lmk_52_px, [210, 190], atol=2)


def test_rows_with_and_without_a_box_share_an_image_without_sharing_a_face() -> None:
    image = picture((60, 60, 30, 255), (210, 190, 40, 255), (350, 350, 20, 255))
    sought = [Sought(None), at(210, 190, 40), Sought(None), Sought(None)]
    (scene,) = locate([image], [sought], Discs(), min_iou=0.3)
    assert [found.how for found in scene.found] == [SCENE.name, "matched", SCENE.name, MISSED]
    boxes = np.array([found.box_xyxy_px for found in scene.found if found.box_xyxy_px is not None])
    assert (iou(boxes, boxes) - np.eye(3)).max() < 0.1


def test_the_whole_scene_counts_faces_and_changes_no_choice() -> None:
    image = picture((60, 60, 30, 255), (210, 190, 40, 255), (340, 340, 20, 255))
    rows = [[at(60, 60, 30), at(210, 190, 40)]]
    (plain,) = locate([image], rows, Discs(), min_iou=0.3)
    (counted,) = locate([image], rows, Discs(), min_iou=0.3, whole_scene=True)
    assert counted.faces_in_image == 3
    assert [found.is_largest for found in counted.found] == [False, True]
    for one, other in zip(plain.found, counted.found, strict=True):
        assert (one.how, one.iou) == (other.how, other.iou)


@pytest.mark.parametrize("whole_scene", [False, True])
def test_images_do_not_disturb_each_other(whole_scene: bool) -> None:
    images = [picture((100, 100, 25, 255)), picture((300, 100, 30, 255), (80, 300, 22, 60)), picture()]
    rows = [[at(100, 100, 25)], [at(300, 100, 30), at(80, 300, 22)], [Sought(None)]]
    together = locate(images, rows, Discs(), min_iou=0.3, whole_scene=whole_scene)
    for image, row, among in zip(images, rows, together, strict=True):
        (alone,) = locate([image], [row], Discs(), min_iou=0.3, whole_scene=whole_scene)
        assert [f.how for f in alone.found] == [f.how for f in among.found]
        assert alone.faces_in_image == among.faces_in_image
