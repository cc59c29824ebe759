"""The results to report: read from folders, in a sensible order, each with a name for its machine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.report.words import title_told, told
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


ARCH: Final = "arch"
"""The setting whose values stand side by side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A result, and what its machine is called: among the results of one suite the labels differ."""

    result: Result
    label: str

    def groups(self, _: Locale = ENGLISH) -> list["Group"]:
        """Its cases: together where they differ along an axis (in its order), or in the architecture alone."""
        gathered: dict[tuple[str, str | None, int], list[Case]] = {}
        for case in self.result.cases:
            number = 0
            while not _joins(case, gathered.get((*_kin(case), number), [])):
                number += 1
            gathered.setdefault((*_kin(case), number), []).append(case)
        names: list[str] = []
        for cases in gathered.values():
            names.append(_new(_name(cases, _), names))
        return [
            Group(name, sorted(cases, key=lambda case: case.axis.value if case.axis else 0.0))
            for name, cases in zip(names, gathered.values(), strict=True)
        ]


def _kin(case: Case) -> tuple[str, str | None]:
    """What cases that may stand together have in common: a title, and what they differ in."""
    if case.axis is not None:
        return case.title, case.axis.name
    return (_without_arch(case, case.title), ARCH) if ARCH in case.settings else (case.title, None)


def _joins(case: Case, others: Sequence[Case]) -> bool:
    """Whether a case may stand with others of its kin."""
    if case.axis is not None or not others:
        return True
    if ARCH not in case.settings or case.how != others[0].how:
        return False
    return case.settings[ARCH] not in {other.settings[ARCH] for other in others}


def _name(cases: Sequence[Case], _: Locale) -> str:
    case, title = cases[0], title_told(cases[0].title, _)
    if case.axis is not None:
        return _("{name} by {axis}", name=title, axis=told(case.axis.name, _))
    return title if len(cases) == 1 else _without_arch(case, title)


def _without_arch(case: Case, title: str) -> str:
    return " ".join(word for word in title.replace(",", " ").split() if word != str(case.settings[ARCH]))


@dataclass(frozen=True, slots=True)
class Group:
    """Cases that are shown together; `name` is the group's own within its result."""

    name: str
    cases: list[Case]

    @property
    def axis(self) -> str | None:
        """What differs between the cases."""
        return self.cases[0].axis.name if self.cases[0].axis else None

    @property
    def by_arch(self) -> bool:
        """Whether its cases differ in the architecture."""
        return self.axis is None and len(self.cases) > 1

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
