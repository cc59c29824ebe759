"""How things are measured here: contenders in turn (A B A B ...), after a warm-up, in one run on one machine."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.schema import Entry, Rate, Role
from benchmarks.show import OUT
from benchmarks.watch import Measures, watched

TURN_S: Final = 1.0
"""Seconds that a peer's turn lasts at least, in whole epochs."""
RESAMPLES: Final = 2000


@dataclass(frozen=True, slots=True)
class Measured:
    """One contender: what it handled in each repetition (`items`), the seconds each took, and what else they took."""

    items: int
    seconds: list[float]
    measures: Measures = field(default_factory=dict)

    def entry(
        self,
        role: Role,
        measures: Mapping[str, float | None] | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> Entry:
        """As a result file holds it."""
        return Entry(
            role=role,
            items=self.items,
            seconds=self.seconds,
            per_s=rate_of(self.items, self.seconds),
            measures=self.measures | dict(measures or {}),
            versions=dict(versions or {}),
        )


def rate_of(items: int, seconds: Sequence[float]) -> Rate:
    """Items per second over repetitions.

    The interval of the median is a percentile bootstrap over the repetitions (Efron and Tibshirani, 1993); of few
    repetitions it is simply their range.
    """
    low, high = (float(bound) for bound in np.percentile(drawn_medians(items, seconds), [2.5, 97.5]))
    q25, median, q75 = (float(value) for value in np.percentile(items / np.asarray(seconds), [25, 50, 75]))
    return Rate(median=median, q25=q25, q75=q75, low=low, high=high)


def drawn_medians(items: int, seconds: Sequence[float], seed: int = 0) -> NDArray[np.float64]:
    """Median rates of `RESAMPLES` draws of the repetitions, with replacement."""
    rates = items / np.asarray(seconds)
    drawn = np.random.default_rng(seed).choice(rates, (RESAMPLES, len(rates)))
    return np.asarray(np.median(drawn, axis=1))


class Turns(NamedTuple):
    """What came of contenders in turn: those that were measured, and why the others were not, in one sentence each."""

    measured: dict[str, Measured]
    failed: dict[str, str]


def in_turn(
    contenders: Mapping[str, Callable[[], int]], *, repeats: int, warm_up: int = 1, watch: bool = False
) -> Turns:
    """Time each contender `repeats` times, in turn, so that a slow minute of the machine hits all of them.

    A contender does its whole work once and returns how many items it handled. The first `warm_up` rounds do not count.
    One that raises an exception, or handles another number of items than before, has failed: it gets no more turns.
    With `watch`, a last round that is not timed tells what else a contender takes of this process and of the GPU.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    measures: dict[str, Measures] = {name: {} for name in contenders}
    items: dict[str, int] = {}

    def turn(name: str, number: int) -> None:
        if number == warm_up + repeats:
            handled, measures[name] = watched(contenders[name])
        else:
            handled, took = timed(contenders[name])
        if items.setdefault(name, handled) != handled:
            raise ValueError(f"it handled {handled} items, and {items[name]} before")
        if warm_up <= number < warm_up + repeats:
            seconds[name].append(took)

    failed = rounds(contenders, warm_up + repeats + watch, turn)
    measured = {
        name: Measured(items[name], taken, measures[name]) for name, taken in seconds.items() if name not in failed
    }
    return Turns(measured, failed)


def rounds(names: Iterable[str], count: int, turn: Callable[[str, int], None]) -> dict[str, str]:
    """Give each its turn in every round; who raised an exception, and what it said, has no more turns."""
    failed: dict[str, str] = {}
    for number in range(count):
        OUT.print(f"round {number + 1} of {count}", style="dim", highlight=False)
        for name in [name for name in names if name not in failed]:
            try:
                turn(name, number)
            except Exception as error:  # whatever it was, it is this contender's own
                failed[name] = said(name, error)
    return failed


def timed(work: Callable[[], int]) -> tuple[int, float]:
    """What the work returned, and the seconds it took with all that it left to the device."""
    synchronise()
    started = time.perf_counter()
    handled = work()
    synchronise()
    return handled, time.perf_counter() - started


def synchronise() -> None:
    """Wait until the GPU has done what it was told to."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def said(name: str, error: Exception) -> str:
    """What a contender's error says, on one line, printed beside its name; the error's kind where it says nothing."""
    why = " ".join(str(error).split()) or type(error).__name__
    OUT.print(f"left out: {name}: {why}", highlight=False, markup=False)
    return why
