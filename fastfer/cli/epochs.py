"""A training at the screen: a table that grows by a row with each epoch, or a line for each in a log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich import box
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fastfer.cli.console import OUT, say

if TYPE_CHECKING:
    from fastfer.training.log import EpochRow  # imports torch: --help must not wait

UNMEASURED: Final = "-"
COLUMNS: Final[dict[str, Callable[["EpochRow"], str]]] = {
    "epoch": lambda row: str(row.epoch),
    "train loss": lambda row: f"{row.train_loss:.3f}",
    "val loss": lambda row: f"{row.val_loss:.3f}",
    "train acc.": lambda row: f"{row.train_accuracy:.3f}",
    "val acc.": lambda row: f"{row.val_accuracy:.3f}",
    "macro F1": lambda row: f"{row.val_macro_f1:.3f}",
    "lr": lambda row: f"{row.lr:.1e}",
    "img/s": lambda row: f"{row.images_per_s:,.0f}",
    "wait": lambda row: f"{row.loader_wait_s / row.train_seconds:.1%}",
    "RAM MiB": lambda row: f"{row.peak_rss_mib:,.0f}",
    "GPU MiB": lambda row: UNMEASURED if row.peak_gpu_mib is None else f"{row.peak_gpu_mib:,.0f}",
}
LINES_AROUND: Final = 8
"""Of the screen: title, head, rules, and the bar of the epoch under way."""


@contextmanager
def show_epochs(title: str) -> Iterator[Callable[["EpochRow"], None]]:
    """Show a training's epochs as they end; the context gives the function that takes each of them."""
    if not OUT.is_terminal:
        yield lambda row: say("   ".join(f"{name} {cell(row)}" for name, cell in COLUMNS.items()))
        return
    rows: list[EpochRow] = []
    with Live(_table(title, rows), console=OUT, auto_refresh=False) as live:

        def add(row: "EpochRow") -> None:
            rows.append(row)
            live.update(_table(title, rows[-max(1, OUT.height - LINES_AROUND) :]), refresh=True)

        try:
            yield add
        finally:
            live.update(_table(title, rows) if rows else "")  # whole, above what is printed next


def _table(title: str, rows: "list[EpochRow]") -> Table:
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    measured = {name: cell for name, cell in COLUMNS.items() if any(cell(row) != UNMEASURED for row in rows)}
    for name in measured:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(cell(row) for cell in measured.values()))
    return table
