"""Scores of a classifier, each with a 95% bootstrap interval: the contents of a run's `metrics.json`.

The interval is the percentile bootstrap over rows (Efron & Tibshirani, *An Introduction to the Bootstrap*, 1993, ch.
13): rows are drawn again with replacement and the score is worked out anew. 18,000 rows and 1,000 resamples take about
2 s on two cores. A score is defined for classes that do not occur as follows, and so is it in each resample:

- precision, recall and F1 of a class are 0 where their denominator is 0 (scikit-learn's `zero_division=0`);
- macro precision, recall and F1 average the classes that occur among the labels or the predictions;
- balanced accuracy averages the recall of the classes that occur among the labels;
- a class's AUROC needs rows of the class and rows of others, else it is None; macro AUROC averages those defined;
- MCC is 0 where it is undefined (as in scikit-learn); Cohen's kappa is None where labels and predictions are all one
  class;
- an interval covers the resamples in which the score is defined, and is None when there is none.

A resample draws some rows twice, which adds to the calibration error: the interval of a small error can lie above it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from fastfer.evaluation.weighted import Floats, Ints, gather, weighted_scores


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One score of the protocol: its name in `metrics.json` and how to show it."""

    name: str
    title: str
    lowest: float = 0.0
    highest: float = 1.0
    higher_is_better: bool = True

    @property
    def arrow(self) -> str:
        """The direction of better: ↑ or ↓."""
        return "↑" if self.higher_is_better else "↓"


METRICS: Final = (
    Metric(name="accuracy", title="Accuracy"),
    Metric(name="balanced_accuracy", title="Balanced accuracy"),
    Metric(name="macro_precision", title="Macro precision"),
    Metric(name="macro_recall", title="Macro recall"),
    Metric(name="macro_f1", title="Macro F1"),
    Metric(name="weighted_precision", title="Weighted precision"),
    Metric(name="weighted_recall", title="Weighted recall"),
    Metric(name="weighted_f1", title="Weighted F1"),
    Metric(name="mcc", title="MCC", lowest=-1.0),
    Metric(name="cohen_kappa", title="Cohen's kappa", lowest=-1.0),
    Metric(name="macro_auroc", title="Macro AUROC"),
    Metric(name="log_loss", title="Log loss", highest=float("inf"), higher_is_better=False),
    Metric(name="expected_calibration_error", title="Calibration error", higher_is_better=False),
)
"""The metrics of the protocol, in the order in which they are shown."""

CLASS_METRICS: Final = ("precision", "recall", "f1", "auroc")
"""What is given for each class."""

_PERCENTILES: Final = (2.5, 97.5)
_BLOCK_WEIGHTS: Final = 2_000_000  # weights held at once, 16 MB: the peak is a few such arrays, whatever R is


def score(
    labels_N: Ints,
    probabilities_NK: Floats,
    *,
    classes: Sequence[str],
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Score predictions, with 95% intervals.

    Args:
        labels_N: integers, the true classes, 0..K-1.
        probabilities_NK: float64, 0..1, each row's sum 1 (to 0.001: half-precision softmax passes). The predicted
            class is the most probable one, the first of equals.
        classes: the K class names, in the order of their labels.
        seed: of the resampling.
        resamples: bootstrap resamples; 0 leaves the intervals None.

    Returns:
        What `metrics.json` holds at its top level, plain JSON types only: each name of `METRICS` as `{"value", "low",
        "high"}`, `per_class` (by class name: each name of `CLASS_METRICS` likewise, and `support`), and `n`. Numbers
        are unitless (log loss in nats); None is undefined, never NaN.

    Raises:
        ValueError: shapes, ranges or sums are not as above, there are no rows, or two classes have one name.
    """
    labels_N, probabilities_NK = np.asarray(labels_N), np.asarray(probabilities_NK, dtype=np.float64)
    _check(labels_N, probabilities_NK, classes)
    evidence = gather(labels_N, probabilities_NK)
    values = weighted_scores(evidence, np.ones((1, len(labels_N))))
    blocks = [weighted_scores(evidence, w_RN) for w_RN in resampled_weights(len(labels_N), resamples, seed)]
    replicates = {name: np.concatenate([block[name] for block in blocks]) for name in values if blocks}

    def interval(name: str, k: int = 0) -> dict[str, float | None]:
        replicate_R = replicates[name].reshape(resamples, -1)[:, k] if blocks else np.empty(0)
        return percentile_interval(float(values[name].reshape(-1)[k]), replicate_R)

    supports = np.bincount(labels_N, minlength=len(classes))
    return {
        **{metric.name: interval(metric.name) for metric in METRICS},
        "per_class": {
            name: {**{metric: interval(metric, k) for metric in CLASS_METRICS}, "support": int(supports[k])}
            for k, name in enumerate(classes)
        },
        "n": len(labels_N),
    }


def confusion(labels_N: Ints, predicted_N: Ints, num_classes: int) -> Ints:
    """Count what was taken for what.

    Args:
        labels_N: integers, the true classes, 0..num_classes-1.
        predicted_N: integers, the predicted classes, same length and range.
        num_classes: K.

    Returns:
        Int64 [K, K] counts: rows are true classes, columns predicted ones.

    Raises:
        ValueError: the lengths differ, or a class is out of range.
    """
    labels_N, predicted_N = np.asarray(labels_N), np.asarray(predicted_N)
    if labels_N.shape != predicted_N.shape:
        raise ValueError(f"{labels_N.shape} labels but {predicted_N.shape} predictions")
    for name, classes_N in (("label", labels_N), ("prediction", predicted_N)):
        if classes_N.size and not (classes_N.min() >= 0 and classes_N.max() < num_classes):
            raise ValueError(f"a {name} is outside 0..{num_classes - 1}")
    cells = np.bincount(labels_N.astype(np.int64) * num_classes + predicted_N, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes).astype(np.int64)


def normalised(counts_KK: Ints) -> Floats:
    """Each row of a confusion matrix as shares of its true class, float64 in 0..1; a class without rows stays 0."""
    shares_KK: Floats = counts_KK / np.maximum(counts_KK.sum(axis=1, keepdims=True), 1)
    return shares_KK


def _check(labels_N: Ints, probabilities_NK: Floats, classes: Sequence[str]) -> None:
    num_classes = len(classes)
    if len(set(classes)) < num_classes:
        raise ValueError(f"two classes have one name: {list(classes)}")
    if labels_N.ndim != 1 or not len(labels_N) or not np.issubdtype(labels_N.dtype, np.integer):
        raise ValueError(f"labels must be a non-empty line of integers, not {labels_N.dtype} {labels_N.shape}")
    if probabilities_NK.shape != (len(labels_N), num_classes):
        raise ValueError(
            f"probabilities are {probabilities_NK.shape}, not {(len(labels_N), num_classes)} (rows, classes)"
        )
    if labels_N.min() < 0 or labels_N.max() >= num_classes:
        raise ValueError(f"a label is outside 0..{num_classes - 1}")
    in_range_N = ((probabilities_NK >= 0) & (probabilities_NK <= 1)).all(axis=1)  # also false for NaN
    proper_N = in_range_N & (np.abs(probabilities_NK.sum(axis=1) - 1) <= 1e-3)
    if not proper_N.all():
        row = int(np.argmin(proper_N))
        raise ValueError(f"probabilities of row {row} are not within 0..1 with sum 1: {probabilities_NK[row]}")


def resampled_weights(num_rows: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each row is drawn in each resample [R, N], in blocks of at most `_BLOCK_WEIGHTS` counts."""
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK_WEIGHTS // num_rows)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn_RN = rng.integers(num_rows, size=(size, num_rows))
        drawn_RN += np.arange(size)[:, None] * num_rows  # one bincount for the whole block
        counts = np.bincount(drawn_RN.ravel(), minlength=size * num_rows)
        yield counts.reshape(size, num_rows).astype(np.float64)


def percentile_interval(value: float, replicate_R: Floats) -> dict[str, float | None]:
    """A value with its 95% interval, from the resamples in which it is defined: `value`, `low`, `high`."""
    defined = replicate_R[~np.isnan(replicate_R)]
    low, high = np.percentile(defined, _PERCENTILES) if len(defined) else (np.nan, np.nan)
    return {
        name: None if np.isnan(number) else float(number)
        for name, number in (("value", value), ("low", low), ("high", high))
    }
