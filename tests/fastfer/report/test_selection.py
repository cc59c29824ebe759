"""How faces were chosen: the funnel's numbers, the figure, the sheets; and what `shards inspect` shows."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageFont

from fastfer.faces.detect import detector_version
from fastfer.labels import CLASSES
from fastfer.report import sheets
from fastfer.report.inspection import summary_of, write_sheet
from fastfer.report.locale import ENGLISH
from fastfer.report.selection import UNKNOWN, funnel_of, funnel_section, make_selection_report, outcomes_of
from fastfer.report.sheets import ANNOTATED, COLUMNS, TILE_PX, Tile, contact_sheet, marked
from fastfer.variants import open_records
from pipelines.errors import InputError
from pipelines.records import read_manifest

DATASET = "demo-expw"


@pytest.fixture(scope="module")
def manifest(shards: Path) -> pl.DataFrame:
    return read_manifest(shards / DATASET / "preprocessed")


def test_the_funnel_counts_every_row_once_and_never_widens(manifest: pl.DataFrame) -> None:
    funnel = funnel_of(manifest)
    assert funnel["class"].to_list() == [*CLASSES, "all"]
    total = funnel.row(-1, named=True)
    assert total["rows"] == len(manifest)
    assert total["kept"] == manifest.filter(status="kept").height
    for name in funnel.columns[1:]:
        assert funnel[name][:-1].sum() == total[name]
    for row in funnel.iter_rows(named=True):
        assert row["rows"] >= row["readable"] >= row["detected"] >= row["matched"]
        assert row["readable"] >= row["kept"] == row["matched"] + row["missed"]


MADE = [  # how, reason, faces seen, label
    ("matched", None, 2, 0),
    ("second look", None, 1, 0),
    ("annotated box", None, 1, 0),  # somebody was seen there, but not the annotated one
    ("annotated box", None, 0, 3),
    (None, "the box lies outside the image", 0, 3),
    (None, "missing image", None, 3),
    (None, "unknown label", None, None),
]


def made(sought: bool = True) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "row": range(len(MADE)),
            "label": pl.Series([label for *_, label in MADE], dtype=pl.Int8),
            "status": ["kept" if how else "dropped" for how, *_ in MADE],
            "how": [how for how, *_ in MADE],
            "reason": [reason for _, reason, *_ in MADE],
            "faces_seen": pl.Series([seen if sought else None for *_, seen, _ in MADE], dtype=pl.Int32),
        }
    )


def test_what_each_stage_means() -> None:
    funnel = {row["class"]: row for row in funnel_of(made()).iter_rows(named=True)}
    stages = ("rows", "readable", "detected", "matched", "kept", "missed")
    assert {name: tuple(row[stage] for stage in stages) for name, row in funnel.items()} == {
        "anger": (3, 3, 3, 2, 3, 1),
        "happiness": (3, 2, 0, 0, 1, 1),
        UNKNOWN: (1, 0, 0, 0, 0, 0),
        "all": (7, 5, 3, 2, 4, 2),
    }
    unsought = funnel_of(made(sought=False))
    assert unsought.select("detected", "matched", "missed").null_count().row(0) == (4, 4, 4)
    assert unsought["kept"].to_list() == [3, 1, 0, 4]


def test_the_funnel_as_a_section_holds_the_same_numbers(manifest: pl.DataFrame, shards: Path) -> None:
    section = funnel_section(shards, DATASET, ENGLISH)
    assert section.title == f"How the faces of {DATASET} were chosen"
    assert section.missing == []
    (table,), (figure,) = section.tables, section.figures
    funnel = funnel_of(manifest)
    assert table.frame().rows() == funnel.rows()
    drawn = next(iter(figure.spec["datasets"].values()))
    total = {row["stage"]: row["rows"] for row in drawn if row["class"].startswith("all ")}
    assert total == {name: funnel[name][-1] for name in ("rows", "readable", "detected", "matched", "kept")}
    assert "config" not in figure.spec  # the page's own theme


def test_without_records_the_section_names_what_makes_them(shards: Path) -> None:
    section = funnel_section(shards, "rafdb", ENGLISH)
    assert [part.command for part in section.missing] == ["make shards DATASET=rafdb"]
    assert (section.tables, section.figures, section.paragraphs) == ([], [], [])
    with pytest.raises(InputError, match="no dataset 'nothing'"):
        funnel_section(shards, "nothing", ENGLISH)


def test_outcomes_add_up(manifest: pl.DataFrame) -> None:
    outcomes = outcomes_of(manifest)
    assert outcomes["rows"].sum() == len(manifest)
    assert "dropped: repeats an earlier line" in outcomes["outcome"].to_list()


def test_the_report_holds_table_figure_and_sheets_and_is_made_anew(raw: Path, shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "selection"
    for _ in range(2):
        funnel = make_selection_report(shards, DATASET, raw / DATASET, out)
    assert pl.read_csv(out / "funnel.csv").rows() == funnel.rows()
    assert {path.suffix for path in (out / "figures").iterdir()} == {".png", ".pdf", ".svg"}
    svg = (out / "figures/funnel.svg").read_text(encoding="utf-8")
    assert all(f">{word}" in svg for word in ("matched", "happiness", "readable"))
    sheet = out / "sheets/matched.jpg"
    with Image.open(sheet) as image:
        assert image.width > COLUMNS * TILE_PX
        assert np.asarray(image.convert("L")).std() > 20
    assert [path.name for path in tmp_path.iterdir()] == ["selection"]


def test_a_folder_that_is_something_else_is_not_touched(raw: Path, shards: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="holds something else than a selection report"):
        make_selection_report(shards, DATASET, raw / DATASET, tmp_path)
    with pytest.raises(InputError, match="no preprocessed records of rafdb"):
        make_selection_report(shards, "rafdb", raw, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_boxes_are_drawn_where_they_are() -> None:
    img = np.zeros((100, 200, 3), np.uint8)
    drawn = marked(img, np.array([0.0, 0, 200, 100]), [(np.array([50.0, 25, 150, 75]), ANNOTATED)], None)
    height, width = drawn.shape[:2]
    assert width == 2 * height
    ys, xs = np.nonzero((drawn == ANNOTATED).all(axis=2))
    np.testing.assert_allclose([xs.min() / width, xs.max() / width], [0.25, 0.75], atol=0.02)
    np.testing.assert_allclose([ys.min() / height, ys.max() / height], [0.25, 0.75], atol=0.02)


def test_hostile_names_and_views_far_outside_are_drawn() -> None:
    img = np.full((8, 8), 99, np.uint8)
    far = marked(
        np.stack([img] * 3, 2), np.array([-500.0, -500, 900, 900]), [(np.array([1e5, 1e5, 2e5, 2e5]), ANNOTATED)], None
    )
    sheet = contact_sheet([Tile(img, ("é" * 500, "<script>")), Tile(far, ())], "title")
    assert sheet.startswith(b"\xff\xd8")


def test_accents_are_never_drawn_as_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    tile = [Tile(np.full((8, 8), 99, np.uint8), ())]
    monkeypatch.setattr(sheets, "FONTS", ())  # a system without fonts: Pillow's own has no accents
    assert contact_sheet(tile, "rotação média") == contact_sheet(tile, "rotacao media")
    monkeypatch.undo()
    if any(_has(name) for name in sheets.FONTS):
        assert contact_sheet(tile, "rotação média") != contact_sheet(tile, "rotacao media")


def _has(font: str) -> bool:
    try:
        ImageFont.truetype(font)
    except OSError:
        return False
    return True


def test_inspect_summarises_and_shows_every_class(shards: Path, tmp_path: Path) -> None:
    summary = summary_of(open_records(shards, DATASET, "preprocessed"))
    assert "gray" in summary["images"]
    assert summary["detector version"] == detector_version("mtcnn")
    sheet = write_sheet(shards, DATASET, "augmented", tmp_path / "new/sheet.jpg")
    with Image.open(sheet) as image:
        assert image.height > len(CLASSES) * TILE_PX
    first = sheet.read_bytes()
    assert write_sheet(shards, DATASET, "augmented", sheet).read_bytes() == first
