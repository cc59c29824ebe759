"""How many labels are wrong, and which are the most suspicious: confident learning on out-of-fold predictions.

Northcutt, Jiang and Chuang 2021, "Confident learning: estimating uncertainty in dataset labels", by cleanlab.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from cleanlab.count import estimate_joint
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_self_confidence_for_each_label
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from fastfer.analysis.separability import FOLDS, Sample
from fastfer.analysis.statistics import wilson
from fastfer.labels import CLASSES
from pipelines.progress import Track, untracked

COMPONENTS: Final = 64
STRENGTH: Final = 0.003
"""Of the probe's weights. A stiff probe does not learn wrong labels by heart: on demo faces with 10% of the labels
changed it estimates 11% to 12.5%, with `C=0.1` 18% to 21%."""
DRAWS: Final = 200


@dataclass(frozen=True, slots=True)
class LabelNoise:
    """Estimated shares of wrong labels, of all faces and of each class (`value`, `low`, `high`), and the suspects.

    `suspects` are places of faces, the most suspicious first; `suggested_N` is the class that the others suggest, and
    `confidence_N` what they give the label that is written, 0..1. `probe` is how often it
    predicts the written label.
    """

    overall: dict[str, float]
    by_class: list[dict[str, float]]
    suspects: NDArray[np.int64]
    suggested_N: NDArray[np.int64]
    confidence_N: NDArray[np.float64]
    probe: float


def label_noise(sample: Sample, *, seed: int, track: Track = untracked) -> LabelNoise | None:
    """Estimate the noise of a sample's labels; None if a class has too few faces to hold some of them out.

    The interval is a percentile bootstrap over images of the confident joint, and at least Wilson's for as many faces;
    it does not know what the probe cannot see. Every face is predicted by a probe that saw no face of its image.
    """
    label_N = sample.label_N
    if np.bincount(label_N, minlength=len(CLASSES)).min() < 2 * FOLDS:
        return None
    probability_NK = _out_of_fold(sample, seed, track)
    drawn = []
    with track("Estimating label errors", total=DRAWS, unit="draws") as advance:
        for places in _draws(sample.group_N, seed):
            drawn.append(_shares(label_N[places], probability_NK[places]))
            advance(1)
    value_K = _shares(label_N, probability_NK)
    low_K, high_K = np.percentile(drawn, [2.5, 97.5], axis=0)
    faces_K = np.append(np.bincount(label_N, minlength=len(CLASSES)), len(label_N))
    told = [_told(*of_class) for of_class in zip(value_K, low_K, high_K, faces_K, strict=True)]
    confidence_N = get_self_confidence_for_each_label(label_N, probability_NK)
    suspects = find_label_issues(label_N, probability_NK, return_indices_ranked_by="self_confidence", n_jobs=1)
    predicted_N = probability_NK.argmax(axis=1)
    accuracy = float((predicted_N == label_N).mean())
    return LabelNoise(told[-1], told[:-1], np.asarray(suspects, np.int64), predicted_N, confidence_N, accuracy)


def _told(value: float, low: float, high: float, faces: int) -> dict[str, float]:
    """With the interval no narrower than Wilson's for as many faces: where no draw holds a suspect, it says nothing."""
    least, most = wilson(float(value), int(faces))
    return {"value": float(value), "low": float(min(low, least)), "high": float(max(high, most))}


def _out_of_fold(sample: Sample, seed: int, track: Track) -> NDArray[np.float64]:
    """What a probe says of faces whose images it has not seen: `N x K`."""
    label_N = sample.label_N
    probability_NK = np.zeros((len(label_N), len(CLASSES)))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    with threadpool_limits(1), track("Predicting labels", total=FOLDS, unit="probes") as advance:
        for seen, held_out in folds.split(sample.features_NF, label_N, sample.group_N):
            components = min(COMPONENTS, len(seen), sample.features_NF.shape[1])
            probe = LogisticRegression(C=STRENGTH, max_iter=2000)
            model = make_pipeline(StandardScaler(), PCA(components, random_state=seed), probe)
            model.fit(sample.features_NF[seen], label_N[seen])
            probability_NK[np.ix_(held_out, model.classes_)] = model.predict_proba(sample.features_NF[held_out])
            advance(1)
    return probability_NK


def _shares(label_N: NDArray[np.int64], probability_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares of wrong labels among the faces of each class, and then of all: `K + 1`."""
    joint_KK = estimate_joint(label_N, probability_NK)
    written_K = joint_KK.sum(axis=1)
    right_K = np.diag(joint_KK)
    return np.append(1 - right_K / np.maximum(written_K, 1e-12), 1 - right_K.sum() / joint_KK.sum())


def _draws(group_N: NDArray[Any], seed: int) -> Any:
    """Places of faces, whole images drawn with replacement."""
    rng = np.random.default_rng(seed)
    _, place_N = np.unique(group_N, return_inverse=True)
    order = np.argsort(place_N, kind="stable")
    size_G = np.bincount(place_N)
    start_G = np.cumsum(size_G) - size_G
    for _ in range(DRAWS):
        drawn = rng.integers(0, len(size_G), len(size_G))
        sizes = size_G[drawn]
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        yield order[np.repeat(start_G[drawn], sizes) + within]
