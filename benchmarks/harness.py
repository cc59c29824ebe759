"""How things are measured here: contenders in turn (A B A B ...), after a warm-up, in one run on one machine."""

import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.schema import MEASURES, SCHEMA_VERSION, Case, Entry, Machine, Rate, Result, Role
from benchmarks.watch import Measures, watched
from fastfer.report.tables import three_figures
from pipelines.probe import device_facts
from pipelines.records import write_atomically

RESULTS: Final = Path("benchmarks/results")
QUICK_RESULTS: Final = Path("data/bench/results")
TURN_S: Final = 1.0
"""Seconds that a peer's turn lasts at least, in whole epochs."""
RESAMPLES: Final = 2000
COMMIT_VARIABLE: Final = "FASTFER_COMMIT"
CORES: Final = os.cpu_count() or 1
LIBRARIES: Final = (
    "torch", "torchvision", "timm", "facenet-pytorch", "retinaface-pytorch", "opencv-python-headless", "pillow",
    "numpy", "nvidia-dali-cuda120", "kornia", "albumentations",
)  # fmt: skip
MOST_COLUMNS: Final = 8
LOG_WIDTH: Final = 120
"""Columns where there is no terminal, as in a log."""
OUT: Final = Console(width=None if sys.stdout.isatty() else LOG_WIDTH)


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


def machine() -> Machine:
    """The facts of this machine and of what runs on it."""
    driver, power_limit_w = device_facts(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    return Machine(
        processor=_processor(),
        cores=CORES,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        driver=driver,
        power_limit_w=power_limit_w,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        libraries={name: found for name in LIBRARIES if (found := _version(name))},
        commit=commit_of(Path(__file__).parents[1]),
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
    )


def _processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def commit_of(repository: Path) -> str | None:
    """The commit measured, with `+` when what it tracks has changed, but for results; None outside a checkout.

    What the variable `COMMIT_VARIABLE` says comes first: where a copy on another machine is measured.
    """
    if (told := os.environ.get(COMMIT_VARIABLE)) is not None:
        return told
    what = ("--porcelain", "--untracked-files=no", "--", ".", f":!{RESULTS}")
    try:
        commit, changed = (
            subprocess.run(["git", *words], cwd=repository, capture_output=True, text=True, check=True).stdout.strip()
            for words in (["rev-parse", "--short", "HEAD"], ["status", *what])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")


def write_result(suite: str, cases: Sequence[Case], *, quick: bool, folder: Path) -> Path:
    """Write `<suite>--<cores>-core-<processor>--<device>.json` into the folder: this machine's facts and the cases."""
    facts = machine()
    path = folder / f"{suite}--{facts.cores}-core-{_in_names(facts.processor)}--{_in_names(facts.device or 'cpu')}.json"
    result = Result(schema_version=SCHEMA_VERSION, suite=suite, quick=quick, machine=facts, cases=list(cases))
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(result.model_dump(), indent=1) + "\n").encode())
    return path


def _in_names(name: str) -> str:
    """A name of hardware as a part of a file's: `Intel(R) Xeon(R) Processor` is intel-xeon-processor."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)", "", name.lower())).strip("-")


def show(case: Case) -> None:
    """Print a case: its contenders, fastest first, each beside ours, and the figures that were measured of them."""
    entries = sorted(case.contenders.items(), key=lambda item: -item[1].per_s.median)
    names = dict.fromkeys(name for _, entry in entries for name, value in entry.measures.items() if value is not None)
    heads = [f"{case.unit}/s", "95% interval", f"{case.ours} is", *map(_title, names)]
    rows = [_cells(case, entry, names) for _, entry in entries]
    at = "" if case.axis is None else f", {case.axis.name} {case.axis.value:g}"
    table = Table(title=f"{case.title}{at}", caption=case.how)
    table.add_column("")
    if len(heads) <= len(rows) or len(heads) <= MOST_COLUMNS:
        for head in heads:
            table.add_column(head, justify="right")
        for (name, _), cells in zip(entries, rows, strict=True):
            table.add_row(name, *cells)
    else:  # few contenders with many figures stand side by side
        for name, _ in entries:
            table.add_column(name, justify="right")
        for head, *cells in zip(heads, *rows, strict=True):
            table.add_row(head, *cells)
    OUT.print(table)
    for name, why in case.failed.items():
        OUT.print(f"failed: {name}: {why}", highlight=False, markup=False)


def _title(measure: str) -> str:
    kind = MEASURES[measure]
    return f"{kind.title}, {kind.unit}"


def _cells(case: Case, entry: Entry, measures: Iterable[str]) -> list[str]:
    """A contender's rate, its interval, how much faster ours is, and the measures."""
    ours, rate = case.contenders.get(case.ours), entry.per_s
    ratio = "" if ours is None else f"{ours.per_s.median / rate.median:.2f} x"
    interval = f"{three_figures(rate.low)} to {three_figures(rate.high)}"
    return [
        three_figures(rate.median),
        interval,
        ratio,
        *(three_figures(entry.measures.get(name)) for name in measures),
    ]
