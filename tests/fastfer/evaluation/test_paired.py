"""The statistics of paired comparisons: by hand, by theory, and by what must hold for any predictions."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from fastfer.evaluation.compare import (
    EXACT_BELOW,
    UNTESTED,
    cohens_g,
    compare_predictions,
    holm,
    mcnemar,
    odds_ratio,
    resampled_scores,
)
from fastfer.evaluation.metrics import score
from fastfer.evaluation.paired import DIFFERENCES
from pipelines.errors import InputError
from tests.fastfer.evaluation.made import drawn

COUNTS = st.integers(0, 60)


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
@settings(max_examples=60)
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
@settings(max_examples=30)
def test_identical_runs_do_not_differ(case: tuple[np.ndarray, dict[str, np.ndarray]]) -> None:
    label_N, predicted = case
    line = compare_predictions(label_N, {"a": predicted["a"], "b": predicted["a"]}, resamples=20).row(0, named=True)
    assert line["p"] == line["p_holm"] == 1.0
    assert line["only_a_right"] == line["only_b_right"] == 0
    assert line["cohens_g"] is line["odds_ratio"] is None
    for name in (f"{metric}_difference" for metric in DIFFERENCES):
        assert line[name] == line[f"{name}_low"] == line[f"{name}_high"] == 0.0


@given(two_runs())
@settings(max_examples=30)
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
