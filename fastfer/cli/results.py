"""Verbs that show what came out: report, and demo, which runs a whole small study."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Final

from fastfer.cli.console import say, track
from fastfer.cli.train import show_epoch
from fastfer.cli.verbs import REPORTS, RESULTS, RUNS, SHARDS, Option, Verb


def _report(arguments: argparse.Namespace) -> None:
    from fastfer.report import make_report

    page = make_report(arguments.runs, arguments.reports / arguments.name, select=arguments.select, track=track)
    say(f"report: {page}")


def _demo(arguments: argparse.Namespace) -> None:
    from fastfer.datasets.demo import DemoConfig
    from fastfer.study import DEMO, run_demo

    study = replace(
        DEMO,
        train=replace(DEMO.train, shards=arguments.shards, runs=arguments.runs),
        data_root=arguments.data_root,
        results=arguments.results,
        reports=arguments.reports,
    )
    page = run_demo(study, DemoConfig(), track=track, on_epoch=show_epoch, say=say)
    say(f"Open the report: {page.resolve()}")


VERBS: Final = (
    Verb(
        "report",
        "Make one self-contained HTML page, and its figures and tables as files, from the run folders.",
        (
            RUNS,
            REPORTS,
            Option("name", "the report's folder in --reports", str, "study"),
            Option("select", "only runs whose name matches this pattern", str, "*"),
        ),
        ("fastfer report", "fastfer report --name demo --select 'demo-*'"),
        _report,
    ),
    Verb(
        "demo",
        "Make the demo data and run a whole small study on it: records, training, tests, report.",
        (Option("data-root", "folder of the raw datasets", Path, Path("data/raw")), SHARDS, RUNS, RESULTS, REPORTS),
        ("fastfer demo",),
        _demo,
    ),
)
