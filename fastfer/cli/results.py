"""The verb that shows what came out: report."""

import argparse
from typing import Final

from fastfer.cli.console import say, track
from fastfer.cli.verbs import DATA_ROOTS, LOCALE, REPORTS, RESULTS, RUNS, SHARDS, WORKERS, Option, Verb


def _report(arguments: argparse.Namespace) -> None:
    from fastfer.report import PERFORMANCE, DataFolders, make_report

    page = make_report(
        arguments.runs,
        arguments.reports / arguments.name,
        select=arguments.select,
        results=arguments.results,
        lang=arguments.locale,
        data=DataFolders(data_root=arguments.data_root, shards=arguments.shards, workers=arguments.workers),
        performance=arguments.reports / PERFORMANCE,
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
            DATA_ROOTS,
            SHARDS,
            WORKERS,
            LOCALE,
            Option("name", "the report's folder in --reports", str, "study"),
            Option("select", "only runs whose name matches this pattern", str, "*"),
        ),
        ("fastfer report", "fastfer report --name demo --select 'demo-*' --results results/demo"),
        _report,
    ),
)
