"""The verb that compares trained runs: compare."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastfer.cli.console import say, show_table, track
from fastfer.cli.verbs import RESULTS, Option, Verb, words
from fastfer.evaluation.metrics import METRICS

if TYPE_CHECKING:
    from fastfer.evaluation.evaluate import FinishedRun

TITLES: Final = {metric.name: metric.title for metric in METRICS}
PAIR_COLUMNS: Final = ("A", "B", "tested on", "n", "only A right", "only B right", "p", "p (Holm)", "accuracy A - B")
SEED_COLUMNS: Final = ("trained", "tested on", "metric", "seeds", "mean", "std", "min", "max")


def _compare(arguments: argparse.Namespace) -> None:
    from fastfer.evaluation.compare import compare
    from fastfer.evaluation.paired import DIFFERENCES, PAIRS_NAME, SEEDS_NAME

    runs = [run for folder in arguments.runs for run in _runs_of(folder, arguments.select)]
    pairs, seeds = compare(runs, out=arguments.results, tested_on=arguments.tested_on, track=track)
    show_table("Pairs of runs", PAIR_COLUMNS, [_pair(line) for line in pairs.iter_rows(named=True)])
    repeated = [
        _seeds(line) for line in seeds.iter_rows(named=True) if line["seeds"] > 1 and line["metric"] in DIFFERENCES
    ]
    if repeated:
        show_table("Over seeds", SEED_COLUMNS, repeated)
    say(f"written to {arguments.results / PAIRS_NAME} and {arguments.results / SEEDS_NAME}")


def _runs_of(folder: Path, select: str) -> "list[FinishedRun]":
    """The run that a folder is, or the finished runs in it that match the pattern."""
    from fastfer.evaluation.evaluate import FinishedRun, finished_runs

    return [FinishedRun.open(folder)] if (folder / "config.json").is_file() else finished_runs(folder, select)


def _folders(text: str) -> list[Path]:
    """`runs`, or `runs/a,runs/b`."""
    return [Path(name) for name in words(text)]


def _pair(line: dict[str, Any]) -> tuple[object, ...]:
    difference, low, high = (f"{line[f'accuracy_difference{part}']:+.4f}" for part in ("", "_low", "_high"))
    return (
        *(line["run_a"], line["run_b"], _tested(line)),
        *(line[name] for name in ("n", "only_a_right", "only_b_right")),
        *(f"{line[name]:.2g}" for name in ("p", "p_holm")),
        f"{difference} ({low} to {high})",
    )


def _seeds(line: dict[str, Any]) -> tuple[object, ...]:
    trained = "-".join(line[name] for name in ("trained_on", "variant", "arch", "aug", "settings"))
    numbers = ("-" if line[name] is None else f"{line[name]:.4f}" for name in ("mean", "std", "min", "max"))
    return (trained, _tested(line), TITLES[line["metric"]], line["seeds"], *numbers)


def _tested(line: dict[str, Any]) -> str:
    return f"{line['tested_on']}/{line['tested_variant']}"


VERBS: Final = (
    Verb(
        "compare",
        "Compare trained runs in pairs on the test sets they share, and settings over their seeds, into two CSVs.",
        (
            Option("runs", "folder of all runs, or some runs' own folders: a,b", _folders, [Path("runs")]),
            RESULTS,
            Option("select", "only runs in the folder whose name matches this pattern", str, "*"),
            Option("tested-on", "only this dataset's test set (default: all)"),
        ),
        (
            "fastfer compare",
            "fastfer compare --select 'demo-*' --tested-on demo-expw",
            "fastfer compare --runs runs/rafdb-raw-vit-none-s0-1a2b3c4d,runs/rafdb-preprocessed-vit-none-s0-5e6f7a8b",
        ),
        _compare,
    ),
)
