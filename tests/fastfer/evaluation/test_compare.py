import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from fastfer.cli.compare import VERBS
from fastfer.config import TrainConfig, run_name, settings_of
from fastfer.evaluation.compare import (
    EXACT_BELOW,
    UNTESTED,
    Result,
    cohens_g,
    compare,
    compare_predictions,
    holm,
    mcnemar,
    odds_ratio,
    resampled_scores,
    seeds_table,
)
from fastfer.evaluation.evaluate import FinishedRun, finished_runs
from fastfer.evaluation.metrics import METRICS, score
from fastfer.evaluation.paired import DIFFERENCES
from fastfer.training.run import write_json
from pipelines.errors import InputError

CLASSES = ("happy", "sad", "fear")
COUNTS = st.integers(0, 60)


def softened(predicted: np.ndarray) -> np.ndarray:
    """Probabilities whose most probable class is the predicted one."""
    return 0.7 * np.eye(len(CLASSES))[predicted] + 0.1


@dataclass(frozen=True)
class Made:
    """Writes run folders as training and evaluation would."""

    runs: Path

    def run(self, *, dataset: str = "rafdb", arch: str = "vit", seed: int = 0, **options: Any) -> FinishedRun:
        config = TrainConfig(dataset=dataset, arch=arch, seed=seed, **options)
        given = settings_of(config, records_sha256="0" * 64, image_size=48)
        folder = self.runs / run_name(given)
        folder.mkdir(parents=True)
        write_json(folder / "config.json", given)
        write_json(folder / "training.json", {"seconds": 1.0, "best_epoch": 3, "epochs": 4, "parameters": 5})
        return FinishedRun.open(folder)

    def test(
        self,
        run: FinishedRun,
        labels: Any,
        predicted: Any,
        *,
        on: str | None = None,
        keys: list[str] | None = None,
        variant: str = "preprocessed",
    ) -> FinishedRun:
        """Leave the predictions and scores of a test; rows are named `face-0`, `face-1`, ... unless `keys` says."""
        labels, predicted = np.asarray(labels), np.asarray(predicted)
        dataset = on or run.settings["dataset"]
        folder = run.results(dataset)
        folder.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(
            {
                "row": np.arange(len(labels)),
                "label": labels,
                "predicted": predicted,
                "probabilities": pl.Series(softened(predicted), dtype=pl.Array(pl.Float64, len(CLASSES))),
                "key": keys or [f"face-{number}" for number in range(len(labels))],
                "how": ["detected"] * len(labels),
            }
        ).write_parquet(folder / "predictions.parquet")
        metrics = score(labels, softened(predicted), classes=CLASSES, resamples=10)
        test_set = {"dataset": dataset, "variant": variant, "split": "test", "left_out": 0}
        write_json(folder / "metrics.json", metrics | {"test_set": test_set, "training": run.summary})
        return run


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path / "runs")


def mistaken(labels: np.ndarray, rows: Any) -> np.ndarray:
    """The labels, wrong in these rows."""
    predicted = labels.copy()
    predicted[rows] = (predicted[rows] + 1) % len(CLASSES)
    return predicted


def drawn(seed: int, rows: int = 60, accuracy: float = 0.7) -> np.ndarray:
    """Predictions of `np.arange(rows) % 3` that are right about as often as told."""
    rng = np.random.default_rng(seed)
    return mistaken(np.arange(rows) % 3, rng.random(rows) > accuracy)


# The test


@pytest.mark.parametrize(
    ("b", "c", "p"),
    [
        (0, 0, 1.0),
        (3, 3, 1.0),
        (0, 5, 2 / 2**5),
        (1, 5, 2 * (1 + 6) / 2**6),
        (8, 2, 2 * (1 + 10 + 45) / 2**10),
        (0, 24, 2 / 2**24),
    ],
)
def test_few_discordant_rows_take_the_exact_test(b: int, c: int, p: float) -> None:
    found = mcnemar(b, c)
    assert (found.test, found.statistic) == ("exact", None)
    assert found.p == pytest.approx(p, rel=1e-12)
    assert b + c == 0 or found.p == pytest.approx(binomtest(min(b, c), b + c).pvalue, rel=1e-12)


@pytest.mark.parametrize(
    ("b", "c", "statistic", "p"),
    [
        (150, 86, 63**2 / 236, 4.115e-5),  # Agresti's approval ratings, Categorical Data Analysis, ch. 10
        (121, 59, 61**2 / 180, 5.450e-6),  # the counts of Wikipedia's example
        (60, 36, 23**2 / 96, 0.01890),
        (10, 15, 4**2 / 25, 0.4237),
        (50, 50, 0.0, 1.0),
    ],
)
def test_many_discordant_rows_take_chi_squared_with_edwards_correction(
    b: int, c: int, statistic: float, p: float
) -> None:
    found = mcnemar(b, c)
    assert found.test == "chi2"
    assert found.statistic == pytest.approx(statistic, rel=1e-12)
    assert found.p == pytest.approx(p, rel=1e-3)
    assert found.p == pytest.approx(math.erfc(math.sqrt(statistic / 2)), rel=1e-9)  # chi-squared is a squared normal


def test_the_two_tests_agree_where_one_takes_over_from_the_other() -> None:
    for b in range(EXACT_BELOW + 1):
        exact = binomtest(b, EXACT_BELOW).pvalue
        found = mcnemar(b, EXACT_BELOW - b)
        assert found.test == "chi2"
        assert found.p == pytest.approx(exact, abs=0.01)
    assert mcnemar(12, EXACT_BELOW - 13).test == "exact"


def test_effect_sizes_worked_by_hand() -> None:
    assert cohens_g(15, 5) == cohens_g(5, 15) == 0.25
    assert cohens_g(7, 7) == 0.0
    assert cohens_g(0, 4) == 0.5
    assert cohens_g(0, 0) is None
    assert odds_ratio(15, 5) == 3.0
    assert odds_ratio(0, 5) == 0.0
    assert odds_ratio(5, 0) is None


# Holm's correction


def test_holm_worked_by_hand() -> None:
    # In order 0.005 * 4, 0.01 * 3, 0.03 * 2, then 0.04 * 1, which may not fall below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjusted_p_is_no_smaller_at_most_1_ranked_alike_and_at_most_bonferroni(p: list[float]) -> None:
    adjusted = holm(p)
    for one, other in zip(p, adjusted, strict=True):
        assert one <= other <= min(1.0, len(p) * one)
    ranked = [adjusted[place] for place in sorted(range(len(p)), key=p.__getitem__)]
    assert ranked == sorted(ranked)
    assert holm(p[::-1]) == adjusted[::-1]


# Pairs of predictions


@st.composite
def two_runs(draw: st.DrawFn) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rows = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    label_N, a_N, b_N = rng.integers(0, draw(st.integers(1, 4)), size=(3, rows))
    return label_N, {"a": a_N, "b": b_N}


@given(two_runs())
@settings(max_examples=60, deadline=None)
def test_swapping_the_runs_turns_the_difference_round_and_keeps_p(
    case: tuple[np.ndarray, dict[str, np.ndarray]],
) -> None:
    label_N, predicted = case
    there, back = (
        compare_predictions(label_N, {run: predicted[run] for run in order}, resamples=50).row(0, named=True)
        for order in ("ab", "ba")
    )
    assert there["p"] == pytest.approx(back["p"], rel=1e-12)
    assert (there["only_a_right"], there["only_b_right"]) == (back["only_b_right"], back["only_a_right"])
    assert there["cohens_g"] == back["cohens_g"]
    for name in (f"{metric}_difference" for metric in DIFFERENCES):
        assert there[name] == -back[name]
        assert there[f"{name}_low"] == pytest.approx(-back[f"{name}_high"], abs=1e-12)
        assert there[f"{name}_high"] == pytest.approx(-back[f"{name}_low"], abs=1e-12)
        assert there[f"{name}_low"] <= there[f"{name}_high"]


@given(two_runs())
@settings(max_examples=30, deadline=None)
def test_identical_runs_do_not_differ(case: tuple[np.ndarray, dict[str, np.ndarray]]) -> None:
    label_N, predicted = case
    line = compare_predictions(label_N, {"a": predicted["a"], "b": predicted["a"]}, resamples=20).row(0, named=True)
    assert line["p"] == line["p_holm"] == 1.0
    assert line["only_a_right"] == line["only_b_right"] == 0
    assert line["cohens_g"] is line["odds_ratio"] is None
    for name in (f"{metric}_difference" for metric in DIFFERENCES):
        assert line[name] == line[f"{name}_low"] == line[f"{name}_high"] == 0.0


@given(two_runs())
@settings(max_examples=30, deadline=None)
def test_the_counts_give_the_difference_and_the_values_are_those_of_metrics_json(
    case: tuple[np.ndarray, dict[str, np.ndarray]],
) -> None:
    label_N, predicted = case
    line = compare_predictions(label_N, predicted, resamples=0).row(0, named=True)
    difference = (line["only_a_right"] - line["only_b_right"]) / line["n"]
    assert line["accuracy_difference"] == pytest.approx(difference, abs=1e-12)
    for run, predicted_N in predicted.items():
        expected = score(label_N, np.eye(4)[predicted_N], classes=("0", "1", "2", "3"), resamples=0)
        for metric in DIFFERENCES:
            assert line[f"{metric}_{run}"] == pytest.approx(expected[metric]["value"], abs=1e-12)
            assert line[f"{metric}_difference_low"] is None


def test_the_interval_of_the_difference_has_the_width_theory_gives() -> None:
    rng = np.random.default_rng(1)
    label_N = np.zeros(2000, np.int64)
    a_N, b_N = ((rng.random(2000) > accuracy).astype(np.int64) for accuracy in (0.8, 0.75))
    line = compare_predictions(label_N, {"a": a_N, "b": b_N}, resamples=2000).row(0, named=True)
    b, c = line["only_a_right"], line["only_b_right"]
    half_width = 1.96 * math.sqrt(b + c - (b - c) ** 2 / 2000) / 2000  # of a difference of paired proportions
    assert line["accuracy_difference_low"] == pytest.approx(line["accuracy_difference"] - half_width, abs=0.003)
    assert line["accuracy_difference_high"] == pytest.approx(line["accuracy_difference"] + half_width, abs=0.003)


def test_both_runs_are_scored_on_the_same_resampled_rows() -> None:
    label_N = np.arange(60) % 3
    better, worse = drawn(1), drawn(1)
    worse[np.flatnonzero(worse == label_N)[:3]] += 1  # a subset of the right rows, three fewer: never ahead
    worse %= 3
    line = compare_predictions(label_N, {"a": better, "b": worse}).row(0, named=True)
    assert line["accuracy_difference"] == pytest.approx(0.05)
    assert 0.0 <= line["accuracy_difference_low"] <= line["accuracy_difference_high"] < 0.13  # unpaired: -0.1 to 0.2


def test_resampling_repeats_by_seed() -> None:
    label_N = np.arange(60) % 3
    once, again, other = (resampled_scores(label_N, drawn(1), resamples=20, seed=seed) for seed in (3, 3, 4))
    for metric in DIFFERENCES:
        np.testing.assert_array_equal(once[metric], again[metric])
        assert once[metric][0] == other[metric][0]
        assert not np.array_equal(once[metric], other[metric])


def test_only_rows_that_both_were_tested_on_count_in_each_pair() -> None:
    label_N = np.array([0, 1, 2, 0, 1, 2])
    predicted = {
        "all": label_N.copy(),
        "first": np.array([1, 1, 2, 0, UNTESTED, UNTESTED]),
        "last": np.array([UNTESTED, UNTESTED, 0, 0, 1, 2]),
    }
    table = compare_predictions(label_N, predicted, resamples=20)
    found = table.select("run_a", "run_b", "n", "only_a_right", "only_b_right", "accuracy_a", "accuracy_b").rows()
    assert found == [
        ("all", "first", 4, 1, 0, 1.0, 0.75),
        ("all", "last", 4, 1, 0, 1.0, 0.75),
        ("first", "last", 2, 1, 0, 1.0, 0.5),
    ]


def test_runs_without_a_common_row_are_refused() -> None:
    with pytest.raises(InputError, match="a and b were tested on no common row"):
        compare_predictions(np.array([0, 1]), {"a": np.array([0, UNTESTED]), "b": np.array([UNTESTED, 1])})


def test_sixty_runs_are_each_scored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scored = []

    def counted(label_N: np.ndarray, predicted_N: np.ndarray, **options: Any) -> dict[str, np.ndarray]:
        scored.append(predicted_N)
        return resampled_scores(label_N, predicted_N, **options)

    monkeypatch.setattr("fastfer.evaluation.compare.resampled_scores", counted)
    predicted = {f"run-{seed}": drawn(seed) for seed in range(60)}
    assert len(compare_predictions(np.arange(60) % 3, predicted, resamples=5)) == 60 * 59 / 2
    assert len(scored) == 60


def test_expw_size_takes_seconds() -> None:
    predicted = {f"run-{seed}": drawn(seed, rows=18_000) for seed in range(4)}
    start = time.perf_counter()
    compare_predictions(np.arange(18_000) % 3, predicted)
    assert time.perf_counter() - start < 20


# Run folders


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
