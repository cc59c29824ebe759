"""The table of epochs, on a terminal and in a log."""

import io

import pytest
from rich.console import Console

from fastfer.cli import console, epochs
from fastfer.training.log import EpochRow


def row(epoch: int) -> EpochRow:
    return EpochRow(
        epoch=epoch, train_loss=1.5, train_accuracy=0.4, val_loss=1.25, val_accuracy=0.5, val_balanced_accuracy=0.45,
        val_macro_f1=0.375, lr=1e-3, seconds=2.5, train_seconds=2.0, images_per_s=1234.0, loader_wait_s=0.02,
        peak_rss_mib=900.0, peak_gpu_mib=None,
    )  # fmt: skip


def shown(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, count: int) -> str:
    out = io.StringIO()
    screen = Console(file=out, force_terminal=terminal, width=140, height=16, highlight=False, color_system=None)
    for module in (console, epochs):
        monkeypatch.setattr(module, "OUT", screen)
    with epochs.show_epochs("run [of] names") as add:
        for epoch in range(1, count + 1):
            with console.track(f"epoch {epoch}", total=2, unit="images") as advance:
                advance(2)
            add(row(epoch))
    return out.getvalue()


def test_in_a_log_each_epoch_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, terminal=False, count=2).splitlines()
    assert lines[1] == (
        "epoch 2   train loss 1.500   val loss 1.250   train acc. 0.400   val acc. 0.500   "
        "macro F1 0.375   lr 1.0e-03   img/s 1,234   wait 1.0%   RAM MiB 900   GPU MiB -"
    )


def test_on_a_terminal_the_table_ends_whole_whatever_the_height(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, terminal=True, count=30)
    last = text[text.rindex("run [of] names") :]
    numbers = [line.split()[0] for line in last.splitlines() if "1,234" in line]
    assert numbers == [str(number) for number in range(1, 31)]


def test_nothing_is_left_of_a_training_without_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "train loss" not in shown(monkeypatch, terminal=True, count=0).split("\x1b[2K")[-1]
