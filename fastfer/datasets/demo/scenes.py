"""Composes a demo picture: who stands where, background, clothes, heads, and what the camera adds."""

from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fastfer.datasets.demo.backdrops import Rng, background, draw_torso
from fastfer.datasets.demo.expressions import mimic
from fastfer.datasets.demo.faces import Head, draw_head, pose
from fastfer.datasets.demo.plan import DemoSet, ImagePlan, Stream, generator
from fastfer.datasets.demo.portraits import Image, Measured, Points, portraits
from fastfer.labels import CLASSES

LONGER_SIDE_PX: Final = {DemoSet.RAFDB: (180, 480), DemoSet.EXPW: (800, 1600)}
"""Range of a picture's longer side."""

BOX_WIDTH, BOX_HEIGHT = 2.05, 2.55
"""A face's box in eye distances, about, in both portraits."""

BOX_CENTRE = 0.4
"""How far the box's centre is below the eyes, in eye distances."""

GRAIN_PX = 480
"""Side of the patch of sensor noise that is repeated over a picture."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Face:
    """One face in a picture."""

    label: int  # canonical
    annotated: bool
    box_xyxy_px: NDArray[np.float64]
    lmk_P2_px: Points
    confidence: float  # as ExpW's detector gives it: seldom below 60, at most 100
    person: Measured

    @property
    def area_px(self) -> float:
        """Area of the box."""
        return float(np.prod(self.box_xyxy_px[2:] - self.box_xyxy_px[:2]))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Picture:
    """A finished picture; the annotated faces in the order of the plan's labels, a bystander anywhere among them."""

    img_HWC: Image
    faces: tuple[Face, ...]
    jpeg_quality: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where one face goes and how large it is."""

    label: int
    annotated: bool
    box_centre_px: tuple[float, float]
    unit_px: float  # eye distance


def photograph(plan: ImagePlan, seed: int) -> Picture:
    """Draw the picture a plan asks for: the same plan and seed give the same pixels."""
    if plan.copy_of is not None:
        original = photograph(plan.copy_of, seed)
        return _near_duplicate(original, plan, generator(seed, plan.dataset, Stream.COPY, plan.index))

    rng = generator(seed, plan.dataset, Stream.IMAGE, plan.index)
    width, height, places = _close_up(plan, rng) if plan.dataset is DemoSet.RAFDB else _group(plan, rng)
    img_HWC = background(width, height, rng)
    heads = [_head(place, rng) for place in places]
    # Who stands lower in the picture stands in front, so that no shoulder hides a face.
    for place, head in sorted(zip(places, heads, strict=True), key=lambda pair: pair[1].box_xyxy_px[3]):
        eyes_px = (place.box_centre_px[0], place.box_centre_px[1] - BOX_CENTRE * place.unit_px)
        draw_torso(img_HWC, eyes_px, place.unit_px, float(rng.uniform(-6, 6)), rng)
        draw_head(img_HWC, head)
    return Picture(
        img_HWC=_camera(img_HWC, rng),
        faces=tuple(
            Face(
                label=place.label,
                annotated=place.annotated,
                box_xyxy_px=_inside(head.box_xyxy_px, width, height),
                lmk_P2_px=head.lmk_P2_px,
                confidence=float(100 * rng.beta(6, 1.5)),
                person=head.portrait.measured,
            )
            for place, head in zip(places, heads, strict=True)
        ),
        jpeg_quality=int(rng.integers(88, 96)),
    )


def _close_up(plan: ImagePlan, rng: Rng) -> tuple[int, int, list[Place]]:
    """RAF-DB's way: one person fills the picture; a bystander, if any, is smaller and to the side."""
    shortest_px, longest_px = LONGER_SIDE_PX[plan.dataset]
    height = int(rng.integers(shortest_px, longest_px + 1))
    width = int(np.clip(height * rng.uniform(0.8, 1.25), shortest_px, longest_px))
    unit_px = min(width, height) * rng.uniform(0.42, 0.62) / BOX_HEIGHT
    x, y = width * rng.uniform(0.42, 0.58), height * rng.uniform(0.42, 0.56)
    main = Place(label=plan.labels[0], annotated=True, box_centre_px=(x, y), unit_px=unit_px)
    if not plan.bystander:
        return width, height, [main]
    side, small = rng.choice((-1, 1)), unit_px * rng.uniform(0.5, 0.7)
    beside = (x + side * (unit_px + small) * BOX_WIDTH * rng.uniform(0.75, 0.9), y - unit_px * rng.uniform(0, 0.8))
    other = Place(label=_any_label(rng), annotated=False, box_centre_px=beside, unit_px=small)
    return width, height, [main, other]


def _group(plan: ImagePlan, rng: Rng) -> tuple[int, int, list[Place]]:
    """ExpW's way: up to four people side by side; a bystander, if any, is the largest."""
    shortest_px, longest_px = LONGER_SIDE_PX[plan.dataset]
    longer = int(rng.triangular(shortest_px, shortest_px, longest_px))
    aspect = float(rng.choice((1, 1.25, 4 / 3, 1.5, 16 / 9)))
    upright = len(plan.labels) == 1 and rng.random() < 0.4
    width, height = (round(longer / aspect), longer) if upright else (longer, round(longer / aspect))
    width, height = max(width, 600), max(height, 600)
    people = [(label, True, rng.uniform(0.55, 1.0)) for label in plan.labels]
    if plan.bystander:
        people.insert(int(rng.integers(len(people) + 1)), (_any_label(rng), False, 1.2))
    column = width / len(people)
    unit_px = min(column * 0.5 / BOX_WIDTH, height * 0.32 / BOX_HEIGHT, 125)
    places = [
        Place(
            label=label,
            annotated=annotated,
            box_centre_px=(column * (at + rng.uniform(0.44, 0.56)), height * rng.uniform(0.3, 0.6)),
            unit_px=unit_px * size,
        )
        for at, (label, annotated, size) in enumerate(people)
    ]
    return width, height, places


def _any_label(rng: Rng) -> int:
    return int(rng.integers(len(CLASSES)))


def _head(place: Place, rng: Rng) -> Head:
    portrait = portraits()[rng.integers(len(portraits()))]
    tilt_x, tilt_y = rng.uniform(-0.05, 0.05, 2)
    head = Head(
        portrait=portrait,
        mimic=mimic(portrait, CLASSES[place.label], rng),
        pose_33=pose(
            centre_px=(0, 0),
            unit_px=place.unit_px,
            roll_deg=rng.uniform(-15, 15),
            shear=rng.uniform(-0.08, 0.08),
            tilt=(tilt_x, tilt_y),
        ),
        gain_3=rng.uniform(0.7, 1.05) * rng.uniform(0.9, 1.1, 3),
        gamma=rng.uniform(0.8, 1.3),
        light_2=rng.uniform(-0.25, 0.25, 2) * (1, 0.5),
    )
    box = head.box_xyxy_px
    return head.moved(np.array(place.box_centre_px) - (box[:2] + box[2:]) / 2)


def _camera(img_HWC: Image, rng: Rng) -> Image:
    """Exposure, white balance, uneven light, blur and sensor noise of one shot."""
    height, width = img_HWC.shape[:2]
    levels = np.arange(256) / 255
    gain_3, gamma_3 = rng.uniform(0.75, 1.1) * rng.uniform(0.92, 1.08, 3), rng.uniform(0.85, 1.2, 3)
    curves_K3 = (255 * gain_3 * levels[:, None] ** gamma_3).clip(0, 255).astype(np.uint8)
    toned_HWC = cv2.LUT(img_HWC, curves_K3[None])
    if (blur_px := rng.uniform(-0.6, 1.1) * max(width, height) / 800) > 0.25:
        toned_HWC = cv2.GaussianBlur(toned_HWC, (0, 0), min(blur_px, 1.2))
    corners_22 = rng.uniform(-22, 22, (2, 2)).astype(np.float32)
    light_HW = cv2.resize(corners_22, (width, height), interpolation=cv2.INTER_LINEAR)
    grain_HW = rng.standard_normal((GRAIN_PX, GRAIN_PX), np.float32) * rng.uniform(0.5, 4.5)
    light_HW += np.tile(grain_HW, (-(-height // GRAIN_PX), -(-width // GRAIN_PX)))[:height, :width]
    return np.asarray(cv2.add(toned_HWC, cv2.merge([light_HW] * 3), dtype=cv2.CV_8U), np.uint8)


def _near_duplicate(original: Picture, plan: ImagePlan, rng: Rng) -> Picture:
    """The same photograph as another site would show it: other size, slightly other colours, encoded again."""
    height, width = original.img_HWC.shape[:2]
    assert plan.copy_of is not None
    shortest_px, longest_px = LONGER_SIDE_PX[plan.dataset]
    enlarged_px = max(height, width, shortest_px) * rng.uniform(1.0, 1.15)
    factor = min(enlarged_px, longest_px) / max(height, width)
    size = (round(width * factor), round(height * factor))
    resized_HWC = cv2.resize(original.img_HWC, size, interpolation=cv2.INTER_CUBIC)
    recoloured_HWC = resized_HWC * rng.uniform(0.95, 1.05, 3) + rng.uniform(-6, 6)
    scale_2 = np.array(size) / (width, height)
    return Picture(
        img_HWC=recoloured_HWC.clip(0, 255).astype(np.uint8),
        faces=tuple(
            replace(face, box_xyxy_px=face.box_xyxy_px * np.tile(scale_2, 2), lmk_P2_px=face.lmk_P2_px * scale_2)
            for face in original.faces
        ),
        jpeg_quality=int(rng.integers(80, 93)),
    )


def _inside(box_xyxy_px: NDArray[np.float64], width: int, height: int) -> NDArray[np.float64]:
    return box_xyxy_px.clip(0, (width, height, width, height))
