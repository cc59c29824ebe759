"""The report's tables: each the same records as rows of the page and as a CSV file."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

import polars as pl

from fastfer.evaluation.metrics import CLASS_METRICS, METRICS
from fastfer.report.locale import Locale
from fastfer.report.runs import Result, Run

Record: TypeAlias = dict[str, Any]

NOT_MEASURED: Final = "not measured"
SMALLEST_P: Final = 0.001
"""Smaller p-values are only said to be so; the CSV has them all."""
_HEADLINE_METRICS: Final = ("balanced_accuracy", "accuracy", "macro_f1")
_TITLES: Final = {metric.name: f"{metric.title} {metric.arrow}" for metric in METRICS}
_OF_TRAINING: Final = ("seconds", "parameters", "gpu_memory_mib", "gpu_utilisation", "energy_j")
"""Costs that are known when a run has ended."""
_UNKNOWN: Final = {"value": None, "low": None, "high": None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column: `score`, `rate` and `difference` hold intervals, the other kinds plain values.

    `rate` and `figure` are numbers of any size.
    """

    key: str
    title: str
    kind: Literal["text", "number", "figure", "score", "rate", "difference", "p"] = "text"
    digits: int = 0
    best: Literal["high", "low", None] = None  # the best of the column is marked
    absent: str = "–"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What one cell of the page shows, and by what it is sorted."""

    text: str
    sort: str | float | None
    detail: str = ""
    is_number: bool = False
    is_best: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Records with the columns to show."""

    name: str
    title: str
    columns: tuple[Column, ...]
    records: list[Record]

    def rows(self) -> list[list[Cell]]:
        """The cells of the page."""
        best = {column.key: self._best(column) for column in self.columns}
        return [
            [_cell(column, record[column.key], best[column.key]) for column in self.columns] for record in self.records
        ]

    def frame(self) -> pl.DataFrame:
        """The values of the CSV file: a score takes three columns, `x`, `x_low` and `x_high`."""
        values: dict[str, list[Any]] = {}
        for column in self.columns:
            found = [record[column.key] for record in self.records]
            if column.kind in _INTERVALS:
                for suffix, part in (("", "value"), ("_low", "low"), ("_high", "high")):
                    values[column.key + suffix] = [interval[part] for interval in found]
            else:
                values[column.key] = list(map(str, found)) if column.kind == "text" else found
        return pl.DataFrame(values, infer_schema_length=None, strict=False)

    def _best(self, column: Column) -> float | None:
        if column.best is None:
            return None
        numbers = [_number(record[column.key]) for record in self.records]
        known = [number for number in numbers if number is not None]
        if len(known) < 2:
            return None
        return max(known) if column.best == "high" else min(known)


def _number(value: Any) -> float | None:
    number = value["value"] if isinstance(value, dict) else value
    return None if number is None else float(number)


def _cell(column: Column, value: Any, best: float | None) -> Cell:
    if column.kind == "text":
        return Cell(text=str(value), sort=str(value))
    number = _number(value)
    if number is None:
        return Cell(text=column.absent, sort=None, is_number=True)
    detail = ""
    if column.kind in _INTERVALS and value["low"] is not None:
        detail = _INTERVALS[column.kind](value["low"], value["high"])
    text = _NUMBERS[column.kind](number, column.digits)
    return Cell(text=text, sort=number, detail=detail, is_number=True, is_best=number == best)


def signed(number: float) -> str:
    """A difference, with a minus that is no hyphen."""
    return f"{number:+.3f}".replace("-", "−")


def three_figures(number: float | None) -> str:
    """A number with three figures, or whole from a hundred on; a dash where there is none."""
    if number is None:
        return "–"
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


_NUMBERS: Final[dict[str, Callable[[float, int], str]]] = {
    "number": lambda number, digits: f"{number:,.{digits}f}",
    "figure": lambda number, _: three_figures(number),
    "score": lambda number, _: f"{number:,.3f}",
    "rate": lambda number, _: three_figures(number),
    "difference": lambda number, _: signed(number),
    "p": lambda number, _: f"{number:.3f}" if number >= SMALLEST_P else f"<{SMALLEST_P}",
}
"""How the values of a kind are shown."""
_INTERVALS: Final[dict[str, Callable[[float, float], str]]] = {
    "score": lambda low, high: f"{low:.3f}–{high:.3f}",
    "rate": lambda low, high: f"{three_figures(low)}–{three_figures(high)}",
    "difference": lambda low, high: f"[{signed(low)}, {signed(high)}]",
}
"""Likewise the intervals of those kinds that have one."""


def translated(columns: Iterable[Column], _: Locale) -> tuple[Column, ...]:
    """The columns with their headings, and what stands for nothing, in a language."""
    return tuple(replace(column, title=_.heading(column.title), absent=_.heading(column.absent)) for column in columns)


def runs_table(runs: Sequence[Run], labels: dict[str, str], _: Locale) -> Table:
    """Every finished run with its main settings and scores."""
    settings = (
        ("variant", "Variant"),
        ("arch", "Architecture"),
        ("aug", "Augmentation"),
        ("loader", "Loader"),
        ("seed", "Seed"),
        ("image_size", "Image px"),
    )
    records = [
        {
            "run": labels[run.name],
            "dataset": run.dataset,
            **{key: run.config.get(key, "–") for key, __ in settings},
            "epochs_run": run.result.training.get("epochs_run"),
            "n": run.result.n,
            **{name: run.result.scores[name] for name in _HEADLINE_METRICS},
            "folder": run.name,
        }
        for run in runs
        if run.result
    ]
    columns = (
        Column(key="run", title="Run"),
        Column(key="dataset", title="Dataset"),
        *(Column(key=name, title=_TITLES[name], kind="score") for name in _HEADLINE_METRICS),
        Column(key="n", title="Test faces", kind="number"),
        *(Column(key=key, title=title) for key, title in settings),
        Column(key="epochs_run", title="Epochs", kind="number"),
        Column(key="folder", title="Folder"),
    )
    return Table(name="runs", title=_("All runs"), columns=translated(columns, _), records=records)


def metrics_table(dataset: str, results: Sequence[tuple[str, Result]], _: Locale) -> Table:
    """All metrics of the runs tested on one dataset."""
    columns = (
        Column(key="run", title="Run"),
        *(
            Column(
                key=metric.name,
                title=_TITLES[metric.name],
                kind="score",
                best="high" if metric.higher_is_better else "low",
            )
            for metric in METRICS
        ),
    )
    records = [{"run": label, **result.scores} for label, result in results]
    return Table(
        name=f"metrics-{dataset}",
        title=_("All metrics on {dataset}", dataset=dataset),
        columns=translated(columns, _),
        records=records,
    )


def classes_table(dataset: str, results: Sequence[tuple[str, Result]], _: Locale) -> Table:
    """Precision, recall, F1 and AUROC of each class and run."""
    records = [
        {"run": label, "class": name, **found} for label, result in results for name, found in result.per_class.items()
    ]
    titles = {"precision": "Precision ↑", "recall": "Recall ↑", "f1": "F1 ↑", "auroc": "AUROC ↑"}
    columns = (
        Column(key="run", title="Run"),
        Column(key="class", title="Class"),
        Column(key="support", title="Test faces", kind="number"),
        *(Column(key=name, title=titles[name], kind="score") for name in CLASS_METRICS),
    )
    return Table(
        name=f"classes-{dataset}",
        title=_("Every class on {dataset}", dataset=dataset),
        columns=translated(columns, _),
        records=records,
    )


def cross_table(runs: Sequence[Run], labels: dict[str, str], _: Locale) -> Table:
    """Each run on the test sets of other datasets, beside its own."""
    records = [
        {
            "run": labels[run.name],
            "trained_on": run.dataset,
            "tested_on": result.dataset,
            "n": result.n,
            **{name: result.scores[name] for name in _HEADLINE_METRICS},
            "own_balanced_accuracy": run.result.scores["balanced_accuracy"] if run.result else _UNKNOWN,
        }
        for run in runs
        for result in run.cross
    ]
    columns = (
        Column(key="run", title="Run"),
        Column(key="trained_on", title="Trained on"),
        Column(key="tested_on", title="Tested on"),
        *(Column(key=name, title=_TITLES[name], kind="score") for name in _HEADLINE_METRICS),
        Column(key="own_balanced_accuracy", title="Balanced accuracy on its own test set", kind="score"),
        Column(key="n", title="Test faces", kind="number"),
    )
    return Table(name="cross", title=_("Across datasets"), columns=translated(columns, _), records=records)


def cost_table(runs: Sequence[Run], labels: dict[str, str], _: Locale) -> Table:
    """Time, speed, memory and work of every run that has logged an epoch or ended."""
    columns = (
        Column(key="run", title="Run"),
        Column(key="dataset", title="Dataset"),
        *(
            Column(key=key, title=title, kind="number", digits=digits, absent=NOT_MEASURED)
            for key, title, digits in (
                ("seconds", "Training s ↓", 1),
                ("epoch_s", "Epoch s ↓", 1),
                ("images_per_s", "Images/s ↑", 0),
                ("loader_wait", "Loader wait, share ↓", 3),
                ("peak_rss_mib", "Peak memory MiB ↓", 0),
                ("peak_gpu_mib", "Peak GPU memory MiB ↓", 0),
                ("gpu_memory_mib", "GPU memory by NVML MiB ↓", 0),
                ("gpu_utilisation", "GPU utilisation, share", 3),
                ("parameters", "Parameters", 0),
                ("gflops", "GFLOPs per image ↓", 2),
                ("energy_j", "Energy J ↓", 0),
            )
        ),
    )
    records = [
        {"run": labels[run.name], "dataset": run.dataset, **_cost(run)}
        for run in runs
        if run.result or run.epochs is not None
    ]
    return Table(name="time-and-memory", title=_("Time and memory"), columns=translated(columns, _), records=records)


def _cost(run: Run) -> Record:
    """Totals of the run, its mean utilisation; epoch and speed are medians over epochs, memory the peak of all."""
    training = run.result.training if run.result else {}
    cost: Record = {key: training.get(key) for key in _OF_TRAINING}
    cost["gflops"] = None if (flops := training.get("flops")) is None else flops / 1e9
    measured: Record = dict.fromkeys(("epoch_s", "images_per_s", "loader_wait", "peak_rss_mib", "peak_gpu_mib"))
    if run.epochs is not None:
        both = pl.col("train_seconds").is_not_null() & pl.col("loader_wait_s").is_not_null()
        waited, took = pl.col("loader_wait_s").filter(both).sum(), pl.col("train_seconds").filter(both).sum()
        measured = run.epochs.select(
            epoch_s=pl.col("seconds").median(),
            images_per_s=pl.col("images_per_s").median(),
            loader_wait=pl.when(took > 0).then(waited / took),
            peak_rss_mib=pl.col("peak_rss_mib").max(),
            peak_gpu_mib=pl.col("peak_gpu_mib").max(),
        ).row(0, named=True)
    return cost | measured


def confusion_table(runs: Sequence[Run], labels: dict[str, str], _: Locale) -> Table:
    """Every cell of every confusion matrix: for the CSV file."""
    texts = ("run", "trained_on", "tested_on", "true", "predicted")
    columns = (
        *(Column(key=key, title=key.replace("_", " ").capitalize()) for key in texts),
        Column(key="faces", title="Faces", kind="number"),
        Column(key="share", title="Share of the true class", kind="number", digits=3),
    )
    records = [
        {"run": labels[run.name], "trained_on": run.dataset, "tested_on": result.dataset, **cell}
        for run in runs
        for result in run.results()
        if result.confusion
        for cell in result.confusion.cells()
    ]
    return Table(name="confusion", title=_("Confusion"), columns=translated(columns, _), records=records)
