"""The report's part about the data: the funnel and the exploratory figures of the sets that its runs saw."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fastfer.analysis.photographs import PHOTOGRAPHS_NAME, measure
from fastfer.datasets import Source
from fastfer.report import DataFolders, make_report
from pipelines.records import read_manifest

DEMO_SETS = ("demo-rafdb", "demo-expw")


@pytest.fixture(scope="module")
def folders(raw: Path, shards: Path, tmp_path_factory: pytest.TempPathFactory) -> DataFolders:
    """Both demo sets with records; the photographs of the first are measured."""
    own = tmp_path_factory.mktemp("data") / "shards"
    shutil.copytree(shards, own)
    measure(Source(dataset="demo-rafdb", root=raw / "demo-rafdb"), own)
    return DataFolders(data_root=raw, shards=own)


@pytest.fixture(scope="module")
def page(folders: DataFolders, write_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report")
    write_run(root / "runs", dataset="demo-rafdb", cross=["demo-expw"])
    write_run(root / "runs", dataset="<script>alert(1)</script>")
    return make_report(root / "runs", root / "page", data=folders)


def test_it_holds_the_data_of_every_known_set_that_a_run_saw(page: Path, folders: DataFolders) -> None:
    classes = pl.read_csv(page.parent / "tables" / "eda-classes.csv")
    for dataset in DEMO_SETS:
        kept = read_manifest(folders.shards / dataset / "preprocessed").filter(pl.col("status") == "kept")
        shown = classes.filter(pl.col("dataset") == dataset, pl.col("split").is_in(["train", "val", "test"]))
        assert shown["all"].sum() == len(kept)
        funnel = pl.read_csv(page.parent / "tables" / f"funnel-{dataset}.csv")
        assert funnel.row(by_predicate=pl.col("class") == "all", named=True)["kept"] == len(kept)
        assert (page.parent / "figures" / f"funnel-{dataset}.svg").stat().st_size > 1000
    assert (page.parent / "pictures" / "mean-faces-demo-expw.jpg").is_file()


def test_photographs_are_measured_by_make_eda_alone(page: Path, folders: DataFolders) -> None:
    assert not (folders.shards / "demo-expw" / PHOTOGRAPHS_NAME).exists()
    quantiles = pl.read_csv(page.parent / "tables" / "eda-quantiles.csv")
    assert quantiles["dataset"].unique().to_list() == ["demo-rafdb"]
    assert "The photographs of demo-expw are not measured yet: <code>make eda DATASET=demo-expw</code>" in (
        page.read_text()
    )


@pytest.mark.parametrize("width", [1200, 390])
def test_it_opens_as_a_part_of_the_page(page: Path, open_page: Callable[..., Any], width: int) -> None:
    opened = open_page(page, width=width)
    assert opened.errors == []
    assert opened.requests == [page.as_uri()]
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width
    titles = opened.page.locator("main > section > h2").all_inner_texts()
    assert titles[:3] == [
        "Summary",
        "How the faces of demo-expw were chosen",
        "How the faces of demo-rafdb were chosen",
    ]
    assert {"Classes", "Near-duplicates", "What augmentation does", "Runs"} <= set(titles)
    linked = opened.page.locator("nav a").all()
    assert all(opened.page.locator(str(link.get_attribute("href"))).count() == 1 for link in linked)


def test_without_records_and_photographs_it_says_what_to_run(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    write_run(tmp_path / "runs", dataset="rafdb+expw")
    nowhere = DataFolders(data_root=tmp_path / "raw", shards=tmp_path / "shards")
    text = make_report(tmp_path / "runs", tmp_path / "page", data=nowhere).read_text()
    for dataset in ("rafdb", "expw"):
        assert f"The photographs of {dataset} are not measured yet: <code>make eda DATASET={dataset}</code>" in text
    assert not (tmp_path / "shards").exists()


def test_without_folders_nothing_is_said_of_the_data(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    write_run(tmp_path / "runs")
    assert "How the faces of" not in make_report(tmp_path / "runs", tmp_path / "page").read_text()
