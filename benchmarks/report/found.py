"""The results to report: read from folders, in a sensible order, each with a name for its machine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.schema import Case, Machine, Result, read_result
from fastfer.report.locale import ENGLISH, Locale
from pipelines.errors import InputError


class Chapter(NamedTuple):
    """A suite's heading, and what it asks."""

    title: str
    asks: str


CHAPTERS: Final[dict[str, Chapter]] = {
    "faces": Chapter("Faces", "From photographs to aligned faces in records."),
    "balance": Chapter("Balancing", "Oversampling a train split with light copies."),
    "loaders": Chapter("Loading", "From records to batches."),
    "augment": Chapter("Augmentation", "Augmentation alone, of decoded images in memory."),
    "training": Chapter("Training", "Steps of training by architecture: time, memory, and what a step is made of."),
    "inference": Chapter("Inference", "Images a trained network labels per second, and how long an answer takes."),
    "scaling": Chapter("Scaling", "How time and memory grow."),
}
"""By suite, in the order of the report; suites that are not here come behind them under their own names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A result, and what its machine is called: among the results of one suite the labels differ."""

    result: Result
    label: str

    def groups(self, _: Locale = ENGLISH) -> list["Group"]:
        """Its cases: those of one title that differ along an axis together, in the axis's order."""
        by_title: dict[tuple[str, str | None, int], list[Case]] = {}
        for number, case in enumerate(self.result.cases):
            key = (case.title, case.axis.name, 0) if case.axis else (case.title, None, number)
            by_title.setdefault(key, []).append(case)
        names: list[str] = []
        for title, axis, _number in by_title:
            names.append(_new(title if axis is None else _("{name} by {axis}", name=title, axis=axis), names))
        return [
            Group(name, sorted(cases, key=lambda case: case.axis.value if case.axis else 0.0))
            for name, cases in zip(names, by_title.values(), strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Group:
    """Cases that are shown together; `name` is the group's own within its result."""

    name: str
    cases: list[Case]

    @property
    def title(self) -> str:
        """What is asked."""
        return self.cases[0].title

    @property
    def axis(self) -> str | None:
        """What differs between the cases."""
        return self.cases[0].axis.name if self.cases[0].axis else None

    @property
    def is_curve(self) -> bool:
        """Whether there is more than one place along the axis."""
        return len({case.axis.value for case in self.cases if case.axis}) > 1


def machine_label(machine: Machine, _: Locale = ENGLISH) -> str:
    """The device, if any, and the processor."""
    processor = _("{cores} cores of {processor}", cores=machine.cores, processor=machine.processor)
    return processor if machine.device is None else f"{machine.device}, {processor}"


def find_results(folders: Sequence[Path], _: Locale = ENGLISH) -> list[Found]:
    """Every result below the folders, by `CHAPTERS`; folders that are not there hold none.

    Raises:
        InputError: a file is no result, or there is none at all.
    """
    paths = dict.fromkeys(path.resolve() for folder in folders for path in sorted(folder.glob("*.json")))
    if not paths:
        where = ", ".join(map(str, folders))
        raise InputError(f"no result of a benchmark in {where}: make bench makes them")
    order = {suite: place for place, suite in enumerate(CHAPTERS)}
    results = sorted(
        map(read_result, paths),
        key=lambda one: (order.get(one.suite, len(order)), one.suite, one.quick, machine_label(one.machine)),
    )
    return list(_labelled(results, _))


def _labelled(results: Sequence[Result], _: Locale) -> Iterator[Found]:
    taken: dict[str, list[str]] = {}
    for result in results:
        label = machine_label(result.machine, _) + (_(", quick look") if result.quick else "")
        labels = taken.setdefault(result.suite, [])
        label = label if label not in labels else _new(f"{label}, {result.machine.date}", labels)
        labels.append(label)
        yield Found(result=result, label=label)


def _new(name: str, taken: Sequence[str]) -> str:
    """The name, with a number behind it where it is taken."""
    number, new = 1, name
    while new in taken:
        number += 1
        new = f"{name} ({number})"
    return new
