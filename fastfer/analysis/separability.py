"""How well the classes of a dataset stand apart, on features that nobody trained for the question.

Every figure comes from equal numbers of faces of each class, the same for each dataset compared, drawn again and again:
the interval holds 95% of the draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.metrics import balanced_accuracy_score, davies_bouldin_score, silhouette_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # matrices this small only wait for a second thread

from fastfer.analysis.faces import Features
from fastfer.labels import CLASSES
from pipelines.progress import Track, untracked

DRAWS: Final = 20
DRAWN_SHARE: Final = 0.8
"""Of the smallest class of all datasets compared: draws of the whole would not differ."""
MOST_PER_CLASS: Final = 200
COMPONENTS: Final = 50
NEIGHBOURS: Final = 10
FOLDS: Final = 5
PROBE: Final[dict[str, Any]] = {"C": 0.01, "max_iter": 2000}
SHOWN: Final = 1500
MEASURES: Final = {
    "probe": ("Linear probe, balanced accuracy", "high"),
    "neighbours": (f"Label agreement of {NEIGHBOURS} nearest neighbours", "high"),
    "silhouette": ("Silhouette", "high"),
    "scatter": ("Scatter between over within classes", "high"),
    "davies_bouldin": ("Davies-Bouldin index", "low"),
}
"""Measures, their titles, and which end is better."""


@dataclass(frozen=True, slots=True)
class Separability:
    """Of one dataset: each of `MEASURES` as value (median of the draws), low and high; pairs of classes likewise."""

    per_class: int
    measures: dict[str, dict[str, float]]
    pairs_KK: NDArray[np.float64]  # balanced accuracy of a linear probe that tells two classes apart; symmetric


@dataclass(frozen=True, slots=True)
class Sample:
    """Features (float32 `N x F`), labels `N`, and the image that each face is from `N`."""

    features_NF: Features
    label_N: NDArray[np.int64]
    group_N: NDArray[Any]

    def __getitem__(self, chosen: NDArray[Any]) -> "Sample":
        return Sample(self.features_NF[chosen], self.label_N[chosen], self.group_N[chosen])


def faces_per_class(samples: Sequence[Sample]) -> int:
    """How many faces of each class a draw takes, so that every dataset gives as many."""
    smallest = min((int(np.bincount(sample.label_N, minlength=len(CLASSES)).min()) for sample in samples), default=0)
    return min(MOST_PER_CLASS, int(smallest * DRAWN_SHARE))


def separability(samples: Mapping[str, Sample], *, seed: int, track: Track = untracked) -> dict[str, Separability]:
    """How the classes stand apart in each dataset; none if a class has fewer faces than there are folds."""
    per_class = faces_per_class(list(samples.values()))
    if per_class < FOLDS:
        return {}
    found = {}
    bar = track("Separability of classes", total=len(samples) * DRAWS, unit="draws")
    with threadpool_limits(1), bar as advance:
        for name, whole in samples.items():
            sample = Sample(_components(whole.features_NF), whole.label_N, whole.group_N)
            rng = np.random.default_rng(seed)
            drawn = []
            for _ in range(DRAWS):
                drawn.append(_measured(_draw(sample, per_class, rng)))
                advance(1)
            found[name] = Separability(
                per_class,
                {key: _spread([one[key] for one, _ in drawn]) for key in MEASURES},
                np.median([pairs_KK for _, pairs_KK in drawn], axis=0),
            )
    return found


def _spread(values: Sequence[float]) -> dict[str, float]:
    low, value, high = np.percentile(values, [2.5, 50, 97.5])
    return {"value": float(value), "low": float(low), "high": float(high)}


def _draw(sample: Sample, per_class: int, rng: np.random.Generator) -> Sample:
    chosen = [
        rng.choice(np.flatnonzero(sample.label_N == label), per_class, replace=False) for label in range(len(CLASSES))
    ]
    return sample[np.concatenate(chosen)]


def _measured(sample: Sample) -> tuple[dict[str, float], NDArray[np.float64]]:
    """One draw: `MEASURES`, and how well each pair of classes is told apart by the probe of all."""
    flat, label_N = sample.features_NF, sample.label_N
    probability_NK = cross_val_predict(
        LogisticRegression(**PROBE),
        flat,
        label_N,
        groups=sample.group_N,
        cv=StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0),
        method="predict_proba",
    )
    measures = {
        "probe": float(balanced_accuracy_score(label_N, probability_NK.argmax(axis=1))),
        "neighbours": _agreement(flat, label_N),
        "silhouette": float(silhouette_score(flat, label_N)),
        "scatter": _scatter(flat, label_N),
        "davies_bouldin": float(davies_bouldin_score(flat, label_N)),
    }
    return measures, _pairs(probability_NK, label_N)


def _components(features_NF: Features) -> Features:
    """Standardised, then the first `COMPONENTS` principal ones: distances mean little in thousands of dimensions.

    No label is looked at, so the components of all faces may describe those that a probe is tested on.
    """
    count = min(COMPONENTS, *features_NF.shape)
    flat = make_pipeline(StandardScaler(), PCA(count, random_state=0)).fit_transform(features_NF)
    return np.asarray(flat, np.float32)


def _agreement(flat_NF: Features, label_N: NDArray[np.int64]) -> float:
    """Mean share of a face's nearest neighbours that have its label; chance is one over the number of classes."""
    nearest_NJ = NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(flat_NF).kneighbors(return_distance=False)
    return float((label_N[nearest_NJ[:, :NEIGHBOURS]] == label_N[:, None]).mean())


def _scatter(flat_NF: Features, label_N: NDArray[np.int64]) -> float:
    """Trace of the scatter between classes over that within (Fukunaga, *Statistical Pattern Recognition*, 1990)."""
    centre_KF = np.stack([flat_NF[label_N == label].mean(axis=0) for label in np.unique(label_N)])
    within = ((flat_NF - centre_KF[np.searchsorted(np.unique(label_N), label_N)]) ** 2).sum()
    total = ((flat_NF - flat_NF.mean(axis=0)) ** 2).sum()
    return float((total - within) / within)


def _pairs(probability_NK: NDArray[np.float64], label_N: NDArray[np.int64]) -> NDArray[np.float64]:
    pairs_KK = np.ones((len(CLASSES), len(CLASSES)))
    for one, other in combinations(range(len(CLASSES)), 2):
        of_pair = np.isin(label_N, (one, other))
        says_one = probability_NK[of_pair, one] > probability_NK[of_pair, other]
        right = balanced_accuracy_score(label_N[of_pair] == one, says_one)
        pairs_KK[one, other] = pairs_KK[other, one] = right
    return pairs_KK


def plane(sample: Sample, *, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """At most `SHOWN` faces as points of a plane by t-SNE (van der Maaten and Hinton 2008), and their labels."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(sample.label_N))[:SHOWN]
    flat = _components(sample.features_NF[chosen])
    perplexity = min(30.0, max(2.0, (len(flat) - 1) / 4))
    with threadpool_limits(1):
        points = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(flat)
    return np.asarray(points, np.float64), sample.label_N[chosen]
