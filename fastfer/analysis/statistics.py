"""Shares and differences with what they are worth: intervals, tests, effect sizes."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu, norm

Z95: Final = float(norm.ppf(0.975))
SIZES: Final = ((0.147, "negligible"), (0.33, "small"), (0.474, "medium"), (1.0, "large"))
"""Upper ends of |Cliff's delta|: Romano et al. 2006, "Appropriate statistics for ordinal level data"."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share of `n` faces with its 95% interval; all None where there is no face."""

    n: int
    value: float | None
    low: float | None
    high: float | None

    def as_interval(self) -> dict[str, float | None]:
        """As tables of scores hold it."""
        return {"value": self.value, "low": self.low, "high": self.high}


def share_of(flag_N: NDArray[np.bool_], group_N: NDArray[Any]) -> Share:
    """The share of true flags, with Wilson's interval for as many independent faces as these are worth.

    Faces of one group (an image) resemble each other. Their number is divided by the design effect, the variance
    between groups over that of independent faces (Kish, *Survey Sampling*, 1965, ch. 5.4); where all flags are alike
    nothing is known of it, and each group counts once.
    """
    n = len(flag_N)
    if n == 0:
        return Share(0, None, None, None)
    _, place_N = np.unique(group_N, return_inverse=True)
    size_G, hits_G = np.bincount(place_N), np.bincount(place_N, weights=flag_N)
    p, groups = float(hits_G.sum() / n), len(size_G)
    worth = float(groups)
    if 0 < p < 1 and groups > 1:
        variance = ((hits_G - p * size_G) ** 2).sum() * groups / (groups - 1) / n**2
        worth = float(min(n, p * (1 - p) / variance)) if variance > 0 else float(groups)
    return Share(n, p, *wilson(p, worth))


def wilson(p: float, n: float) -> tuple[float, float]:
    """The 95% interval of a share `p` of `n` independent faces.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * np.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


@dataclass(frozen=True, slots=True)
class Difference:
    """Two samples apart: Mann and Whitney's two-sided p, and Cliff's delta (-1..1; above 0: the second is larger)."""

    p: float
    delta: float

    @property
    def size(self) -> str:
        """The effect in a word, see `SIZES`."""
        return next(word for limit, word in SIZES if abs(self.delta) <= limit)


def difference(one_N: NDArray[np.float64], other_M: NDArray[np.float64]) -> Difference | None:
    """How far apart two samples are; None if one is empty."""
    if len(one_N) == 0 or len(other_M) == 0:
        return None
    found = mannwhitneyu(other_M, one_N, alternative="two-sided", method="asymptotic")
    delta = 2 * found.statistic / (len(one_N) * len(other_M)) - 1
    return Difference(1.0 if np.isnan(found.pvalue) else float(found.pvalue), float(delta))
