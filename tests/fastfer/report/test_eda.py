"""The page about the data: its numbers against the records and the truth, what it says is missing, and in a browser."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from fastfer.analysis.photographs import MEASURES, PHOTOGRAPHS_NAME, Measure
from fastfer.cli import main
from fastfer.datasets import Source
from fastfer.labels import CLASSES
from fastfer.report.charts import Figure
from fastfer.report.distributions import BINS, bin_edges, histogram_figure
from fastfer.report.eda import make_eda
from fastfer.report.eda_pictures import mean_faces
from fastfer.report.locale import ENGLISH
from pipelines.errors import InputError
from pipelines.progress import untracked
from pipelines.records import ShardReader, read_info, read_manifest, write_info, write_table

DEMO_SETS = ("demo-rafdb", "demo-expw")
MOST_BYTES = 15_000_000
BEYOND_THE_EDGE = """() => [...document.querySelectorAll('body *')]
    .filter((one) => !one.closest('.scroll') && one.getBoundingClientRect().right > innerWidth + 0.5)
    .map((one) => one.outerHTML.slice(0, 100))"""


@dataclass(frozen=True)
class Eda:
    """A page about both demo sets, and the folders it is made of."""

    shards: Path
    folder: Path

    def table(self, name: str) -> pl.DataFrame:
        return pl.read_csv(self.folder / "tables" / f"{name}.csv")


def sources_of(raw: Path, *names: str) -> list[Source]:
    return [Source(dataset=name, root=raw / name) for name in names]


@pytest.fixture(scope="module")
def eda(raw: Path, shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Eda:
    folder = tmp_path_factory.mktemp("eda")
    shutil.copytree(shards, folder / "shards")  # the page leaves a file there
    make_eda(sources_of(raw, *DEMO_SETS), folder / "shards", folder / "page")
    return Eda(folder / "shards", folder / "page")


def test_it_is_small_and_has_every_table_and_picture_as_files(eda: Eda) -> None:
    assert (eda.folder / "index.html").stat().st_size < MOST_BYTES
    for kind in ("mean-faces", "samples", "online", "offline"):
        for dataset in DEMO_SETS:
            with Image.open(eda.folder / "pictures" / f"{kind}-{dataset}.jpg") as picture:
                assert picture.width > 1000
    names = {path.stem for path in (eda.folder / "tables").glob("*.csv")}
    assert names == {f"eda-{name}" for name in
                     ("classes", "quantiles", "unreadable", "standing", "detector", "duplicates", "pairs")}  # fmt: skip
    assert names == {path.stem for path in (eda.folder / "tables").glob("*.tex")}
    assert all((eda.shards / dataset / PHOTOGRAPHS_NAME).is_file() for dataset in DEMO_SETS)
    assert 'class="missing"' not in (eda.folder / "index.html").read_text()


def test_its_counts_are_those_of_the_records(eda: Eda) -> None:
    table = eda.table("eda-classes")
    for dataset in DEMO_SETS:
        kept = read_manifest(eda.shards / dataset / "preprocessed").filter(pl.col("status") == "kept")
        for split in ("train", "val", "test"):
            row = table.row(by_predicate=(pl.col("dataset") == dataset) & (pl.col("split") == split), named=True)
            counts = [kept.filter(pl.col("split") == split, pl.col("label") == label).height for label in range(7)]
            assert [row[name] for name in CLASSES] == counts
            assert row["all"] == sum(counts)
            assert row["imbalance"] == pytest.approx(max(counts) / min(counts))
        balanced = table.filter(pl.col("dataset") == dataset, pl.col("split") == "train, balanced")
        assert balanced["imbalance"].to_list() == [1.0]


def test_outcomes_and_standings_are_shares(eda: Eda) -> None:
    outcomes = eda.table("eda-detector")
    shares = outcomes.select(pl.exclude("dataset", "class", "faces", "p5", "q25", "median", "q75", "p95"))
    np.testing.assert_allclose(shares.sum_horizontal(), 1)
    assert (outcomes["q25"] <= outcomes["median"]).all()
    standing = eda.table("eda-standing").filter(pl.col("dataset") == "demo-expw").row(0, named=True)
    assert standing["all_three"] <= standing["is_largest"] <= 1 - standing["none"]


def test_the_mean_face_is_the_mean_of_the_train_faces(eda: Eda) -> None:
    folder = eda.shards / "demo-expw" / "preprocessed"
    info, kept = read_info(folder), read_manifest(folder).filter(pl.col("status") == "kept")
    means = mean_faces(eda.shards, "demo-expw", kept, seed=0, track=untracked)
    assert list(means) == list(CLASSES)
    faces = []
    for row in kept.filter(pl.col("split") == "train", pl.col("label") == 1).iter_rows(named=True):
        with ShardReader(folder, row["shard"]) as reader:
            faces.append(reader.decode(row["position"], info))
    mean, count = means["disgust"]
    assert count == len(faces)
    np.testing.assert_array_equal(mean, np.mean(faces, axis=0).round())


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_it_opens_without_errors_requests_or_overflow(
    eda: Eda, open_page: Callable[..., Any], width: int, scheme: str
) -> None:
    opened = open_page(eda.folder / "index.html", width=width, scheme=scheme)
    assert opened.page.locator(".chart svg.marks").count() == len(list((eda.folder / "figures").glob("*.svg")))
    assert opened.page.evaluate(BEYOND_THE_EDGE) == []
    assert opened.errors == []
    assert opened.requests == [(eda.folder / "index.html").as_uri()]


def test_without_records_the_photographs_are_shown_and_the_command_is_named(raw: Path, tmp_path: Path) -> None:
    page = make_eda(sources_of(raw, "demo-expw"), tmp_path / "shards", tmp_path / "page").read_text()
    assert "<code>make shards DATASET=demo-expw</code>" in page
    assert (tmp_path / "page" / "tables" / "eda-quantiles.csv").is_file()
    assert not (tmp_path / "page" / "tables" / "eda-classes.csv").exists()


def test_without_photographs_the_records_are_shown_also_beside_a_set_that_is_not_there(
    eda: Eda, tmp_path: Path
) -> None:
    said: list[str] = []
    sources = sources_of(tmp_path, "demo-rafdb", "rafdb")
    page = make_eda(sources, eda.shards, tmp_path / "page", say=said.append).read_text()
    assert [line.split(": no folder")[0] for line in said] == [
        "no photographs of demo-rafdb",
        "no photographs of rafdb",
    ]
    assert "<code>make demo-data</code>" in page
    assert "<code>make check DATASET=rafdb DATA_ROOT=&lt;its folder&gt;</code>" in page
    assert "<code>make shards DATASET=rafdb</code>" in page
    assert pl.read_csv(tmp_path / "page" / "tables" / "eda-classes.csv")["dataset"].unique().to_list() == ["demo-rafdb"]


def test_records_without_a_train_split_have_no_mean_face(raw: Path, eda: Eda, tmp_path: Path) -> None:
    folder = tmp_path / "demo-rafdb" / "preprocessed"
    shutil.copytree(eda.shards / "demo-rafdb" / "preprocessed", folder)
    shutil.copy(eda.shards / "demo-rafdb" / "fingerprints.parquet", tmp_path / "demo-rafdb")
    info = read_info(folder)
    counts = {split: of if split != "train" else dict.fromkeys(of, 0) for split, of in info.counts.items()}
    left = [shard for shard in info.shards if shard.split != "train"]
    write_table(folder / "manifest.parquet", read_manifest(folder).filter(pl.col("split") != "train"))
    write_info(folder, replace(info, shards=left, counts=counts))
    page = make_eda(sources_of(raw, "demo-rafdb"), tmp_path, tmp_path / "page").read_text()
    assert "The preprocessed records of demo-rafdb hold no train face" in page
    assert not (tmp_path / "page" / "pictures" / "mean-faces-demo-rafdb.jpg").exists()


def test_with_nothing_at_all_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither photographs nor records of expw, rafdb: no folder "):
        make_eda(sources_of(tmp_path, "expw", "rafdb"), tmp_path, tmp_path / "page")
    assert list(tmp_path.iterdir()) == []


def test_a_hostile_file_name_is_only_text(tmp_path: Path, open_page: Callable[..., Any]) -> None:
    name = "<script>alert(1)&50%_$#{}~^.jpg"
    origin = tmp_path / "raw" / "image" / "origin"
    origin.mkdir(parents=True)
    (origin / name).write_text("no picture")
    Image.new("RGB", (40, 40), "gray").save(origin / "fine.jpg")
    (tmp_path / "raw" / "label.lst").write_text(f"{name} 0 1 1 9 9 90 0\nfine.jpg 0 1 1 30 30 90 3\n")
    (tmp_path / "raw" / "label").mkdir()
    shutil.move(tmp_path / "raw" / "label.lst", tmp_path / "raw" / "label" / "label.lst")
    page = make_eda([Source(dataset="expw", root=tmp_path / "raw")], tmp_path / "shards", tmp_path / "page")
    assert "<script>alert(1)" not in page.read_text()
    assert "&lt;script&gt;alert(1)&amp;50%" in page.read_text()
    tex = (tmp_path / "page" / "tables" / "eda-unreadable.tex").read_text()
    assert r"\textless{}script\textgreater{}alert(1)\&50\%\_\$\#\{\}\textasciitilde{}\textasciicircum{}.jpg" in tex
    opened = open_page(page)
    assert opened.errors == []


def drawn(figure: Figure) -> list[dict[str, Any]]:
    """The rows that a figure embeds."""
    (rows,) = figure.spec["datasets"].values()
    return list(rows)


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_every_value_falls_into_a_bin(measure: Measure) -> None:
    for values in ([1], [3, 3], [0, 0], [0, 1, 1e6], range(1, 500)):
        found = np.array(values, np.float64)
        edges = bin_edges(measure, found)
        assert np.isfinite(edges).all()
        assert (np.diff(edges) > 0).all()
        rows = drawn(histogram_figure(measure, {"one": found, "none": found[:0]}, ENGLISH))
        assert sum(row["share"] for row in rows) == pytest.approx(1, abs=1e-3)
        assert {row["dataset"] for row in rows} == {"one"}


def test_ninety_thousand_faces_take_as_many_bytes_as_ninety() -> None:
    values = np.random.default_rng(0).lognormal(size=91_793)
    (measure,) = (one for one in MEASURES if one.name == "sharpness")
    assert len(drawn(histogram_figure(measure, {"expw": values}, ENGLISH))) <= BINS


def test_the_verb_makes_the_page(raw: Path, eda: Eda, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--data-root", str(raw / "demo-rafdb"), "--out", str(eda.shards), "--reports", str(tmp_path)]
    main(["eda", "--dataset", "demo-rafdb", *where])
    assert f"report: {tmp_path / 'eda-demo-rafdb' / 'index.html'}" in capsys.readouterr().out
