"""Separability and wrong labels on points whose classes and errors are known; verdicts there and back."""

from pathlib import Path

import numpy as np
import pytest

from fastfer.analysis.faces import AlignedFaces, hog_features, network_features, read_faces
from fastfer.analysis.label_noise import LabelNoise, label_noise
from fastfer.analysis.separability import MEASURES, Sample, plane, separability
from fastfer.analysis.verdicts import judged_wrong, read_verdicts, write_suspects
from fastfer.cells import train_and_test, unseen
from fastfer.evaluation.evaluate import FinishedRun
from fastfer.labels import CLASSES
from pipelines.errors import InputError
from pipelines.progress import untracked
from tests.fastfer.training.test_fit import quiet, train_config

KINDS = len(CLASSES)


def points(apart: float, seed: int = 0, each: int = 60) -> Sample:
    """Gaussian clouds around the corners of a simplex, `apart` of their own width."""
    rng = np.random.default_rng(seed)
    label_N = np.repeat(np.arange(KINDS), each)
    features_NF = (np.eye(KINDS)[label_N] * apart + rng.normal(size=(len(label_N), KINDS))).astype(np.float32)
    return Sample(features_NF, label_N, np.arange(len(label_N)) // 2)


def test_classes_further_apart_measure_so() -> None:
    found = separability({"near": points(1.0), "far": points(6.0)}, seed=0)
    near, far = found["near"], found["far"]
    assert near.per_class == far.per_class == 48
    for name, (_, better) in MEASURES.items():
        one, other = (near, far) if better == "high" else (far, near)
        assert one.measures[name]["high"] < other.measures[name]["low"], name
        for of_one in (near, far):
            assert of_one.measures[name]["low"] <= of_one.measures[name]["value"] <= of_one.measures[name]["high"]
    assert far.measures["probe"]["value"] > 0.95
    assert np.array_equal(far.pairs_KK, far.pairs_KK.T)


def test_too_few_faces_of_a_class_are_not_measured() -> None:
    assert separability({"few": points(2.0, each=4)}, seed=0) == {}
    assert label_noise(points(2.0, each=4), seed=0) is None


def test_a_plane_has_a_point_for_each_face() -> None:
    point_N2, label_N = plane(points(6.0, each=20), seed=0)
    assert point_N2.shape == (KINDS * 20, 2)
    assert np.isfinite(point_N2).all()
    assert sorted(label_N) == sorted(points(6.0, each=20).label_N)


def noisy(share: float) -> tuple[Sample, np.ndarray]:
    clean = points(7.0, each=90)
    rng = np.random.default_rng(3)
    wrong_N = rng.random(len(clean.label_N)) < share
    label_N = np.where(wrong_N, (clean.label_N + rng.integers(1, KINDS, len(wrong_N))) % KINDS, clean.label_N)
    return Sample(clean.features_NF, label_N, clean.group_N), wrong_N


def test_planted_errors_are_counted_and_found() -> None:
    sample, wrong_N = noisy(0.15)
    found = label_noise(sample, seed=0)
    assert found is not None
    assert found.overall["low"] <= wrong_N.mean() <= found.overall["high"]
    assert wrong_N[found.suspects].mean() > 0.9
    assert (found.suggested_N[found.suspects] != sample.label_N[found.suspects]).all()
    assert len(found.by_class) == KINDS
    clean = label_noise(noisy(0.0)[0], seed=0)
    assert clean is not None
    assert clean.overall["value"] < 0.01


@pytest.fixture
def suspected() -> tuple[AlignedFaces, LabelNoise]:
    sample, _ = noisy(0.15)
    count = len(sample.label_N)
    images = np.zeros((count, 8, 8), np.uint8)
    faces = AlignedFaces("made", np.array([f"face-{i}" for i in range(count)]), sample.label_N, sample.group_N, images)
    noise = label_noise(sample, seed=0)
    assert noise is not None
    return faces, noise


def test_verdicts_survive_a_new_list(suspected: tuple[AlignedFaces, LabelNoise], tmp_path: Path) -> None:
    path = tmp_path / "results" / "verdicts.csv"
    first = write_suspects(path, *suspected)
    assert read_verdicts(path) == {}
    lines = path.read_text().splitlines()
    filled = [f"{lines[1]}disagree", f"{lines[2]}Agree", f"{lines[3]}unclear", "elsewhere,,,,disagree", *lines[4:]]
    path.write_text("\n".join([lines[0], *filled]) + "\n")
    assert write_suspects(path, *suspected) == [
        row | {"verdict": verdict}
        for row, verdict in zip(first, ["disagree", "agree", "unclear"] + [""] * len(first), strict=False)
    ]
    verdicts = read_verdicts(path)
    assert verdicts["elsewhere"] == "disagree"
    assert (judged_wrong(verdicts).n, judged_wrong(verdicts).value) == (3, pytest.approx(2 / 3))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("key,verdict\na,maybe\n", "line 2: 'maybe' is no verdict"),
        ("name\na\n", "no column key, verdict"),
        ("", "no column"),
    ],
)
def test_verdicts_that_are_none_are_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "verdicts.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_verdicts(path)


def test_faces_are_read_with_their_labels_and_described(shards: Path, tmp_path: Path) -> None:
    faces = read_faces(shards, "demo-rafdb", most=1000, seed=0)
    few = read_faces(shards, "demo-rafdb", most=20, seed=0)
    assert len(few) == 20
    label_of = dict(zip(faces.key_N, faces.label_N, strict=True))
    assert all(label_of[key] == label for key, label in zip(few.key_N, few.label_N, strict=True))
    assert faces.counts().sum() == len(faces)
    assert hog_features(few).shape == (20, 1764)
    config = train_config(shards, tmp_path, epochs=1, aug="none", mixup=0.0)
    run, _ = train_and_test(config, track=untracked, epochs=unseen, say=quiet)
    described = network_features(FinishedRun.open(run.folder), few)
    assert described.shape[0] == 20
    assert np.isfinite(described).all()
    assert np.abs(described - described[0]).max() > 0
