"""A suite of benchmarks: its settings, with smaller ones for a quick look, and how it is run from the command line."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.machine import RESULTS
from benchmarks.result_files import QUICK_RESULTS, write_result
from benchmarks.schema import Case
from benchmarks.show import OUT, show
from fastfer.cli.app import parser, run_verb
from fastfer.cli.verbs import Option, Verb, switch, words
from pipelines.errors import InputError


@dataclass(frozen=True, slots=True)
class Setting:
    """A `--name value` of a suite; `quick` is the default of a quick run, where it is another one.

    A `free` one may have another value in a result that is kept as evidence.
    """

    name: str
    help: str
    kind: Callable[[str], Any]
    default: Any
    quick: Any = None
    free: bool = False

    @property
    def key(self) -> str:
        """Its name in a namespace."""
        return self.name.replace("-", "_")

    def value(self, arguments: argparse.Namespace, *, quick: bool) -> Any:
        """What was given, or the default."""
        given = getattr(arguments, self.key)
        if given is not None:
            return given
        return self.quick if quick and self.quick is not None else self.default

    def option(self) -> Option:
        """As the command line has it; it does not hold the default, so that a given value can be told from it."""
        quick = "" if self.quick is None else f"; of a quick run: {self.quick}"
        return Option(self.name, f"{self.help} (default: {self.default}{quick})", self.kind)


def positive(text: str) -> int:
    """A number from 1 on.

    Raises:
        argparse.ArgumentTypeError: it is something else.
    """
    (number,) = numbers(text)
    return number


def numbers(text: str) -> tuple[int, ...]:
    """A list of numbers from 1 on, as `1,2` or `1 2`.

    Raises:
        argparse.ArgumentTypeError: it is something else, or names one twice.
    """
    found = words(text)
    if not all(word.isdecimal() and int(word) for word in found):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers from 1 on, such as 1,2")
    return tuple(map(int, found))


PROG: Final = "python -m benchmarks"
DESCRIPTION: Final = "What this machine does per second, in how much memory, beside other tools, in one run each."
COMMON: Final = (
    Option("quick", "1: a quick look, with small data and few repetitions", switch, False),
    Option(
        "results", f"folder of the result (default: {RESULTS}; of a quick run or other data: {QUICK_RESULTS})", Path
    ),
)
UNFINISHED: Final = "unfinished"
"""The folder, beside local results, of suites that have not come to their end."""


@dataclass(frozen=True, slots=True)
class Suite:
    """`run` gets the settings' values and gives each case as soon as it is measured.

    `instead` names options that run another suite in its place, with that suite's defaults.
    """

    name: str
    summary: str
    settings: tuple[Setting, ...]
    examples: tuple[str, ...]
    run: Callable[[argparse.Namespace], Iterator[Case]]
    instead: Mapping[str, "Suite"] = field(default_factory=dict)

    def measure(self, arguments: argparse.Namespace) -> Path:
        """Measure, print and write; returns the result file.

        A whole result is never replaced by a part of one: until all cases are measured, the finished ones lie in
        `UNFINISHED`, and what was asked with other settings than the suite's own goes to `QUICK_RESULTS`.

        Raises:
            InputError: no contender was measured, and none has failed.
        """
        quick = arguments.quick
        values = {one.key: one.value(arguments, quick=quick) for one in self.settings}
        is_whole = not quick and all(one.free or values[one.key] == one.default for one in self.settings)
        unfinished = (arguments.results or QUICK_RESULTS) / UNFINISHED
        started = time.perf_counter()
        cases: list[Case] = []
        try:
            for case in self.run(argparse.Namespace(quick=quick, **values)):
                show(case)
                cases.append(case)
                write_result(self.name, cases, quick=quick, folder=unfinished)
        except BaseException:
            if cases:
                OUT.print(
                    f"{self.name} stopped: what it has measured is in {unfinished}", highlight=False, soft_wrap=True
                )
            raise
        if not any(case.contenders or case.failed for case in cases):
            raise InputError(f"nothing of {self.name} was asked for: `{PROG} {self.name} --help` shows what there is")
        folder = arguments.results or (RESULTS if is_whole else QUICK_RESULTS)
        path = write_result(self.name, cases, quick=quick, folder=folder)
        (unfinished / path.name).unlink(missing_ok=True)
        with suppress(OSError):  # another suite's part may be there
            unfinished.rmdir()
        took_s = time.perf_counter() - started
        OUT.print(f"written after {took_s:.0f} s: {path}", highlight=False, soft_wrap=True)
        return path

    def verb(self) -> Verb:
        """The suite as a verb of `python -m benchmarks`."""
        return Verb(
            self.name,
            self.summary,
            (
                *(one.option() for one in self.settings),
                *(
                    Option(name, f"the suite {of.name} in its place", switch, False, alone=True)
                    for name, of in self.instead.items()
                ),
                *COMMON,
            ),
            self.examples,
            self._run,
        )

    def by_default(self, *, quick: bool, results: Path | None) -> Path:
        """`measure` with every setting's default."""
        return self.measure(
            argparse.Namespace(quick=quick, results=results, **dict.fromkeys(one.key for one in self.settings))
        )

    def _run(self, arguments: argparse.Namespace) -> None:
        asked = [name for name in self.instead if getattr(arguments, name)]
        given = [f"--{one.name}" for one in self.settings if getattr(arguments, one.key) is not None]
        if asked and given:
            raise InputError(f"--{asked[0]} runs another suite with its own settings: leave {', '.join(given)} away")
        for name in asked:
            self.instead[name].by_default(quick=arguments.quick, results=arguments.results)
        if not asked:
            self.measure(arguments)


def run_alone(suite: Suite) -> None:
    """Run `python -m benchmarks.<suite>`: the same as `python -m benchmarks <suite>`."""
    verbs = (suite.verb(),)
    run_verb(parser(verbs, prog=PROG, description=DESCRIPTION), verbs, [suite.name, *sys.argv[1:]])
