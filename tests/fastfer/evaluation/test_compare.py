"""Comparisons of finished runs: what is paired, what is refused, the tables, and the command line."""

import argparse
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest

from fastfer.cli.compare import VERBS
from fastfer.evaluation.compare import (
    Result,
    compare,
    holm,
    seeds_table,
)
from fastfer.evaluation.evaluate import finished_runs
from fastfer.evaluation.metrics import METRICS
from pipelines.errors import InputError
from tests.fastfer.evaluation.made import Made, drawn, mistaken


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path / "runs")


def test_pairs_of_one_test_set_are_compared_and_holm_counts_only_them(made: Made, tmp_path: Path) -> None:
    label_N = np.arange(60) % 3
    vit = made.test(made.run(arch="vit"), label_N, mistaken(label_N, slice(0, 6)))
    resnet = made.test(made.run(arch="resnet"), label_N, mistaken(label_N, slice(4, 24)))
    best = made.test(made.run(arch="efficientnet"), label_N, label_N)
    elsewhere = [made.test(made.run(dataset="expw", arch=arch), label_N, label_N) for arch in ("vit", "resnet")]
    made.test(vit, label_N, drawn(3), on="expw")
    made.test(made.run(dataset="expw", arch="vit", variant="raw"), label_N, label_N, variant="raw")  # alone on raw
    pairs, _ = compare(finished_runs(made.runs), out=tmp_path / "results")

    assert pairs["tested_on"].to_list() == ["expw"] * 3 + ["rafdb"] * 3
    assert set(pairs["tested_variant"]) == {"preprocessed"}
    at_home = pairs.filter(tested_on="rafdb")
    assert at_home["p"].is_sorted()
    found = {frozenset((line["run_a"], line["run_b"])): line for line in at_home.iter_rows(named=True)}
    names = {run.folder.name for run in (vit, resnet, best, *elsewhere)}
    assert {frozenset((vit.folder.name, resnet.folder.name))} < set(found)
    assert {name for pair in found for name in pair} < names

    line = found[frozenset((vit.folder.name, resnet.folder.name))]
    assert (line["run_a"], line["n"], line["split"]) == (resnet.folder.name, 60, "test")
    assert (line["only_a_right"], line["only_b_right"]) == (4, 18)  # rows 0-3, and rows 6-23
    assert line["p"] == pytest.approx(binomtest(4, 22).pvalue, rel=1e-12)
    assert line["accuracy_difference"] == pytest.approx(-14 / 60, abs=1e-12)
    assert line["cohens_g"] == pytest.approx(18 / 22 - 0.5)
    assert line["odds_ratio"] == pytest.approx(4 / 18)
    assert at_home["p_holm"].to_list() == pytest.approx(holm(at_home["p"].to_list()))
    assert at_home["p_holm"][0] == pytest.approx(3 * at_home["p"][0])


def test_rows_are_joined_by_key_whatever_their_order(made: Made, tmp_path: Path) -> None:
    made.test(made.run(arch="vit"), [0, 1, 2, 0], [0, 1, 2, 1], keys=["a", "b", "c", "d"])
    made.test(made.run(arch="resnet"), [0, 2, 1], [0, 2, 0], keys=["d", "c", "b"], variant="preprocessed")
    pairs, _ = compare(finished_runs(made.runs), out=tmp_path)
    line = pairs.row(0, named=True)
    assert line["run_a"].startswith("rafdb-preprocessed-resnet")
    assert (line["n"], line["only_a_right"], line["only_b_right"]) == (3, 1, 1)  # d: only resnet, b: only vit
    assert line["accuracy_a"] == line["accuracy_b"] == pytest.approx(2 / 3)


def test_disagreeing_labels_are_refused_and_nothing_is_written(made: Made, tmp_path: Path) -> None:
    one = made.test(made.run(arch="vit"), [0, 1, 2], [0, 1, 2])
    other = made.test(made.run(arch="resnet"), [0, 2, 2], [0, 1, 2])
    with pytest.raises(InputError, match="tested on face-1 with different labels") as refusal:
        compare(finished_runs(made.runs), out=tmp_path / "results")
    assert one.folder.name in str(refusal.value)
    assert other.folder.name in str(refusal.value)
    assert not (tmp_path / "results").exists()


def test_what_cannot_be_compared_is_said(made: Made, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs two trained runs, not 0"):
        compare(finished_runs(made.runs), out=tmp_path)
    vit = made.test(made.run(), [0, 1, 2], [0, 1, 2])
    with pytest.raises(InputError, match="needs two trained runs, not 1"):
        compare(finished_runs(made.runs), out=tmp_path)
    made.test(made.run(dataset="expw"), [0, 1, 2], [0, 1, 2])
    with pytest.raises(InputError, match="no two of these 2 runs were tested on the same dataset"):
        compare(finished_runs(made.runs), out=tmp_path)
    made.test(vit, [0, 1, 2], [0, 1, 2], on="expw")
    with pytest.raises(InputError, match="were tested on rafdb"):
        compare(finished_runs(made.runs), out=tmp_path, tested_on="rafdb")
    (vit.results("expw") / "predictions.parquet").unlink()
    with pytest.raises(InputError, match=rf"no predictions.parquet in .*: make evaluate RUN={vit.folder} DATASET=expw"):
        compare(finished_runs(made.runs), out=tmp_path)


def test_a_run_trained_but_not_tested_is_passed_over(made: Made, tmp_path: Path) -> None:
    for arch in ("vit", "resnet"):
        made.test(made.run(arch=arch), [0, 1, 2], [0, 1, 1])
    made.run(arch="efficientnet")
    pairs, seeds = compare(finished_runs(made.runs), out=tmp_path)
    assert len(pairs) == 1
    assert set(seeds["arch"]) == {"vit", "resnet"}


def test_settings_are_summed_up_over_their_seeds(made: Made, tmp_path: Path) -> None:
    label_N = np.arange(20) % 3
    for seed, mistakes in enumerate((2, 4, 9)):
        made.test(made.run(seed=seed), label_N, mistaken(label_N, slice(0, mistakes)))
    made.test(made.run(seed=0, epochs=7), label_N, label_N)  # other settings: a group of its own
    _, seeds = compare(finished_runs(made.runs), out=tmp_path)

    assert len(seeds) == 2 * len(METRICS)
    accuracy = seeds.filter(metric="accuracy").sort("seeds")
    alone, three = accuracy.rows(named=True)
    assert alone["settings"] != three["settings"]
    assert (alone["seeds"], alone["mean"], alone["std"]) == (1, 1.0, None)
    assert (three["seeds"], three["undefined"]) == (3, 0)
    assert three["mean"] == pytest.approx(0.75)  # of 0.9, 0.8 and 0.55
    assert three["std"] == pytest.approx(math.sqrt((0.15**2 + 0.05**2 + 0.2**2) / 2))
    assert (three["min"], three["max"]) == pytest.approx((0.55, 0.9))
    assert three["trained_on"] == three["tested_on"] == "rafdb"
    assert (three["variant"], three["tested_variant"], three["arch"], three["aug"]) == (
        "preprocessed",
        "preprocessed",
        "vit",
        "none",
    )


def test_undefined_scores_are_counted_and_left_out(made: Made) -> None:
    one_class, two_classes = [1, 1, 1, 1], [0, 0, 1, 1]
    made.test(made.run(seed=0), two_classes, [0, 0, 1, 0])
    for seed in (1, 2):
        made.test(made.run(seed=seed), one_class, one_class)
    results = [result for run in finished_runs(made.runs) for result in Result.all_of(run)]
    lines = {line["metric"]: line for line in seeds_table(results).iter_rows(named=True)}
    kappa = lines["cohen_kappa"]
    assert (kappa["seeds"], kappa["undefined"], kappa["mean"], kappa["std"]) == (3, 2, pytest.approx(0.5), None)
    assert lines["accuracy"]["undefined"] == 0
    undefined = {line["metric"]: line for line in seeds_table(results[1:]).iter_rows(named=True)}["cohen_kappa"]
    assert undefined["undefined"] == 2
    assert undefined["mean"] is undefined["std"] is undefined["min"] is undefined["max"] is None


def test_the_tables_are_written(made: Made, tmp_path: Path) -> None:
    for seed in (0, 1):
        made.test(made.run(seed=seed), np.arange(60) % 3, drawn(seed))
    pairs, seeds = compare(finished_runs(made.runs), out=tmp_path / "new" / "results")
    written = sorted(path.name for path in (tmp_path / "new" / "results").iterdir())
    assert written == ["compare.csv", "seeds.csv"]
    read = pl.read_csv(tmp_path / "new" / "results" / "compare.csv")
    assert read.columns == pairs.columns
    assert read.select("run_a", "run_b", "n", "p").rows() == pairs.select("run_a", "run_b", "n", "p").rows()
    columns = ["metric", "seeds", "mean", "std"]
    assert (
        pl.read_csv(tmp_path / "new" / "results" / "seeds.csv").select(columns).rows() == seeds.select(columns).rows()
    )


# The command line


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    parser = argparse.ArgumentParser()
    for option in VERBS[0].options:
        option.add_to(parser)
    VERBS[0].run(parser.parse_args(arguments))
    return capsys.readouterr().out


def test_the_command_line_shows_pairs_and_seeds(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    label_N = np.arange(60) % 3
    for seed in (0, 1):
        run = made.test(made.run(seed=seed), label_N, mistaken(label_N, slice(0, 6 + 6 * seed)))
        made.test(run, label_N, drawn(seed), on="expw")
    folders = ("--runs", str(made.runs), "--results", str(tmp_path / "results"))
    out = told(capsys, *folders, "--tested-on", "rafdb")
    line = next(line for line in out.splitlines() if "rafdb-preprocessed-vit-none-s0" in line and "-s1" in line)
    for cell in ("rafdb/preprocessed", "60", "6", "0", "0.031", "+0.1000 (+0.0"):
        assert cell in line
    assert "expw" not in out
    assert "Over seeds" in out
    line = next(line for line in out.splitlines() if "Balanced accuracy" in line)
    assert "0.8500" in line  # the mean of 0.9 and 0.8
    assert f"written to {tmp_path / 'results' / 'compare.csv'} and {tmp_path / 'results' / 'seeds.csv'}" in out
    assert "expw/preprocessed" in told(capsys, *folders)


def test_the_command_line_shows_no_seeds_where_there_is_one_each_and_selects_by_name(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    for arch in ("vit", "resnet", "efficientvit"):
        made.test(made.run(arch=arch), np.arange(60) % 3, drawn(len(arch)))
    folders = ("--runs", str(made.runs), "--results", str(tmp_path / "results"))
    out = told(capsys, *folders, "--select", "*vit-*")
    assert "Over seeds" not in out
    assert "resnet" not in out
    assert out.count("efficientvit") == 1
    with pytest.raises(InputError, match="not 1"):
        told(capsys, *folders, "--select", "*resnet*")
