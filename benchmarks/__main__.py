"""`python -m benchmarks`: measure this machine."""

import argparse
import sys
from typing import Final

from benchmarks import augment, balance, check, faces, inference, loaders, scaling, training
from benchmarks.report import verbs as report
from benchmarks.show import OUT
from benchmarks.suite import COMMON, DESCRIPTION, PROG, Suite
from fastfer.cli.app import parser, run_verb
from fastfer.cli.verbs import Verb

SUITES: Final[tuple[Suite, ...]] = (
    faces.SUITE,
    loaders.SUITE,
    augment.SUITE,
    balance.SUITE,
    training.SUITE,
    inference.SUITE,
    scaling.SUITE,
)


def _all(arguments: argparse.Namespace) -> None:
    """Every suite with its defaults; one that fails is named at the end, and does not stop the others."""
    broken = []
    for suite in SUITES:
        OUT.rule(suite.name)
        try:
            suite.by_default(quick=arguments.quick, results=arguments.results)
        except Exception as error:
            broken.append(suite.name)
            OUT.print(f"{suite.name} failed: {error}", highlight=False, markup=False)
    if broken:
        sys.exit(f"these suites failed: {', '.join(broken)}")


VERBS: Final = (
    *(suite.verb() for suite in SUITES),
    Verb(
        "all",
        "Every suite in turn, with its defaults (more than an hour on 2 cores; a quick run 5 minutes).",
        COMMON,
        ("python -m benchmarks all", "python -m benchmarks all --quick 1"),
        _all,
    ),
    *report.VERBS,
    check.VERB,
)


def main() -> None:
    """Run `python -m benchmarks`."""
    run_verb(parser(VERBS, prog=PROG, description=DESCRIPTION), VERBS, sys.argv[1:])


if __name__ == "__main__":
    main()
