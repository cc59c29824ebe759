"""Drawn faces: found where the truth says, with the expression of their class."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fastfer.datasets.demo import read_truth
from fastfer.datasets.demo.expressions import EXPRESSIONS, mimic
from fastfer.datasets.demo.portraits import portraits
from fastfer.faces.detect import open_detector
from fastfer.faces.locate import Sought, locate
from fastfer.labels import CLASSES
from tests.fastfer.conftest import DEMO_SETS


def test_mtcnn_finds_the_faces_where_truth_says(tiny: Path) -> None:
    detector = open_detector("mtcnn", "cpu")
    for name in DEMO_SETS:
        images, sought, lmk_N52 = [], [], []
        for (path,), faces in read_truth(tiny / name).group_by("image", maintain_order=True):
            images.append(np.asarray(Image.open(tiny / name / str(path)).convert("RGB")))
            sought.append([Sought(np.array(box)) for box in faces["box"].to_list()])
            lmk_N52 += [np.array(lmk).reshape(5, 2) for lmk in faces["landmarks"].to_list()]
        found = [face for scene in locate(images, sought, detector, min_iou=0.5) for face in scene.found]
        assert np.mean([face.how != "missed" for face in found]) >= 0.9
        assert np.median([face.iou or 0.0 for face in found]) > 0.75
        errors = [
            np.linalg.norm(face.lmk_52_px - lmk_52, axis=1).mean() / np.linalg.norm(lmk_52[1] - lmk_52[0])
            for face, lmk_52 in zip(found, lmk_N52, strict=True)
            if face.lmk_52_px is not None
        ]
        assert np.median(errors) < 0.12


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from(CLASSES), st.integers(0, 3))
def test_push_undoes_pull(seed: int, expression: str, which: int) -> None:
    portrait = portraits()[which]
    face = mimic(portrait, expression, np.random.default_rng(seed))
    points = np.concatenate([portrait.lmk_P2, portrait.box_edges_42])
    np.testing.assert_allclose(face.pull(face.push(points)), points, atol=0.02)


def mouth_corners_y(expression: str, which: int) -> float:
    """Height of the mouth's corners below the eyes, in eye distances, averaged over faces."""
    portrait = portraits()[which]
    faces = (mimic(portrait, expression, np.random.default_rng(seed)) for seed in range(20))
    return float(np.mean([face.push(portrait.lmk_P2)[3:, 1].mean() for face in faces]))


@pytest.mark.parametrize("which", range(4))
def test_smiles_go_up_and_sad_mouths_down(which: int) -> None:
    happy, neutral, sad = (mouth_corners_y(name, which) for name in ("happiness", "neutral", "sadness"))
    assert happy < neutral - 0.05
    assert sad > neutral + 0.05


def test_every_class_has_an_expression_and_only_neutral_is_none() -> None:
    assert set(EXPRESSIONS) == set(CLASSES)
    assert [name for name, expression in EXPRESSIONS.items() if not expression.bumps] == ["neutral"]


def test_mirrored_portraits_keep_left_left() -> None:
    for portrait in portraits():
        left_eye, right_eye, _, left_corner, right_corner = portrait.lmk_P2
        np.testing.assert_allclose([left_eye, right_eye], [(-0.5, 0), (0.5, 0)], atol=1e-9)
        assert left_corner[0] < right_corner[0]
