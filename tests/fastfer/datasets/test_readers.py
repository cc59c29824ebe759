"""Annotation files, good and bad, become one row per line."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastfer.datasets import Source, expw, rafdb, read
from fastfer.datasets.table import LONGEST_KEY, safe_key
from fastfer.labels import CLASSES
from pipelines.errors import InputError
from pipelines.records.format import KEY


def rafdb_folder(root: Path, lines: list[str]) -> Path:
    for folder in ("EmoLabel", "Image/original", "Annotation/boundingbox", "Annotation/manual"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / rafdb.LABEL_LIST).write_text("\n".join(lines), encoding="utf-8")
    return root


def expw_folder(root: Path, lines: list[str], layout: tuple[str, str] = expw.LAYOUTS[0]) -> Path:
    label_list, images = layout
    (root / images).mkdir(parents=True, exist_ok=True)
    (root / label_list).parent.mkdir(parents=True, exist_ok=True)
    (root / label_list).write_text("\n".join(lines), encoding="utf-8")
    return root


def test_rafdb_row(tmp_path: Path) -> None:
    root = rafdb_folder(tmp_path, ["train_00001.jpg 5", "test_0002.jpg 1"])
    (root / "Annotation/boundingbox/train_00001_boundingbox.txt").write_text("10.5 20.25 110 140\n")
    (root / "Annotation/boundingbox/test_0002.txt").write_text("1 2 3 4")
    lines = [f"{x}\t{x + 1}" for x in (30, 70, 50, 35, 65)]
    (root / "Annotation/manual/train_00001_manu_attri.txt").write_text("\n".join([*lines, "0", "1", "2"]))
    first, second = rafdb.read(Source(dataset="rafdb", root=root)).rows.to_dicts()
    assert first["key"] == "train_00001"
    assert first["image_path"] == "Image/original/train_00001.jpg"
    assert CLASSES[first["label"]] == "sadness"
    assert first["official_split"] == "train"
    assert first["box"] == [10.5, 20.25, 110.0, 140.0]
    assert first["landmarks"] == [30, 31, 70, 71, 50, 51, 35, 36, 65, 66]
    assert (second["official_split"], second["box"], second["landmarks"]) == ("test", [1, 2, 3, 4], None)


@pytest.mark.parametrize("layout", expw.LAYOUTS)
def test_expw_row_in_every_layout(tmp_path: Path, layout: tuple[str, str]) -> None:
    root = expw_folder(tmp_path, ["angry_african_125.jpg 2 40 30 90 100 75.5 6"], layout)
    (row,) = expw.read(Source(dataset="expw", root=root)).rows.to_dicts()
    assert row["key"] == "angry_african_125-2"
    assert row["image_path"] == f"{layout[1]}/angry_african_125.jpg"
    assert row["box"] == [30, 40, 90, 100]  # the file says top left right bottom
    assert row["box_confidence"] == 75.5
    assert CLASSES[row["label"]] == "neutral"
    assert row["problem"] is None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("a.jpg 0 1 2 3", "5 fields where 8 are due"),
        ("a.jpg 0 10 10 5 20 90 3", "impossible box"),
        ("a.jpg 0 nan 10 50 20 90 3", "impossible box"),
        ("a.jpg 0 1_0 10 50 20 90 3", "impossible box"),
        ("a.jpg -1 10 10 50 20 90 3", "impossible face id"),
        ("a.jpg x 10 10 50 20 90 3", "impossible face id"),
        ("good.jpg 00 10 10 50 60 90 3", "repeats good-0"),
        ("a.jpg 0 x 10 50 20 90 3", "impossible box"),
        ("a.jpg 0 10 10 50 60 90 7", "unknown label"),
        ("../a.jpg 0 10 10 50 60 90 3", "path leaves the image folder"),
        ("/etc/passwd 0 10 10 50 60 90 3", "path leaves the image folder"),
        ("good.jpg 0 10 10 50 60 90 3", "repeats good-0"),
    ],
)
def test_expw_lines_that_cannot_become_samples_say_why(tmp_path: Path, line: str, problem: str) -> None:
    root = expw_folder(tmp_path, ["good.jpg 0 10 10 50 60 90 3", line])
    rows = expw.read(Source(dataset="expw", root=root)).rows
    assert rows["problem"].to_list() == [None, problem]


fields = st.lists(
    st.one_of(
        st.integers(-5, 300).map(str),
        st.floats(0, 300).map(str),
        st.sampled_from(["a.jpg", "train_00001.jpg", "../b.jpg", "/etc/passwd", "nan", "1e999", "é", "1_0", "٣"]),
    ),
    max_size=10,
)
nearly_right = st.tuples(
    st.sampled_from(["a.jpg", "b.jpg", "x/../../c.jpg", "sub/d.jpg"]),
    st.lists(st.integers(-3, 90), min_size=6, max_size=8),
).map(lambda parts: f"{parts[0]} {' '.join(map(str, parts[1]))}")
malformed_lines = st.one_of(
    fields.map(" ".join).map(str.encode), nearly_right.map(str.encode), st.binary(max_size=60)
).map(lambda line: line.replace(b"\n", b""))
EXAMPLES, LINES_AT_LEAST = 200, 10


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(st.lists(malformed_lines, min_size=LINES_AT_LEAST, max_size=40))
@pytest.mark.parametrize("name", ["rafdb", "expw"])
def test_two_thousand_malformed_lines_are_each_accounted_for(tmp_path: Path, name: str, lines: list[bytes]) -> None:
    root, label_list, reader = {
        "rafdb": (rafdb_folder(tmp_path, []), rafdb.LABEL_LIST, rafdb.read),
        "expw": (expw_folder(tmp_path, []), expw.LAYOUTS[0][0], expw.read),
    }[name]
    (root / label_list).write_bytes(b"\n".join(lines))
    said = [line for line in lines if line.decode("utf-8", "replace").strip()]
    source = Source(dataset=name, root=root)
    if not said:
        with pytest.raises(InputError, match="is empty"):
            reader(source)
        return
    rows = reader(source).rows
    assert len(rows) == len(said)
    assert rows["key"].is_unique().all()
    assert all(KEY.fullmatch(key) for key in rows["key"])
    good = rows.filter(rows["problem"].is_null())
    assert good["label"].is_between(0, 6).all()
    assert not any(Path(path).is_absolute() or ".." in Path(path).parts for path in good["image_path"])


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(names, names)
def test_different_names_have_different_safe_keys(one: str, other: str) -> None:
    keys = [safe_key(name) for name in (one, other)]
    assert all(KEY.fullmatch(key) and len(key) <= LONGEST_KEY for key in keys)
    assert (keys[0] == keys[1]) == (one == other)


def test_missing_folder_and_empty_list_are_said_clearly(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no folder .*nowhere"):
        read(Source(dataset="rafdb", root=tmp_path / "nowhere"))
    with pytest.raises(InputError, match="no ExpW in"):
        read(Source(dataset="expw", root=tmp_path))
    with pytest.raises(InputError, match="no dataset 'nope': choose one of rafdb"):
        read(Source(dataset="nope", root=tmp_path))
    with pytest.raises(InputError, match=r"label\.lst is empty"):
        read(Source(dataset="expw", root=expw_folder(tmp_path, [""])))
