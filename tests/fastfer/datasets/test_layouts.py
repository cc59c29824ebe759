"""Every layout that copies of RAF-DB, ExpW and other sets come in, and what `dataset check` says of them."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from fastfer.datasets import Source, read
from fastfer.datasets.check import PUBLISHED, check
from fastfer.labels import CLASSES, RAFDB_TO_CANONICAL
from pipelines.errors import InputError
from tests.fastfer.datasets.test_readers import expw_folder, rafdb_folder

BACK = {canonical: number for number, canonical in RAFDB_TO_CANONICAL.items()}


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20), "teal").save(path)


def rafdb(root: Path, images: str = "auto") -> tuple[list[dict[str, object]], str, bool]:
    reading = read(Source(dataset="rafdb", root=root, images=images))
    return reading.rows.to_dicts(), reading.layout, reading.cropped


def test_the_official_folder_gives_photographs_or_aligned_faces(tmp_path: Path) -> None:
    root = rafdb_folder(tmp_path, ["train_00001.jpg 5", "test_0001.jpg 4"])
    with pytest.raises(InputError, match="expected Image/aligned or train"):
        rafdb(root, "aligned")
    (root / "Image/aligned").mkdir()
    originals, layout, cropped = rafdb(root)
    assert ("original photographs" in layout, cropped) == (True, False)
    aligned, layout, cropped = rafdb(root, "aligned")
    assert ("aligned faces" in layout, cropped) == (True, True)
    assert [row["image_path"] for row in aligned] == [
        "Image/aligned/train_00001_aligned.jpg", "Image/aligned/test_0001_aligned.jpg",
    ]  # fmt: skip
    assert [row["key"] for row in aligned] == [row["key"] for row in originals]
    assert [row["label"] for row in aligned] == [row["label"] for row in originals]
    shutil.rmtree(root / "Image/original")  # as many users have it
    assert rafdb(root)[1] == layout


@pytest.mark.parametrize("parent", ["", "DATASET/"])
def test_flat_mirror(tmp_path: Path, parent: str) -> None:
    for split in ("train", "test"):
        (tmp_path / parent / split).mkdir(parents=True)
    (tmp_path / parent / "list_patition_label.txt").write_text("train_00001.jpg 5\ntest_0001.jpg 4")
    rows, layout, cropped = rafdb(tmp_path)
    assert ("flat mirror" in layout, cropped) == (True, True)
    assert [row["image_path"] for row in rows] == [
        f"{parent}train/train_00001_aligned.jpg", f"{parent}test/test_0001_aligned.jpg",
    ]  # fmt: skip
    assert [row["official_split"] for row in rows] == ["train", "test"]


@pytest.mark.parametrize("parent", ["", "DATASET/"])
def test_class_folders_of_rafdb(tmp_path: Path, parent: str) -> None:
    for split in ("train", "test"):
        for label in range(7):
            picture(tmp_path / f"{parent}{split}/{BACK[label]}/{split}_0000{label}_aligned.jpg")
    (tmp_path / f"{parent}train/1/notes.txt").write_text("no picture")
    rows, layout, cropped = rafdb(tmp_path)
    assert ("class folders" in layout, cropped) == (True, True)
    assert len(rows) == 14
    for row in rows:
        assert str(row["image_path"]).endswith(f"_0000{row['label']}_aligned.jpg")
        assert str(row["image_path"]).startswith(f"{parent}{row['official_split']}/")


def test_no_layout_and_impossible_choices_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no RAF-DB in .*docs/data\.md"):
        rafdb(tmp_path)
    with pytest.raises(InputError, match="no source 'both'"):
        rafdb(tmp_path, "both")
    with pytest.raises(InputError, match="ExpW has no aligned images"):
        read(Source(dataset="expw", root=tmp_path, images="aligned"))
    root = rafdb_folder(tmp_path, ["train_00001.jpg 5"])
    with pytest.raises(InputError, match="MIN_CONFIDENCE= is for datasets whose boxes have a confidence"):
        read(Source(dataset="rafdb", root=root, min_confidence=60))
    with pytest.raises(InputError, match="LABELS= names class folders of DATASET=folder"):
        read(Source(dataset="rafdb", root=root, labels=tmp_path / "map.toml"))


def test_minimum_confidence_leaves_rows_out_with_that_reason(tmp_path: Path) -> None:
    root = expw_folder(tmp_path, [f"a.jpg {i} 1 2 30 40 {confidence} 3" for i, confidence in enumerate((59.9, 60, 80))])
    rows = read(Source(dataset="expw", root=root, min_confidence=60)).rows
    assert rows["problem"].to_list() == ["box confidence below 60", None, None]
    with pytest.raises(InputError, match="not one of the 3 lines"):
        read(Source(dataset="expw", root=root, min_confidence=99))


def folder(root: Path, **changes: object) -> tuple[list[dict[str, object]], str, bool]:
    reading = read(Source(dataset="folder", root=root, **changes))  # type: ignore[arg-type]
    return reading.rows.to_dicts(), reading.layout, reading.cropped


def test_any_class_folders_by_usual_names_or_a_map(tmp_path: Path) -> None:
    root = tmp_path / "faces"
    for name in ("Happy", "neutral", "Wut", "contempt"):
        picture(root / name / "1.jpg")
        picture(root / name / "2.PNG")
    with pytest.raises(InputError, match=r'class is not known \(Wut, contempt\).*"Wut" = "happiness"'):
        folder(root)
    labels = tmp_path / "map.toml"
    labels.write_text('Wut = "anger"\ncontempt = ""\n')
    rows, layout, cropped = folder(root, labels=labels)
    assert ("class folders" in layout, cropped) == (True, False)
    found = {row["image_path"]: (row["label"], row["problem"]) for row in rows}
    assert found == {
        "Happy/1.jpg": (3, None), "Happy/2.PNG": (3, None), "neutral/1.jpg": (6, None), "neutral/2.PNG": (6, None),
        "Wut/1.jpg": (0, None), "Wut/2.PNG": (0, None),
        "contempt/1.jpg": (None, "class left out by LABELS="), "contempt/2.PNG": (None, "class left out by LABELS="),
    }  # fmt: skip
    assert folder(root, labels=labels, images="aligned")[2]


def test_split_folders_are_the_splits(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        picture(tmp_path / split / "sad" / "1.jpg")
    rows, layout, _ = folder(tmp_path)
    assert "train/val/test" in layout
    assert [row["official_split"] for row in rows] == ["test", "train", "val"]
    assert len({row["key"] for row in rows}) == 3


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('joy = "glee"', "choose one of anger"),
        ("joy = 3", "choose one of anger"),
        ("joy", "cannot be read"),
        ("\xff\xfe", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_an_unusable_label_map_is_one_sentence(tmp_path: Path, content: str | None, says: str) -> None:
    picture(tmp_path / "faces/joy/1.jpg")
    labels = tmp_path / "map.toml"
    if content is not None:
        labels.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=says):
        folder(tmp_path / "faces", labels=labels)


def test_empty_class_folders_and_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no class folders in"):
        folder(tmp_path)
    (tmp_path / "happy").mkdir()
    with pytest.raises(InputError, match="hold no images"):
        folder(tmp_path)


# ---- dataset check


def test_published_counts_are_those_of_the_papers() -> None:
    totals = {
        (name, split): sum(counts.values()) for name, splits in PUBLISHED.items() for split, counts in splits.items()
    }
    assert totals == {("rafdb", "train"): 12_271, ("rafdb", "test"): 3_068, ("expw", "all"): 91_793}
    assert PUBLISHED["rafdb"]["test"]["fear"] == 74
    assert PUBLISHED["expw"]["all"]["fear"] == 1_088


def test_check_counts_and_names_what_is_missing(tmp_path: Path) -> None:
    root = rafdb_folder(tmp_path, ["train_00001.jpg 5", "train_00002.jpg 4", "test_0001.jpg 4", "test_0002.jpg 9"])
    picture(root / "Image/original/train_00001.jpg")
    (root / "Image/original/train_00002.jpg").write_text("torn")
    found = check(Source(dataset="rafdb", root=root))
    assert found.counts["train"] == dict.fromkeys(CLASSES, 0) | {"sadness": 1, "happiness": 1}
    assert found.bad_lines == {"unknown label": ["test_0002"]}
    assert found.bad_images["missing image"] == ["Image/original/test_0001.jpg"]
    assert [images for reason, images in found.bad_images.items() if "unreadable" in reason] == [
        ["Image/original/train_00002.jpg"]
    ]
    assert "2 of 12271 published faces in train" in found.faults
    assert "1 with missing image" in found.faults


def test_a_whole_folder_of_ones_own_has_no_faults(tmp_path: Path) -> None:
    for label in CLASSES:
        picture(tmp_path / label / "1.jpg")
    assert check(Source(dataset="folder", root=tmp_path)).faults == []
