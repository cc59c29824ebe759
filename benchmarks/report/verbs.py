"""The verbs that look at results: report and compare."""

import argparse
from pathlib import Path
from typing import Final

from benchmarks.machine import RESULTS
from benchmarks.result_files import QUICK_RESULTS
from benchmarks.schema import read_result
from fastfer.cli.console import say, show_table, track
from fastfer.cli.verbs import Option, Verb, switch, words

REPOSITORY: Final = Path(__file__).parents[2]


def _report(arguments: argparse.Namespace) -> None:
    from benchmarks.report.docs import write_docs
    from benchmarks.report.sections import make_performance_report
    from benchmarks.report.write import write_performance_report

    folders = [Path(folder) for folder in arguments.results]
    document = make_performance_report(folders, arguments.locale)
    page = write_performance_report(document, arguments.out, source=", ".join(map(str, folders)), track=track)
    say(f"report: {page}")
    if arguments.write_docs:
        for path in write_docs(REPOSITORY, REPOSITORY / RESULTS):
            say(f"written: {path.relative_to(REPOSITORY)}")


def _compare(arguments: argparse.Namespace) -> None:
    from benchmarks.report.compare import RULE, compare, others_changed, warnings
    from fastfer.report.tables import three_figures

    before, after = read_result(arguments.before), read_result(arguments.after)
    changes = compare(before, after)
    for sentence in [*warnings(before, after), *filter(None, [others_changed(changes)])]:
        say(sentence)
    columns = ("contender", "times as fast", "95% interval", "verdict")
    for case in dict.fromkeys(change.case for change in changes):
        rows = [
            (
                change.contender,
                three_figures(change.times["value"]),
                f"{three_figures(change.times['low'])} to {three_figures(change.times['high'])}",
                change.verdict,
            )
            for change in changes
            if change.case == case
        ]
        show_table(case, columns, rows)
    say(RULE if changes else "The two results have no contender of one case in common.")


VERBS: Final = (
    Verb(
        "report",
        "Make the performance section from all results: a page, figures, tables as CSV and LaTeX, and Markdown.",
        (
            Option("results", "folders of results", words, (str(RESULTS), str(QUICK_RESULTS))),
            Option("out", "folder of the report", Path, Path("reports/performance")),
            Option("locale", "language of the report: en or pt", str, "en"),
            Option("write-docs", "1: rewrite the tables in the documentation, from committed results", switch, False),
        ),
        ("python -m benchmarks report", "python -m benchmarks report --results benchmarks/results --locale pt"),
        _report,
    ),
    Verb(
        "compare",
        "Say what changed between two results of one suite, beyond noise.",
        (
            Option("before", "a result file", Path, required=True),
            Option("after", "another", Path, required=True),
        ),
        ("python -m benchmarks compare --before old.json --after new.json",),
        _compare,
    ),
)
