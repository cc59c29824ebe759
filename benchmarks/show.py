"""A case as the terminal shows it."""

import sys
from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.schema import MEASURES, Case, Entry
from fastfer.report.tables import three_figures

MOST_COLUMNS: Final = 8
LOG_WIDTH: Final = 120
"""Columns where there is no terminal, as in a log."""
OUT: Final = Console(width=None if sys.stdout.isatty() else LOG_WIDTH)


def show(case: Case) -> None:
    """Print a case: its contenders, fastest first, each beside ours, and the figures that were measured of them."""
    entries = sorted(case.contenders.items(), key=lambda item: -item[1].per_s.median)
    names = dict.fromkeys(name for _, entry in entries for name, value in entry.measures.items() if value is not None)
    heads = [f"{case.unit}/s", "95% interval", f"{case.ours} is", *map(_title, names)]
    rows = [_cells(case, entry, names) for _, entry in entries]
    at = "" if case.axis is None else f", {case.axis.name} {case.axis.value:g}"
    table = Table(title=f"{case.title}{at}", caption=case.how)
    table.add_column("")
    if len(heads) <= len(rows) or len(heads) <= MOST_COLUMNS:
        for head in heads:
            table.add_column(head, justify="right")
        for (name, _), cells in zip(entries, rows, strict=True):
            table.add_row(name, *cells)
    else:  # few contenders with many figures stand side by side
        for name, _ in entries:
            table.add_column(name, justify="right")
        for head, *cells in zip(heads, *rows, strict=True):
            table.add_row(head, *cells)
    OUT.print(table)
    for name, why in case.failed.items():
        OUT.print(f"failed: {name}: {why}", highlight=False, markup=False)


def _title(measure: str) -> str:
    kind = MEASURES[measure]
    return f"{kind.title}, {kind.unit}"


def _cells(case: Case, entry: Entry, measures: Iterable[str]) -> list[str]:
    """A contender's rate, its interval, how much faster ours is, and the measures."""
    ours, rate = case.contenders.get(case.ours), entry.per_s
    ratio = "" if ours is None else f"{ours.per_s.median / rate.median:.2f} x"
    interval = f"{three_figures(rate.low)} to {three_figures(rate.high)}"
    return [
        three_figures(rate.median),
        interval,
        ratio,
        *(three_figures(entry.measures.get(name)) for name in measures),
    ]
