"""What the command line shows: bars with rates, tables, and the line that says where things are."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

OUT: Final = Console(highlight=False)
ERR: Final = Console(stderr=True, highlight=False)
LOG_EVERY_S: Final = 15.0
LOG_WIDTH: Final = 400
"""Columns that a table may take where no window limits it."""


@contextmanager
def track(title: str, *, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """A `Track` (see `pipelines.progress`): a live bar on a terminal, a line now and then in a log."""
    started = time.perf_counter()
    if OUT.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
        )
        with Progress(*columns, TimeRemainingColumn(), console=OUT, transient=True) as bars:
            bar = bars.add_task(title, total=total, rate="")

            def advance(count: int) -> None:
                done = bars.tasks[0].completed + count
                bars.update(bar, advance=count, rate=_rate(done, started, unit))

            yield advance
    else:
        yield _logged(title, total, unit, started)


def _logged(title: str, total: int, unit: str, started: float) -> Callable[[int], None]:
    done, said = 0, started

    def advance(count: int) -> None:
        nonlocal done, said
        done += count
        if time.perf_counter() - said >= LOG_EVERY_S and done < total:
            said = time.perf_counter()
            say(f"{title}: {done} of {total} {unit}, {_rate(done, started, unit)}")

    return advance


def _rate(done: float, started: float, unit: str) -> str:
    return f"{done / max(time.perf_counter() - started, 1e-9):.1f} {unit}/s"


def say(text: str) -> None:
    """Print one line as it is: names from data are never taken for markup."""
    OUT.print(Text(text), soft_wrap=True)


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; the first column to the left, the others to the right. In a log each row is one line."""
    table = Table(title=Text(title), title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(Text(column), justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    out = OUT if OUT.is_terminal else Console(highlight=False, width=LOG_WIDTH)
    out.print(table)


def show_counts(title: str, classes: Sequence[str], counts: Mapping[str, Mapping[str, int]]) -> None:
    """Print a table of counts: a row for each class, a column for each set, and their sums."""
    sums = ("all", *(sum(of_set.values()) for of_set in counts.values()))
    rows = [(name, *(of_set[name] for of_set in counts.values())) for name in classes]
    show_table(title, ("class", *counts), [*rows, sums])
