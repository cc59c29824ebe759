"""The demo sets on disk: laid out like the real ones, with their flaws planted."""

import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from fastfer.datasets import Source, read
from fastfer.datasets.demo import TRUTH_SCHEMA, expw, rafdb, read_truth
from fastfer.labels import CLASSES, EXPW_TO_CANONICAL, RAFDB_TO_CANONICAL
from tests.fastfer.conftest import DEMO_SETS, digests, planted_copies


def label_rows(out: Path) -> list[list[str]]:
    return [line.split(" ") for line in (out / "demo-expw/label/label.lst").read_text().splitlines()]


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
    scenes = read_truth(folder).filter(pl.col("duplicate_of").is_null())
    assert set(scenes.group_by("image").len()["len"]) == {1, 2, 3, 4}
    for path in scenes["image"].unique():
        with Image.open(folder / path) as scene:
            assert min(scene.size) >= 600
            assert 800 <= max(scene.size) <= 1600


def test_truth_is_what_the_readers_read(raw: Path, noisy: Path) -> None:
    for out, is_noisy in ((raw, False), (noisy, True)):
        for name in DEMO_SETS:
            rows = read(Source(dataset=name, root=out / name)).rows.filter(pl.col("problem").is_null())
            known = read_truth(out / name)
            assert known.drop("key").schema == TRUTH_SCHEMA
            assert set(known["dataset"]) == {name}
            both = known.join(rows, on="key", suffix="_read", maintain_order="left")
            assert len(both) == len(known)
            assert both["label_read"].cast(pl.Int64).equals(both["written_label"])
            boxes = (np.array(both[column].to_list()) for column in ("box", "box_read"))
            assert np.abs(np.subtract(*boxes)).max() <= 0.5
            assert (known["label"] != known["written_label"]).any() == is_noisy


def test_label_noise_leaves_the_images_alone(tiny: Path, noisy: Path) -> None:
    for name in DEMO_SETS:
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
    known = read_truth(folder)
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
    planted = {frozenset(pair) for pair in planted_copies(raw)}
    origins = Counter((name.split("/")[0], original.split("/")[0]) for name, original in map(sorted, planted))
    assert origins == {("demo-rafdb", "demo-rafdb"): 3, ("demo-expw", "demo-expw"): 2, ("demo-expw", "demo-rafdb"): 2}
    assert any("/train_" in min(pair) + max(pair) and "/test_" in min(pair) + max(pair) for pair in planted)
    images = [f"{name}/{image}" for name in DEMO_SETS for image in read_truth(raw / name)["image"].unique()]
    looks = {name: thumbnail(raw / name) for name in images}
    distance = {
        frozenset(pair): float(np.abs(looks[pair[0]] - looks[pair[1]]).mean()) for pair in combinations(images, 2)
    }
    assert max(distance[pair] for pair in planted) < 0.12
    of_copies = {name for pair in planted for name in pair}
    others = [value for pair, value in distance.items() if pair not in planted and not pair <= of_copies]
    assert min(others) > 0.25
    contents = [
        digest for name in DEMO_SETS for path, digest in digests(raw / name).items() if path.startswith("Image/or")
    ]
    assert len(set(contents)) == len(contents)
