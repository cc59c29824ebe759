"""The verb that lists runs, as far as they have come, and sets some side by side: runs."""

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from fastfer.cli.console import say, show_table
from fastfer.cli.verbs import RUNS, Option, Verb, words
from fastfer.evaluation.metrics import METRICS, Metric
from pipelines.errors import InputError

if TYPE_CHECKING:
    from fastfer.report.runs import Interval, Result, Run  # half a second: --help must not wait

SUMMARY_NAME: Final = "training.json"
UNKNOWN: Final = "-"
Sortable = str | float | None


def _setting(name: str) -> "Callable[[Run], Sortable]":
    return lambda run: run.config.get(name)


def _score(name: str) -> "Callable[[Run], Sortable]":
    return lambda run: run.result.scores[name]["value"] if run.result else None


def _training(name: str) -> "Callable[[Run], Sortable]":
    return lambda run: run.result.training.get(name) if run.result else None


def _seconds(run: "Run") -> float | None:
    """Of the training; of an unfinished one, of the epochs so far."""
    if run.result or run.epochs is None:
        return run.result.training.get("seconds") if run.result else None
    return float(run.epochs["seconds"].sum())


def state_of(run: "Run") -> str:
    """How far a run has come. Nothing in its folder tells a run that was stopped from one that is under way."""
    if run.result:
        return "finished"
    if (run.folder / SUMMARY_NAME).is_file():
        return "trained, not tested"
    epochs = 0 if run.epochs is None else len(run.epochs)
    return f"unfinished, epoch {epochs} of {run.config.get('epochs', '?')}"


COLUMNS: Final[dict[str, tuple[str, "Callable[[Run], Sortable]"]]] = {
    "name": ("run", lambda run: run.name),
    "dataset": ("dataset", lambda run: run.dataset),
    "variant": ("variant", _setting("variant")),
    "arch": ("arch", _setting("arch")),
    "aug": ("aug", _setting("aug")),
    "seed": ("seed", _setting("seed")),
    "state": ("state", state_of),
    "best_epoch": ("best epoch", _training("best_epoch")),
    "balanced_accuracy": ("balanced accuracy ↑", _score("balanced_accuracy")),
    "accuracy": ("accuracy ↑", _score("accuracy")),
    "macro_f1": ("macro F1 ↑", _score("macro_f1")),
    "seconds": ("seconds ↓", _seconds),
}
"""What `--sort` takes: the column's title and value."""

SETTINGS: Final = ("dataset", "variant", "arch", "aug", "seed")
HIGHEST_FIRST: Final = {"balanced_accuracy", "accuracy", "macro_f1"}
SHOWN: Final[dict[str, "Callable[[Run], str]"]] = {
    "name": lambda run: short_name(run),
    "balanced_accuracy": lambda run: interval_text(run.result.scores["balanced_accuracy"]) if run.result else UNKNOWN,
    "seconds": lambda run: UNKNOWN if (seconds := _seconds(run)) is None else f"{seconds:,.0f}",
}
"""How a value is shown, where not as it is."""


def short_name(run: "Run") -> str:
    """The hash at the end of a run's name, where the columns say all the rest of it; else the whole name."""
    rest, _, digest = run.name.rpartition("-")
    named = [run.dataset, *(str(run.config.get(key)) for key in ("variant", "arch", "aug"))]
    return digest if rest == "-".join([*named, f"s{run.config.get('seed')}"]) else run.name


def interval_text(interval: "Interval") -> str:
    """A score with its 95% interval."""
    value, low, high = (interval[part] for part in ("value", "low", "high"))
    if value is None:
        return UNKNOWN
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"


def _cell(run: "Run", column: str) -> str:
    if column in SHOWN:
        return SHOWN[column](run)
    value = COLUMNS[column][1](run)
    if value is None:
        return UNKNOWN
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def by_column(runs: "Sequence[Run]", column: str) -> "list[Run]":
    """Runs in the order of a column: scores from the highest, all else from the lowest; unknown values come last.

    Raises:
        InputError: there is no such column.
    """
    if column not in COLUMNS:
        raise InputError(f"no column {column!r} to sort by: choose one of {', '.join(COLUMNS)}")
    value = COLUMNS[column][1]
    known = [run for run in runs if value(run) is not None]
    numeric = all(isinstance(value(run), int | float) for run in known)

    def key(run: "Run") -> Any:
        return value(run) if numeric else str(value(run))

    ranked = sorted(known, key=key, reverse=column in HIGHEST_FIRST)
    return [*ranked, *(run for run in runs if value(run) is None)]


def chosen(runs: "Sequence[Run]", wanted: str) -> "Run":
    """The run of that name, or the only one whose name has that part, such as the hash at its end.

    Raises:
        InputError: there is none, or there are several.
    """
    wanted = wanted.rstrip("/").rsplit("/", 1)[-1]
    found = [run for run in runs if run.name == wanted] or [run for run in runs if wanted in run.name]
    if len(found) != 1:
        which = f"{len(found)} runs are" if found else "no run is"
        raise InputError(
            f"{which} called {wanted!r}: give a run's name, or a part that no other has (see fastfer runs)"
        )
    return found[0]


def differing(runs: "Sequence[Run]") -> dict[str, list[str]]:
    """The settings in which runs differ, each with its value in every run."""
    from fastfer.report.settings import flattened

    every = [flattened(run.config) for run in runs]
    names = dict.fromkeys(name for settings in every for name in settings)
    values = {name: [settings.get(name, UNKNOWN) for settings in every] for name in names}
    return {name: of_runs for name, of_runs in values.items() if len(set(of_runs)) > 1}


def side_by_side(runs: "Sequence[Run]") -> dict[str, list[tuple[str, ...]]]:
    """All scores by test set, of each that any of the runs was tested on: rows of a metric and each run's score.

    Of two runs the last cell is how far the second is above the first.
    """
    results = [{_test_set(result): result for result in run.results()} for run in runs]
    tested = dict.fromkeys(name for of_run in results for name in of_run)
    return {
        name: [_scores_row(metric, [of_run.get(name) for of_run in results]) for metric in METRICS] for name in tested
    }


def _test_set(result: "Result") -> str:
    return f"{result.dataset}, {result.test_set.get('variant', UNKNOWN)}"


def _scores_row(metric: Metric, results: "Sequence[Result | None]") -> tuple[str, ...]:
    title = f"{metric.title} {metric.arrow}"
    cells = [interval_text(result.scores[metric.name]) if result else UNKNOWN for result in results]
    values = [result.scores[metric.name]["value"] if result else None for result in results]
    if len(values) != 2:
        return (title, *cells)
    first, second = values
    return (title, *cells, UNKNOWN if first is None or second is None else f"{second - first:+.3f}")


def _runs(arguments: argparse.Namespace) -> None:
    from fastfer.report.runs import read_run, run_folders

    runs, broken = [], []
    for folder in run_folders(arguments.runs, arguments.select):
        try:
            runs.append(read_run(folder))
        except InputError as error:
            broken.append(" ".join(str(error).split()))
    if arguments.compare:
        _compare([chosen(runs, name) for name in arguments.compare])
    else:
        _list(by_column(runs, arguments.sort))
    for sentence in broken:
        say(sentence)


def _list(runs: "Sequence[Run]") -> None:
    """A line for each run; what all of several have alike is said in the title, as terminals are narrow."""
    cells = {column: [_cell(run, column) for run in runs] for column in COLUMNS}
    alike = {column for column in SETTINGS if len(runs) > 1 and len(set(cells[column])) == 1}
    shown = [column for column in COLUMNS if column not in alike]
    shared = "".join(f", {column} {cells[column][0]}" for column in COLUMNS if column in alike)
    rows = list(zip(*(cells[column] for column in shown), strict=True))
    show_table(f"{len(runs)} runs{shared}", [COLUMNS[column][0] for column in shown], rows)


def _compare(runs: "Sequence[Run]") -> None:
    if len({run.name for run in runs}) < 2:
        raise InputError("--compare sets two or more runs side by side: give them as a,b")
    labels = [chr(ord("A") + number) for number in range(len(runs))]
    for label, run in zip(labels, runs, strict=True):
        say(f"{label}: {run.name}, {state_of(run)}")
    settings = [(name, *values) for name, values in differing(runs).items()]
    show_table("Settings that differ", ("setting", *labels), settings)
    change = ("B - A",) if len(runs) == 2 else ()
    for dataset, rows in side_by_side(runs).items():
        show_table(f"Tested on {dataset}", ("metric", *labels, *change), rows)
    say("make compare tests whether such differences are more than chance")


VERBS: Final = (
    Verb(
        "runs",
        "List the runs with their settings, state and scores, or set some of them side by side.",
        (
            RUNS,
            Option("select", "only runs whose name matches this pattern", str, "*"),
            Option("sort", f"column to sort by: {', '.join(COLUMNS)}", str, "name"),
            Option("compare", "runs to set side by side, by name or a part of it: a,b", words),
        ),
        (
            "fastfer runs --sort balanced_accuracy",
            "fastfer runs --select 'demo-*' --sort seconds",
            "fastfer runs --compare 1a0dfeeb,bf24cf74",
        ),
        _runs,
    ),
)
