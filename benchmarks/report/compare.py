"""What changed between two results of a suite, beyond noise."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.report.ratios import ratio
from benchmarks.schema import Case, Entry, Result
from fastfer.report.runs import Interval
from pipelines.errors import InputError

LEAST_CHANGE: Final = 0.03
CHANCE: Final = 0.05
RULE: Final = (
    "Rule: a rate has changed when the 95% intervals of the two medians lie apart and their ratio is more than 3% from "
    "1; it has perhaps changed when the repetitions are so few that chance alone would part them more than once in 20."
)
FACTS: Final = (
    "processor",
    "cores",
    "memory_gib",
    "device",
    "driver",
    "power_limit_w",
    "system",
    "python",
    "libraries",
)
"""What makes it another machine, or other software on it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One contender of one case: how many times as fast it is now, and what to make of it."""

    case: str
    contender: str
    role: str
    times: Interval
    verdict: str


def chance_apart(before: int, after: int) -> float:
    """How often all repetitions of one run are faster than all of another when nothing has changed."""
    return min(1.0, 2 / math.comb(before + after, before))


def verdict(before: Entry, after: Entry) -> str:
    """`faster`, `slower` (or perhaps so), or `within noise`; see `RULE`."""
    was, now = before.per_s, after.per_s
    apart = now.low > was.high or now.high < was.low
    if not apart or abs(now.median / was.median - 1) <= LEAST_CHANGE:
        return "within noise"
    word = "faster" if now.median > was.median else "slower"
    repetitions = len(before.seconds), len(after.seconds)
    chance = chance_apart(*repetitions)
    if chance <= CHANCE:
        return word
    return f"perhaps {word} ({repetitions[0]} and {repetitions[1]} repetitions: by chance 1 time in {1 / chance:.0f})"


def compare(before: Result, after: Result) -> list[Change]:
    """Every contender that both results have, in the order of the second.

    Raises:
        InputError: they are of two suites.
    """
    if before.suite != after.suite:
        raise InputError(f"these are results of two suites, {before.suite} and {after.suite}: compare two of one")
    was = {_key(case): case for case in before.cases}
    return [
        Change(
            case=_key(case),
            contender=name,
            role=entry.role,
            times=ratio(entry, was[_key(case)].contenders[name]),
            verdict=verdict(was[_key(case)].contenders[name], entry),
        )
        for case in after.cases
        if _key(case) in was
        for name, entry in case.contenders.items()
        if name in was[_key(case)].contenders
    ]


def warnings(before: Result, after: Result) -> Iterator[str]:
    """What else differs, in sentences: machine, kind of run, settings, and what only one of them has."""
    for fact in FACTS:
        one, other = getattr(before.machine, fact), getattr(after.machine, fact)
        if one != other:
            name = fact.replace("_", " ")
            yield f"Another machine or other software: {name} was {_told(one, other)}, is {_told(other, one)}."
    if before.quick or after.quick:
        yield "A quick run is a look, not evidence."
    was, now = ({_key(case): case for case in result.cases} for result in (before, after))
    for key, case in now.items():
        if key in was and was[key].settings != case.settings:
            one, other = was[key].settings, case.settings
            yield f"Other settings in {key}: {_told(one, other)} before, {_told(other, one)} after."
    for where, one, other in (("before", was, now), ("after", now, was)):
        for key, case in one.items():
            alone = case.contenders.keys() - (other[key].contenders.keys() if key in other else set())
            if alone:
                yield f"Only {where}, in {key}: {'; '.join(sorted(alone))}."


def others_changed(changes: list[Change]) -> str | None:
    """What became of those that no change of ours touches: the part of every change that is the machine's."""
    times = [change.times["value"] for change in changes if change.role != "ours" and change.times["value"] is not None]
    if not times:
        return None
    low, middle, high = (float(value) for value in np.percentile(times, [0, 50, 100]))
    return (
        f"Peers and limits, which no change of ours touches, are {middle:.2f} times as fast (from {low:.2f} to "
        f"{high:.2f}): so much is the machine, or their versions."
    )


def _key(case: Case) -> str:
    return case.title if case.axis is None else f"{case.title}, {case.axis.name} {case.axis.value:g}"


def _told(value: object, other: object) -> str:
    """A value; of a table only what differs from the other one."""
    if not isinstance(value, dict) or not isinstance(other, dict):
        return "none" if value is None else str(value)
    differs = {key: found for key, found in value.items() if other.get(key) != found}
    return ", ".join(f"{key} {found}" for key, found in differs.items()) or "nothing more"
