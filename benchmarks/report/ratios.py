"""How many times as fast one contender is as another, with an interval; and what bounds a contender."""

from typing import Final

import numpy as np

from benchmarks.harness import drawn_medians
from benchmarks.schema import Case, Entry
from fastfer.report.runs import Interval

UNKNOWN: Final[Interval] = {"value": None, "low": None, "high": None}


def rate_interval(entry: Entry) -> Interval:
    """The median rate, items per second, with its 95% interval as the result file has it."""
    return {"value": entry.per_s.median, "low": entry.per_s.low, "high": entry.per_s.high}


def ratio(above: Entry, below: Entry) -> Interval:
    """The ratio of two median rates.

    The interval is a 95% percentile bootstrap (Efron and Tibshirani, 1993): the repetitions of each contender are drawn
    anew with replacement, each contender's by themselves, and the ratio of the medians is taken, 2,000 times over. It
    knows the spread of the repetitions and nothing else; of two or three of them it is about their range.
    """
    drawn = drawn_medians(above.items, above.seconds, 0) / drawn_medians(below.items, below.seconds, 1)
    low, high = (float(bound) for bound in np.percentile(drawn, [2.5, 97.5]))
    return {"value": above.per_s.median / below.per_s.median, "low": low, "high": high}


def fastest_peer(case: Case) -> str | None:
    """The name of the peer with the highest median rate."""
    peers = [name for name, entry in case.contenders.items() if entry.role == "peer"]
    return max(peers, key=lambda name: case.contenders[name].per_s.median, default=None)


def bound(case: Case) -> str | None:
    """The name of the limit that binds ours: the lowest one above it, or the highest where ours is above all.

    A contender that decodes nothing, say, stands above what a decoder can do, and is bound by copying.
    """
    limits = {name: entry.per_s.median for name, entry in case.contenders.items() if entry.role == "limit"}
    ours = case.contenders.get(case.ours)
    above = {name: rate for name, rate in limits.items() if ours is not None and rate >= ours.per_s.median}
    if above:
        return min(above, key=above.__getitem__)
    return max(limits, key=limits.__getitem__, default=None)
