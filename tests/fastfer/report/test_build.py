"""The report's files: figures, tables, and the folder as a whole."""

import json
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from fastfer.evaluation.metrics import METRICS
from fastfer.report import make_report
from pipelines.errors import InputError


def rows_of(chart: dict[str, Any]) -> list[dict[str, Any]]:
    """The data embedded in a chart, of its largest set."""
    return max(chart["spec"]["datasets"].values(), key=len)


def test_every_chart_is_there_as_png_pdf_and_svg_and_not_blank(study: Any) -> None:
    names = set(study.charts())
    files = {path.name for path in (study.report / "figures").iterdir()}
    assert files == {f"{name}.{kind}" for name in names for kind in ("png", "pdf", "svg")}
    for name in names:
        pixels = np.asarray(Image.open(study.report / "figures" / f"{name}.png").convert("L"), dtype=int)
        assert min(pixels.shape) > 200
        assert pixels.max() == 255  # on white
        assert (pixels < 200).mean() > 0.005, name
        pdf = (study.report / "figures" / f"{name}.pdf").read_bytes()
        assert pdf.startswith(b"%PDF-")
        assert b"/FontFile" in pdf, "no text is drawn"
        drawn = b"".join(map(_inflated, re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL)))
        assert len(re.findall(rb"\s(?:f|f\*|S|B)\s", drawn)) > 10, "no shapes are drawn"


def _inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return b""  # not a compressed stream


def test_charts_hold_the_numbers_of_metrics_json(study: Any) -> None:
    titles = {f"{metric.title} {metric.arrow}": metric.name for metric in METRICS}
    found: dict[str, set[tuple[float, float, float]]] = {}
    for row in rows_of(study.charts()["metrics-demo-rafdb"]):
        found.setdefault(titles[row["what"]], set()).add((row["value"], row["low"], row["high"]))
    assert set(found) == {metric.name for metric in METRICS} - {"log_loss"}
    for name, numbers in found.items():
        expected = {tuple(metrics[name].values()) for metrics in study.metrics("demo-rafdb")}
        assert numbers == expected, name
    by_class = {(row["value"], row["low"], row["high"]) for row in rows_of(study.charts()["classes-demo-expw"])}
    assert by_class == {
        tuple(of_class["f1"].values())
        for metrics in study.metrics("demo-expw")
        for of_class in metrics["per_class"].values()
    }
    across = {row["value"] for row in rows_of(study.charts()["cross-demo-expw"])}
    assert across == {metrics["balanced_accuracy"]["value"] for metrics in study.metrics("demo-expw", crossed=True)}


def test_curves_hold_the_numbers_of_epochs_csv(study: Any) -> None:
    (run,) = study.runs.glob("demo-rafdb-*-vit-*")
    epochs = pl.read_csv(run / "epochs.csv")
    for kind, columns in (
        ("loss", {"training": "train_loss", "validation": "val_loss"}),
        (
            "accuracy",
            {
                "training accuracy": "train_accuracy",
                "validation accuracy": "val_accuracy",
                "validation macro F1": "val_macro_f1",
            },
        ),
    ):
        rows = rows_of(study.charts()[f"{run.name}-{kind}"])
        for series, column in columns.items():
            drawn = [(row["epoch"], row["value"]) for row in rows if row["series"] == series]
            assert drawn == list(epochs.select("epoch", column).iter_rows())


def test_confusion_charts_hold_the_counts_and_rows_sum_to_1(study: Any) -> None:
    names = [name for name in study.charts() if name.endswith("-confusion-normalised")]
    assert len(names) == 6  # four runs, two of them on two test sets
    for name in names:
        rows = pl.DataFrame(rows_of(study.charts()[name]))
        assert rows.group_by("true").agg(pl.col("share").sum())["share"].to_list() == pytest.approx([1.0] * 7)
        run, _, dataset = name.removesuffix("-confusion-normalised").partition("-on-")
        folder = study.runs / run / "cross" / dataset if dataset else study.runs / run
        counts = pl.read_csv(folder / "confusion.csv")
        for cell in rows.iter_rows(named=True):
            assert (
                counts.row(by_predicate=pl.col("label") == cell["true"], named=True)[cell["predicted"]] == cell["faces"]
            )
        assert rows_of(study.charts()[name.removesuffix("-normalised")]) == rows_of(study.charts()[name])


def test_tables_hold_the_numbers_of_the_run_folders(study: Any) -> None:
    tables = {path.stem: pl.read_csv(path) for path in (study.report / "tables").glob("*.csv")}
    assert set(tables) == {
        "runs",
        *(f"{name}-{dataset}" for name in ("metrics", "classes") for dataset in ("demo-rafdb", "demo-expw")),
        "cross",
        "time-and-memory",
        "confusion",
    }
    assert (tables["runs"].height, tables["cross"].height) == (4, 2)
    for row in tables["runs"].iter_rows(named=True):
        metrics = json.loads((study.runs / row["folder"] / "metrics.json").read_text())
        for name in ("balanced_accuracy", "accuracy", "macro_f1"):
            assert [row[name], row[f"{name}_low"], row[f"{name}_high"]] == list(metrics[name].values())
    everything = tables["metrics-demo-rafdb"]
    assert {metric.name for metric in METRICS} < set(everything.columns)
    assert set(everything["log_loss"]) == {metrics["log_loss"]["value"] for metrics in study.metrics("demo-rafdb")}
    cost = tables["time-and-memory"]
    assert cost["peak_gpu_mib"].drop_nulls().to_list() == [5300.0]
    assert cost["seconds"].null_count() == 1  # the unfinished run
    assert cost["gflops"].drop_nulls().to_list() == [0.769087424]  # older runs have none
    for name, value in (("energy_j", 1234.5), ("gpu_utilisation", 0.75), ("gpu_memory_mib", 5800.0)):
        assert cost[name].drop_nulls().to_list() == [value]  # older runs have none
    assert tables["confusion"]["faces"].sum() == 6 * 140


def test_a_new_report_replaces_the_old_one_whole(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    write_run(tmp_path / "runs", arch="resnet", finished=False)
    page = make_report(tmp_path / "runs", tmp_path / "reports" / "r", title="first")
    (page.parent / "figures" / "stale.png").touch()
    write_run(tmp_path / "runs", arch="vit", finished=False)
    assert make_report(tmp_path / "runs", tmp_path / "reports" / "r", title="second") == page
    assert "<h1>second</h1>" in page.read_text()
    assert not (page.parent / "figures" / "stale.png").exists()
    assert [path.name for path in page.parent.parent.iterdir()] == ["r"]


def test_a_failure_leaves_the_old_report_and_nothing_else(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    @contextmanager
    def failing(title: str, *, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        assert (title, total, unit) == ("Drawing figures", 2, "figures")

        def fail(count: int) -> None:
            raise RuntimeError(f"the disk is full at figure {count}")

        yield fail

    write_run(tmp_path / "runs", finished=False)
    page = make_report(tmp_path / "runs", tmp_path / "report", title="first")
    with pytest.raises(RuntimeError, match="disk is full"):
        make_report(tmp_path / "runs", tmp_path / "report", title="second", track=failing)
    assert "<h1>first</h1>" in page.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report", "runs"]


def test_a_folder_with_anything_else_in_it_is_refused(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    write_run(tmp_path / "runs", finished=False)
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"home holds something else than a report"):
        make_report(tmp_path / "runs", home)
    (home / "index.html").write_text("<h1>my page</h1>")
    with pytest.raises(InputError, match=r"home holds something else than a report"):
        make_report(tmp_path / "runs", home)
    assert (home / "thesis.txt").read_text() == "years of work"


def test_an_empty_folder_is_filled(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    write_run(tmp_path / "runs", finished=False)
    (tmp_path / "report").mkdir()
    assert make_report(tmp_path / "runs", tmp_path / "report").is_file()
