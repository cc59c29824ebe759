import json
import math
import resource
import time
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from fastfer.evaluation.metrics import CLASS_METRICS, METRICS, confusion, score

CLASSES = ("a", "b", "c", "d")


@st.composite
def predictions(draw: st.DrawFn, every_class: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A few rows of few classes, with ties in the probabilities, wrong certainties and (maybe) absent classes."""
    num_classes = draw(st.integers(2, 4))
    rows = draw(st.integers(num_classes if every_class else 1, 25))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    weights = rng.integers(0, draw(st.sampled_from([2, 5, 1000])), size=(rows, num_classes)).astype(float)
    weights[weights.sum(axis=1) == 0] = 1.0
    labels = rng.integers(0, num_classes, size=rows)
    if every_class:
        labels[:num_classes] = np.arange(num_classes)
    return labels, weights / weights.sum(axis=1, keepdims=True)


def scored(labels: np.ndarray, probabilities: np.ndarray, **options: Any) -> dict[str, Any]:
    options = {"resamples": 20} | options
    return score(labels, probabilities, classes=CLASSES[: probabilities.shape[1]], **options)


def made(rows: int, *, num_classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels of all classes, and predictions that are often right."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % num_classes
    logits = rng.normal(size=(rows, num_classes)) + 1.5 * np.eye(num_classes)[labels]
    return labels, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@given(predictions())
@settings(max_examples=80)
def test_what_the_confusion_matrix_decides_equals_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = case
    predicted = probabilities.argmax(axis=1)
    result = scored(labels, probabilities)
    expected = {
        "accuracy": sk.accuracy_score(labels, predicted),
        "log_loss": sk.log_loss(labels, y_proba=probabilities, labels=range(probabilities.shape[1])),
    }
    with warnings.catch_warnings():  # scikit-learn warns where a class is absent or a score undefined
        warnings.simplefilter("ignore")
        expected["balanced_accuracy"] = sk.balanced_accuracy_score(labels, predicted)
        expected["mcc"] = sk.matthews_corrcoef(labels, predicted)
        expected["cohen_kappa"] = sk.cohen_kappa_score(labels, predicted)
    for average in ("macro", "weighted"):
        scores = sk.precision_recall_fscore_support(labels, predicted, average=average, zero_division=0)
        expected |= {f"{average}_{name}": scores[i] for i, name in enumerate(("precision", "recall", "f1"))}
    for name, value in expected.items():
        if math.isnan(value):
            assert result[name]["value"] is None, name
        else:
            assert result[name]["value"] == pytest.approx(value, abs=1e-9), name


@given(predictions())
@settings(max_examples=50)
def test_each_class_equals_scikit_learn_with_zero_division_0(case: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = case
    num_classes = probabilities.shape[1]
    expected = sk.precision_recall_fscore_support(
        labels, probabilities.argmax(axis=1), labels=range(num_classes), zero_division=0
    )
    per_class = scored(labels, probabilities)["per_class"]
    assert list(per_class) == list(CLASSES[:num_classes])
    for k, found in enumerate(per_class.values()):
        for i, name in enumerate(("precision", "recall", "f1")):
            assert found[name]["value"] == pytest.approx(expected[i][k], abs=1e-9)
        assert found["support"] == expected[3][k]
        defined = 0 < found["support"] < len(labels)
        auroc = sk.roc_auc_score(labels == k, probabilities[:, k]) if defined else None
        assert found["auroc"]["value"] == (pytest.approx(auroc, abs=1e-9) if defined else None)


@given(predictions(every_class=True))
@settings(max_examples=50)
def test_macro_auroc_equals_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = case
    if probabilities.shape[1] == 2:  # scikit-learn takes a column there; the two classes' curves mirror each other
        expected = sk.roc_auc_score(labels, probabilities[:, 1])
    else:
        expected = sk.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert scored(labels, probabilities)["macro_auroc"]["value"] == pytest.approx(expected, abs=1e-9)


@given(predictions(), st.integers(0, 2**32))
@settings(max_examples=30)
def test_a_resample_is_scored_like_the_rows_it_draws(case: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    labels, probabilities = case
    drawn = np.random.default_rng(seed).integers(len(labels), size=(1, len(labels)))[0]
    interval = scored(labels, probabilities, resamples=1, seed=seed)  # of one resample: low = high = its score
    plain = scored(labels[drawn], probabilities[drawn], resamples=0)
    for metric in METRICS:
        expected = plain[metric.name]["value"]
        close = None if expected is None else pytest.approx(expected, abs=1e-9)
        assert interval[metric.name]["low"] == interval[metric.name]["high"] == close, metric.name


@given(predictions())
@settings(max_examples=30)
def test_the_result_is_strict_json_with_every_name_and_within_its_bounds(
    case: tuple[np.ndarray, np.ndarray],
) -> None:
    result = json.loads(json.dumps(scored(*case), allow_nan=False))
    assert set(result) == {metric.name for metric in METRICS} | {"per_class", "n"}
    assert result["n"] == len(case[0])
    for metric in METRICS:
        numbers = result[metric.name]
        assert set(numbers) == {"value", "low", "high"}
        for number in numbers.values():
            assert number is None or metric.lowest - 1e-9 <= number <= metric.highest + 1e-9
        assert numbers["low"] is None or numbers["low"] <= numbers["high"]
    for found in result["per_class"].values():
        assert set(found) == {*CLASS_METRICS, "support"}


def test_calibration_error_worked_by_hand() -> None:
    labels = np.array([0, 1, 0, 0])
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [1.0, 0.0]])
    # Bins of 1/15. 0.9 is in (13/15, 14/15]: two rows, one right: |1 - 1.8| = 0.8. 0.6 = 9/15 closes the ninth bin:
    # one row, right: |1 - 0.6| = 0.4. 1.0 is in the last: right, gap 0. In all (0.8 + 0.4 + 0) / 4 rows.
    assert scored(labels, probabilities)["expected_calibration_error"]["value"] == pytest.approx(0.3, abs=1e-12)


def test_gaps_of_one_bin_cancel_and_of_two_bins_do_not() -> None:
    one_bin = np.array([[0.75, 0.25], [0.75, 0.25], [0.75, 0.25], [0.75, 0.25]])
    right_3_of_4 = np.array([0, 0, 0, 1])
    assert scored(right_3_of_4, one_bin)["expected_calibration_error"]["value"] == pytest.approx(0, abs=1e-12)
    two_bins = np.array([[0.75, 0.25], [0.75, 0.25], [0.75, 0.25], [0.85, 0.15]])
    # (|3 - 2.25| + |0 - 0.85|) / 4
    assert scored(right_3_of_4, two_bins)["expected_calibration_error"]["value"] == pytest.approx(0.4, abs=1e-12)


def test_certain_and_right_is_perfect_in_everything() -> None:
    labels = np.array([0, 1, 2, 3, 0])
    result = scored(labels, np.eye(4)[labels])
    for metric in METRICS:
        assert result[metric.name]["value"] == pytest.approx(1.0 if metric.higher_is_better else 0.0, abs=1e-12)


def test_log_loss_of_a_certain_mistake_is_clipped_not_infinite() -> None:
    value = scored(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]))["log_loss"]["value"]
    assert value == pytest.approx(-math.log(np.finfo(np.float64).eps) / 2, abs=1e-9)


def test_an_absent_class_leaves_macro_scores_alone_and_has_no_auroc() -> None:
    labels, two = made(40, num_classes=2)
    three = np.hstack([two, np.zeros((40, 1))])
    without, with_absent = scored(labels, two), scored(labels, three)
    for name in ("balanced_accuracy", "macro_f1", "macro_auroc", "mcc", "cohen_kappa"):
        assert with_absent[name] == pytest.approx(without[name], abs=1e-12), name
    absent = with_absent["per_class"]["c"]
    assert absent["support"] == 0
    assert absent["auroc"] == {"value": None, "low": None, "high": None}
    assert absent["f1"]["value"] == 0.0


def test_one_row_has_no_kappa_and_no_auroc() -> None:
    result = scored(np.array([1]), np.array([[0.2, 0.8]]))
    for name in ("cohen_kappa", "macro_auroc"):
        assert result[name] == {"value": None, "low": None, "high": None}
    assert result["mcc"]["value"] == 0.0
    assert result["accuracy"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_the_interval_of_accuracy_has_the_width_theory_gives() -> None:
    labels, probabilities = made(2000)
    found = scored(labels, probabilities, resamples=2000)["accuracy"]
    half_width = 1.96 * math.sqrt(found["value"] * (1 - found["value"]) / 2000)
    assert found["low"] == pytest.approx(found["value"] - half_width, abs=0.003)
    assert found["high"] == pytest.approx(found["value"] + half_width, abs=0.003)


def test_intervals_hold_the_value_and_repeat_by_seed() -> None:
    labels, probabilities = made(300)
    result = scored(labels, probabilities, resamples=200)
    for metric in METRICS:
        if metric.name != "expected_calibration_error":  # resampling adds to it: see the module
            assert result[metric.name]["low"] < result[metric.name]["value"] < result[metric.name]["high"]
    assert scored(labels, probabilities, resamples=200) == result
    other = scored(labels, probabilities, resamples=200, seed=1)
    assert other["accuracy"]["value"] == result["accuracy"]["value"]
    assert other["log_loss"]["low"] != result["log_loss"]["low"]


def test_resampling_in_blocks_gives_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, probabilities = made(60)
    whole = scored(labels, probabilities, resamples=50)
    monkeypatch.setattr("fastfer.evaluation.metrics._BLOCK_WEIGHTS", 7 * 60)
    in_blocks = scored(labels, probabilities, resamples=50)
    for metric in METRICS:
        assert in_blocks[metric.name] == pytest.approx(whole[metric.name], abs=1e-12)


def test_no_resamples_leave_the_interval_undefined() -> None:
    assert scored(*made(20), resamples=0)["accuracy"]["low"] is None


def test_expw_size_takes_seconds_and_little_memory() -> None:
    labels, probabilities = made(18_000, num_classes=7)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    score(labels, probabilities, classes=[str(k) for k in range(7)])
    assert time.perf_counter() - start < 20  # 2 s on two idle cores
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 1_000_000


@pytest.mark.parametrize(
    ("labels", "probabilities", "says"),
    [
        ([], np.empty((0, 2)), "non-empty"),
        ([0.5], [[0.5, 0.5]], "integers"),
        ([0, 1], [[0.5, 0.5]], "rows, classes"),
        ([2], [[0.5, 0.5]], "outside 0..1"),
        ([-1], [[0.5, 0.5]], "outside 0..1"),
        ([0, 0], [[0.5, 0.5], [0.7, 0.7]], "row 1"),
        ([0, 0], [[0.5, 0.5], [-0.5, 1.5]], "row 1"),
        ([0], [[math.nan, 1.0]], "row 0"),
    ],
)
def test_wrong_predictions_are_refused(labels: list[Any], probabilities: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        score(np.array(labels), np.array(probabilities), classes=("a", "b"))


def test_two_classes_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="one name"):
        score(np.array([0]), np.array([[0.5, 0.5]]), classes=("a", "a"))


@given(predictions())
@settings(max_examples=30)
def test_confusion_equals_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = case
    num_classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    found = confusion(labels, predicted, num_classes)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, sk.confusion_matrix(labels, predicted, labels=range(num_classes)))


def test_confusion_has_true_classes_in_rows() -> None:
    assert confusion(np.array([0, 0, 1]), np.array([1, 1, 1]), 2).tolist() == [[0, 2], [0, 1]]


def test_confusion_of_small_integer_types_does_not_overflow() -> None:
    found = confusion(np.full(3, 19, dtype=np.uint8), np.full(3, 19, dtype=np.uint8), 20)
    assert found[19, 19] == found.sum() == 3


@pytest.mark.parametrize(("labels", "predicted"), [([0, 1], [0]), ([2], [0]), ([0], [-1])])
def test_confusion_refuses_what_does_not_fit(labels: list[int], predicted: list[int]) -> None:
    with pytest.raises(ValueError, match=r"labels but|outside"):
        confusion(np.array(labels), np.array(predicted), 2)
