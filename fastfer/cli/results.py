"""The verb that shows what came out: report."""

import argparse
from typing import Final

from fastfer.cli.console import say, track
from fastfer.cli.verbs import LOCALE, REPORTS, RESULTS, RUNS, Option, Verb


def _report(arguments: argparse.Namespace) -> None:
    from fastfer.report import make_report

    page = make_report(
        arguments.runs,
        arguments.reports / arguments.name,
        select=arguments.select,
        results=arguments.results,
        lang=arguments.locale,
        track=track,
    )
    say(f"report: {page}")


VERBS: Final = (
    Verb(
        "report",
        "Make one self-contained HTML page, and its figures and tables as files, from the run folders.",
        (
            RUNS,
            REPORTS,
            RESULTS,
            LOCALE,
            Option("name", "the report's folder in --reports", str, "study"),
            Option("select", "only runs whose name matches this pattern", str, "*"),
        ),
        ("fastfer report", "fastfer report --name demo --select 'demo-*' --results results/demo"),
        _report,
    ),
)
