import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from fastfer.datasets import Source, read
from fastfer.datasets.demo import TRUTH_SCHEMA, DemoConfig, expw, make_demo_data, rafdb
from fastfer.datasets.demo.build import build
from fastfer.datasets.demo.expressions import EXPRESSIONS, mimic
from fastfer.datasets.demo.plan import DemoSet, ImagePlan
from fastfer.datasets.demo.portraits import portraits
from fastfer.datasets.splits import split_rows
from fastfer.faces.detect import open_detector
from fastfer.faces.locate import Sought, locate
from fastfer.labels import CLASSES, EXPW_TO_CANONICAL, RAFDB_TO_CANONICAL
from fastfer.progress import untracked
from pipelines.errors import InputError

TINY = DemoConfig(faces=28, seed=3)
NOISY = DemoConfig(faces=28, seed=3, label_noise=0.3)
SETS = ("demo-rafdb", "demo-expw")


@pytest.fixture(scope="module")
def progress() -> list[tuple[str, int, int]]:
    """Title, total and sum of advances of each stage of making `tiny`."""
    return []


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, progress: list[tuple[str, int, int]]) -> Path:
    @contextmanager
    def track(title: str, *, total: int, unit: str) -> Iterator[Callable[[int], None]]:  # noqa: ARG001
        done: list[int] = []
        yield done.append
        progress.append((title, total, sum(done)))

    out = tmp_path_factory.mktemp("tiny")
    make_demo_data(out, TINY, track)
    return out


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("noisy")
    make_demo_data(out, NOISY)
    return out


def truth(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "truth.parquet")


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def label_rows(out: Path) -> list[list[str]]:
    return [line.split(" ") for line in (out / "demo-expw/label/label.lst").read_text().splitlines()]


# ---- plans


def planned_rows(plans: list[ImagePlan]) -> pl.DataFrame:
    """What a reader would make of the readable images of a plan."""
    rows = [
        {
            "label": label,
            "image_path": image.path,
            "official_split": "train" if "/train_" in image.path else "test",
            "problem": None,
        }
        for image in plans
        if image.fault is None
        for label in image.written
    ]
    return pl.DataFrame(rows, schema_overrides={"label": pl.Int8, "problem": pl.String})


def by_split(rows: pl.DataFrame, split: pl.Series) -> dict[str, NDArray[np.int64]]:
    labels, names = rows["label"].to_numpy(), split.to_numpy()
    return {name: np.bincount(labels[names == name], minlength=7) for name in ("train", "val", "test")}


@pytest.mark.parametrize("seed", range(3))
def test_the_default_demo_rafdb_has_enough_of_every_class_and_is_imbalanced(seed: int) -> None:
    rows = planned_rows(rafdb.plan(DemoConfig(seed=seed)))
    counts = by_split(rows, split_rows(rows, {}, seed))
    assert 550 <= len(rows) <= 650
    assert counts["train"].min() >= 20
    assert counts["val"].min() >= 5
    assert counts["test"].min() >= 15
    assert counts["train"].max() / counts["train"].min() > 8


@pytest.mark.parametrize("seed", range(3))
def test_the_default_demo_expw_has_enough_of_every_class_and_is_imbalanced(seed: int) -> None:
    rows = planned_rows(expw.plan(DemoConfig(seed=seed)))
    counts = by_split(rows, split_rows(rows.with_columns(official_split=pl.lit(None, pl.String)), {}, seed))
    assert 550 <= len(rows) <= 650
    assert counts["train"].min() >= 20
    assert counts["val"].min() >= 5
    assert counts["test"].min() >= 15
    assert counts["train"].max() / counts["train"].min() > 5


@settings(deadline=None, max_examples=20)
@given(st.integers(28, 1500), st.integers(0, 9))
def test_every_class_is_there_at_any_size_and_no_image_is_planned_twice(faces: int, seed: int) -> None:
    config = DemoConfig(faces=faces, seed=seed)
    portraits_, scenes = rafdb.plan(config), expw.plan(config)
    for split in ("train", "test"):
        assert {label for image in portraits_ if f"/{split}_" in image.path for label in image.labels} == set(range(7))
    assert {label for image in scenes for label in image.labels} == set(range(7))
    for plans in (portraits_, scenes):
        assert len({image.path for image in plans}) == len({image.index for image in plans}) == len(plans)
        assert 0.75 * faces <= sum(len(image.labels) for image in plans) <= 1.3 * faces + 25


def test_label_noise_changes_its_share_of_the_written_labels_and_nothing_else() -> None:
    clean, noisy = (expw.plan(DemoConfig(faces=3000, label_noise=noise)) for noise in (0.0, 0.25))
    labels, written = (np.concatenate([getattr(image, name) for image in noisy]) for name in ("labels", "written"))
    assert 0.22 < (labels != written).mean() < 0.28
    assert set(written[labels == 3]) == set(range(7))
    assert [image.labels for image in clean] == [image.labels for image in noisy]
    assert all(image.labels == image.written for image in clean)


def test_about_three_in_ten_scene_names_speak_of_another_emotion() -> None:
    scenes = expw.plan(DemoConfig(faces=3000))
    assert 0.26 < np.mean([image.query != image.labels[0] for image in scenes]) < 0.34


# ---- layouts


def test_demo_rafdb_is_laid_out_like_rafdb(raw: Path) -> None:
    folder = raw / "demo-rafdb"
    text = (folder / "EmoLabel/list_patition_label.txt").read_text()
    assert not text.endswith("\n")
    lines = text.split("\n")
    assert all(re.fullmatch(r"(train_\d{5}|test_\d{4})\.jpg [1-7]", line) for line in lines)
    stems = [line.split(".")[0] for line in lines]
    assert stems[0] == "train_00001"
    assert "test_0001" in stems
    sizes = set()
    for stem in stems:
        with Image.open(folder / f"Image/original/{stem}.jpg") as original:
            assert original.mode == "RGB"
            assert 180 <= min(original.size) <= max(original.size) <= 480
            sizes.add(original.size)
        with Image.open(folder / f"Image/aligned/{stem}_aligned.jpg") as aligned:
            assert (aligned.mode, aligned.size) == ("RGB", (100, 100))
        box = (folder / f"Annotation/boundingbox/{stem}_boundingbox.txt").read_text().split()
        assert len([float(value) for value in box]) == 4
        attributes = (folder / f"Annotation/manual/{stem}_manu_attri.txt").read_text().splitlines()
        assert len(attributes) == 8
        assert all(len([float(value) for value in line.split("\t")]) == 2 for line in attributes[:5])
        assert [int(code) for code in attributes[5:]] in ([1, 0, 2], [1, 0, 4])
    assert len(sizes) > len(stems) / 2
    kinds = {path.parent.relative_to(folder).as_posix(): 0 for path in folder.rglob("*.*")}
    assert set(kinds) == {".", *rafdb.FOLDERS}


def test_demo_expw_is_laid_out_like_expw(raw: Path) -> None:
    folder = raw / "demo-expw"
    rows = label_rows(raw)
    assert all(len(row) == 8 for row in rows)
    words = {word for of_class in expw.QUERIES.values() for word in of_class}
    for name, face_id, top, left, right, bottom, confidence, label in rows:
        assert re.fullmatch(r"[a-z]+_[a-z]+_\d+\.jpg", name)
        assert name.split("_")[0] in words
        assert 0 <= int(face_id) <= 3
        assert 0 <= int(top) < int(bottom)
        assert 0 <= int(left) < int(right)
        assert 0 < float(confidence) <= 100
        assert 0 <= int(label) <= 6
    scenes = truth(folder).filter(pl.col("duplicate_of").is_null())
    assert set(scenes.group_by("image").len()["len"]) == {1, 2, 3, 4}
    for path in scenes["image"].unique():
        with Image.open(folder / path) as scene:
            assert min(scene.size) >= 600
            assert 800 <= max(scene.size) <= 1600


def test_truth_is_what_the_readers_read(raw: Path, noisy: Path) -> None:
    for out, is_noisy in ((raw, False), (noisy, True)):
        for name in SETS:
            rows = read(Source(dataset=name, root=out / name)).rows.filter(pl.col("problem").is_null())
            known = truth(out / name)
            assert known.schema == TRUTH_SCHEMA
            assert set(known["dataset"]) == {name}
            key = pl.concat_str(pl.col("image"), pl.col("face_id").cast(pl.String).fill_null("-"), separator="#")
            written = dict(zip(known.select(key).to_series(), known["written_label"], strict=True))
            boxes = dict(zip(known.select(key).to_series(), known["box"].to_list(), strict=True))
            readable = 0
            for row in rows.iter_rows(named=True):
                face_id = row["key"].rpartition("-")[2] if name == "demo-expw" else "-"
                if (face := f"{row['image_path']}#{face_id}") in written:
                    readable += 1
                    assert row["label"] == written[face]
                    assert np.abs(np.subtract(row["box"], boxes[face])).max() <= 0.5
            assert readable == len(known)
            assert (known["label"] != known["written_label"]).any() == is_noisy


def test_label_noise_leaves_the_images_alone(tiny: Path, noisy: Path) -> None:
    for name in SETS:
        clean, changed = digests(tiny / name), digests(noisy / name)
        differ = {path for path in clean if clean[path] != changed.get(path)}
        assert differ == {
            "truth.parquet",
            "demo.json",
            "EmoLabel/list_patition_label.txt" if name == "demo-rafdb" else "label/label.lst",
        }


def test_written_numbers_are_the_datasets_own() -> None:
    assert [rafdb.LABEL_NUMBERS[CLASSES.index(name)] for name in ("surprise", "anger", "neutral")] == [1, 6, 7]
    assert {RAFDB_TO_CANONICAL[number]: number for number in range(1, 8)} == rafdb.LABEL_NUMBERS
    assert {EXPW_TO_CANONICAL[number]: number for number in range(7)} == expw.LABEL_NUMBERS


# ---- what is planted


def test_demo_expw_has_the_flaws_of_expw(raw: Path) -> None:
    folder, rows = raw / "demo-expw", label_rows(raw)
    repeated = [row for row, times in Counter(map(tuple, rows)).items() if times > 1]
    assert len(repeated) >= 2

    def opens(name: str) -> bool:
        try:
            with Image.open(folder / "image/origin" / name) as image:
                image.load()
        except OSError:
            return False
        return True

    names = {row[0] for row in rows}
    broken = {name for name in names if not opens(name)}
    missing = {name for name in names if not (folder / "image/origin" / name).exists()}
    sizes = [(folder / "image/origin" / name).stat().st_size for name in broken - missing]
    assert missing
    assert 0 in sizes
    assert any(0 < size < 200 for size in sizes)
    assert any(size > 10_000 for size in sizes)
    known = truth(folder)
    assert {Path(image).name for image in known["image"]} == names - broken

    assert 0 < (~known["is_largest"]).sum() < len(known)
    lonely = known.filter(pl.len().over("image") == 1)
    assert not lonely["is_largest"].all()
    word = (
        pl.col("image")
        .str.extract(r"origin/([a-z]+)_")
        .replace_strict({word: CLASSES.index(name) for name, words in expw.QUERIES.items() for word in words})
    )
    assert known.select((word == pl.col("query_class")).all()).item()
    assert 0 < (known["query_class"] != known["label"]).sum() < len(known)


def thumbnail(path: Path) -> NDArray[np.float64]:
    with Image.open(path) as image:
        small = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.BOX), np.float64)
    return (small - small.mean()) / small.std()


def test_near_duplicates_are_listed_and_nothing_else_looks_alike(raw: Path) -> None:
    known = pl.concat([truth(raw / name) for name in SETS])
    images = known.select("dataset", "image", "duplicate_of").unique(maintain_order=True)
    names = [f"{dataset}/{image}" for dataset, image, _ in images.iter_rows()]
    planted = {
        frozenset((name, original)) for name, original in zip(names, images["duplicate_of"], strict=True) if original
    }
    origins = Counter((name.split("/")[0], original.split("/")[0]) for name, original in map(sorted, planted))
    assert origins == {("demo-rafdb", "demo-rafdb"): 3, ("demo-expw", "demo-expw"): 2, ("demo-expw", "demo-rafdb"): 2}
    assert any("/train_" in min(pair) + max(pair) and "/test_" in min(pair) + max(pair) for pair in planted)
    looks = {name: thumbnail(raw / name) for name in names}
    distance = {
        frozenset(pair): float(np.abs(looks[pair[0]] - looks[pair[1]]).mean()) for pair in combinations(names, 2)
    }
    assert max(distance[pair] for pair in planted) < 0.12
    of_copies = {name for pair in planted for name in pair}
    others = [value for pair, value in distance.items() if pair not in planted and not pair <= of_copies]
    assert min(others) > 0.25
    contents = [digest for name in SETS for path, digest in digests(raw / name).items() if path.startswith("Image/or")]
    assert len(set(contents)) == len(contents)


# ---- faces


def test_mtcnn_finds_the_faces_where_truth_says(tiny: Path) -> None:
    detector = open_detector("mtcnn", "cpu")
    for name in SETS:
        images, sought, lmk_N52 = [], [], []
        for (path,), faces in truth(tiny / name).group_by("image", maintain_order=True):
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


@settings(deadline=None, max_examples=40)
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


# ---- building


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers(tiny: Path, tmp_path: Path) -> None:
    again = build(tmp_path, DemoSet.EXPW, TINY, untracked, workers=2)
    assert digests(again) == digests(tiny / "demo-expw")


def test_another_seed_gives_other_images(tiny: Path, tmp_path: Path) -> None:
    other = build(tmp_path, DemoSet.RAFDB, DemoConfig(faces=28, seed=4), untracked)
    here, there = digests(tiny / "demo-rafdb"), digests(other)
    images = [path for path in here if path.startswith("Image/original/")]
    assert all(here[path] != there[path] for path in images)


def refuse(title: str, *, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    raise AssertionError(f"{title}: {total} {unit} drawn again")


def test_finished_data_is_found_again_at_once(tiny: Path) -> None:
    assert make_demo_data(tiny, TINY, contextmanager(refuse)) == tuple(tiny / name for name in SETS)


def test_an_interrupted_build_leaves_nothing_that_looks_whole(tiny: Path, tmp_path: Path) -> None:
    @contextmanager
    def interrupt(title: str, *, total: int, unit: str) -> Iterator[Callable[[int], None]]:  # noqa: ARG001
        def advance(_count: int) -> None:
            nonlocal total
            total -= 1
            if total == 5:
                raise KeyboardInterrupt

        yield advance

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, DemoSet.RAFDB, TINY, interrupt)
    assert list(tmp_path.iterdir()) == []

    killed = tmp_path / ".demo-rafdb.unfinished"
    (killed / "EmoLabel").mkdir(parents=True)
    (killed / "stray").write_text("from a killed run")
    assert digests(build(tmp_path, DemoSet.RAFDB, TINY, untracked)) == digests(tiny / "demo-rafdb")
    assert [path.name for path in tmp_path.iterdir()] == ["demo-rafdb"]


def test_progress_counts_every_image(tiny: Path, progress: list[tuple[str, int, int]]) -> None:  # noqa: ARG001
    planned = [("Drawing demo-rafdb", len(rafdb.plan(TINY))), ("Drawing demo-expw", len(expw.plan(TINY)))]
    assert progress == [(title, images, images) for title, images in planned]


def test_data_of_other_settings_is_not_overwritten(tiny: Path) -> None:
    before = digests(tiny)
    with pytest.raises(InputError, match=r"demo-rafdb holds demo data of other settings: remove it"):
        make_demo_data(tiny, DemoConfig(faces=29, seed=3))
    assert digests(tiny) == before


def test_a_folder_that_is_not_ours_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "demo-rafdb").mkdir()
    (tmp_path / "demo-rafdb/thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"something that is not demo data.* choose another --out"):
        make_demo_data(tmp_path, TINY)
    assert (tmp_path / "demo-rafdb/thesis.txt").read_text() == "mine"


def test_an_out_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match=r"Cannot write demo data to .*out .*choose another --out"):
        make_demo_data(tmp_path / "out", TINY)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"faces": 27}, "27 demo faces are too few"),
        ({"label_noise": 1.5}, "1.5: give a share from 0 to 1"),
        ({"label_noise": float("nan")}, "nan: give a share from 0 to 1"),
        ({"seed": -1}, "-1: give 0 or more"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, float], says: str) -> None:
    with pytest.raises(InputError, match=says):
        DemoConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("module", ["skimage", "matplotlib"])
def test_missing_photographs_name_the_extra(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    portraits.cache_clear()
    with pytest.raises(InputError, match=re.escape('pip install "fastfer[demo]"')):
        make_demo_data(tmp_path, TINY)
    assert list(tmp_path.iterdir()) == []


def test_the_description_tells_the_settings(tiny: Path) -> None:
    description = json.loads((tiny / "demo-expw/demo.json").read_text())
    assert description["dataset"] == "demo-expw"
    assert {name: description[name] for name in ("seed", "faces", "label_noise")} == {
        "seed": 3,
        "faces": 28,
        "label_noise": 0.0,
    }
