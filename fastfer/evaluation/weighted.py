"""Every score of a classifier as a function of row weights: R weightings of N rows are scored at once.

Weights of one give the plain score; the counts of a bootstrap resample give the score of that resample. So a value and
its interval come from the same lines. What does not depend on the weights (which cell of the confusion matrix a row
falls in, its log loss, its calibration gap, the order of its probabilities) is worked out once, in `Evidence`; a
weighting then costs one matrix product and one cumulative sum per class.

R weightings, N rows, K classes, F features, B calibration bins. An undefined score is NaN here.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

CALIBRATION_BINS: Final = 15
"""Equal-width bins of confidence: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranking:
    """Where each row of a class stands among the rows of the other classes, by the probability of that class."""

    positives_P: Ints  # rows of the class
    negatives_M: Ints  # all other rows, by rising probability
    below_P: Ints  # for each positive, how many negatives have a lower probability
    below_or_equal_P: Ints  # ... a lower or the same probability


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What N predictions say, before any row is weighted."""

    num_classes: int
    features_NF: Floats  # the K*K confusion cells (true-major), the log loss, the B calibration gaps
    rankings: tuple[Ranking, ...]  # one per class


def gather(labels_N: Ints, probabilities_NK: Floats) -> Evidence:
    """Work out everything about the predictions that row weights do not change.

    Args:
        labels_N: int64, the true classes, 0..K-1.
        probabilities_NK: float64, 0..1. The predicted class is the most probable one, the first of equals.

    Returns:
        The evidence that `weighted_scores` weighs.
    """
    num_rows, num_classes = probabilities_NK.shape
    rows_N = np.arange(num_rows)
    predicted_N = probabilities_NK.argmax(axis=1)
    features_NF = np.zeros((num_rows, num_classes**2 + 1 + CALIBRATION_BINS))
    features_NF[rows_N, labels_N * num_classes + predicted_N] = 1.0

    # Clipped like sklearn.metrics.log_loss, so that one confident mistake does not make the mean infinite.
    eps = np.finfo(np.float64).eps
    features_NF[:, num_classes**2] = -np.log(np.clip(probabilities_NK[rows_N, labels_N], eps, 1 - eps))

    confidence_N = probabilities_NK[rows_N, predicted_N]
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    bin_N = np.clip(np.searchsorted(edges, confidence_N, side="left") - 1, 0, CALIBRATION_BINS - 1)
    features_NF[rows_N, num_classes**2 + 1 + bin_N] = (predicted_N == labels_N) - confidence_N

    rankings = tuple(_rank(labels_N == k, probabilities_NK[:, k]) for k in range(num_classes))
    return Evidence(num_classes=num_classes, features_NF=features_NF, rankings=rankings)


def _rank(is_positive_N: NDArray[np.bool_], score_N: Floats) -> Ranking:
    positives_P = np.flatnonzero(is_positive_N)
    negatives_M = np.flatnonzero(~is_positive_N)
    negatives_M = negatives_M[np.argsort(score_N[negatives_M], kind="stable")]
    sorted_M = score_N[negatives_M]
    return Ranking(
        positives_P=positives_P,
        negatives_M=negatives_M,
        below_P=np.searchsorted(sorted_M, score_N[positives_P], side="left"),
        below_or_equal_P=np.searchsorted(sorted_M, score_N[positives_P], side="right"),
    )


def weighted_scores(evidence: Evidence, weights_RN: Floats) -> dict[str, Floats]:
    """Score R weightings of the same predictions.

    Args:
        evidence: from `gather`.
        weights_RN: float64, at least 0, each row's sum above 0; whole numbers keep the confusion counts exact.

    Returns:
        Float64 arrays by name: one number per weighting [R] for every metric of `fastfer.evaluation.metrics.METRICS`,
        and [R, K] under `precision`, `recall`, `f1` and `auroc` for the classes. NaN where a score is undefined.
    """
    num_classes = evidence.num_classes
    sums_RF = weights_RN @ evidence.features_NF
    confusion_RKK = sums_RF[:, : num_classes**2].reshape(-1, num_classes, num_classes)
    total_R = confusion_RKK.sum(axis=(1, 2))
    gaps_RB = sums_RF[:, num_classes**2 + 1 :]
    auroc_RK = _auroc(evidence.rankings, weights_RN)
    return {
        **_confusion_scores(confusion_RKK),
        "auroc": auroc_RK,
        "macro_auroc": _mean(auroc_RK, ~np.isnan(auroc_RK)),
        "log_loss": sums_RF[:, num_classes**2] / total_R,
        "expected_calibration_error": np.abs(gaps_RB).sum(axis=1) / total_R,
    }


def _confusion_scores(confusion_RKK: Floats) -> dict[str, Floats]:
    """Everything that the confusion matrix alone decides, as scikit-learn defines it with `zero_division=0`."""
    correct_RK = np.diagonal(confusion_RKK, axis1=1, axis2=2)
    support_RK, predicted_RK = confusion_RKK.sum(axis=2), confusion_RKK.sum(axis=1)
    total_R, correct_R = support_RK.sum(axis=1), correct_RK.sum(axis=1)
    by_class = {
        "precision": _ratio(correct_RK, predicted_RK, undefined=0.0),
        "recall": _ratio(correct_RK, support_RK, undefined=0.0),
        "f1": _ratio(2 * correct_RK, support_RK + predicted_RK, undefined=0.0),
    }
    occurs_RK = support_RK + predicted_RK > 0
    share_RK = support_RK / total_R[:, None]
    macro = {f"macro_{name}": _mean(score_RK, occurs_RK) for name, score_RK in by_class.items()}
    weighted = {f"weighted_{name}": (score_RK * share_RK).sum(axis=1) for name, score_RK in by_class.items()}

    # Matthews' coefficient for K classes: Gorodkin, Computational Biology and Chemistry 28 (2004).
    by_chance_R = (support_RK * predicted_RK).sum(axis=1)
    spread_R = (total_R**2 - (support_RK**2).sum(axis=1)) * (total_R**2 - (predicted_RK**2).sum(axis=1))
    return {
        "accuracy": correct_R / total_R,
        "balanced_accuracy": _mean(by_class["recall"], support_RK > 0),
        **macro,
        **weighted,
        "mcc": _ratio(correct_R * total_R - by_chance_R, np.sqrt(spread_R), undefined=0.0),
        "cohen_kappa": _ratio(correct_R * total_R - by_chance_R, total_R**2 - by_chance_R, undefined=np.nan),
        **by_class,
    }


def _auroc(rankings: tuple[Ranking, ...], weights_RN: Floats) -> Floats:
    """One-vs-rest area under the ROC curve: how often a row of the class outranks another row, ties counting half.

    The Mann-Whitney form: Hanley & McNeil, Radiology 143 (1982).
    """
    weights_NR = np.ascontiguousarray(weights_RN.T)  # rows are gathered below: contiguous, each is one copy
    auroc_RK = np.empty((weights_RN.shape[0], len(rankings)))
    for k, ranking in enumerate(rankings):
        below_R_by_M = np.zeros((len(ranking.negatives_M) + 1, weights_RN.shape[0]))
        np.cumsum(weights_NR[ranking.negatives_M], axis=0, out=below_R_by_M[1:])
        positive_PR = weights_NR[ranking.positives_P]
        outranked_PR = below_R_by_M[ranking.below_P]
        outranked_PR += below_R_by_M[ranking.below_or_equal_P]
        wins_R = np.einsum("pr,pr->r", positive_PR, outranked_PR) / 2
        auroc_RK[:, k] = _ratio(wins_R, positive_PR.sum(axis=0) * below_R_by_M[-1], undefined=np.nan)
    return auroc_RK


def _ratio(numerator: Floats, denominator: Floats, *, undefined: float) -> Floats:
    out: Floats = np.full(denominator.shape, undefined)
    np.divide(numerator, denominator, out=out, where=denominator != 0)
    return out


def _mean(score_RK: Floats, counted_RK: NDArray[np.bool_]) -> Floats:
    """Mean over the counted classes; NaN when there is none."""
    total_R = np.where(counted_RK, score_RK, 0.0).sum(axis=1)
    return _ratio(total_R, counted_RK.sum(axis=1).astype(np.float64), undefined=np.nan)
