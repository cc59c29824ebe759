"""Runs listed and compared in the terminal: the numbers of the run folders, and nothing half said."""

import json
from pathlib import Path
from typing import Any

import pytest

from fastfer.cli import main
from fastfer.cli.runs import COLUMNS
from fastfer.evaluation.metrics import METRICS
from tests.fastfer.cli.test_cli import run as failing
from tests.fastfer.report.conftest import write_run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two finished runs, one of them crossed; one with epochs only, and one with nothing yet."""
    folder = tmp_path / "runs"
    write_run(folder, arch="resnet", aug="none", skill=1.6, cross=["demo-expw"])
    write_run(folder, arch="vit", skill=2.8, seed=1)
    write_run(folder, arch="efficientvit", epochs=3, finished=False, name="stopped")
    write_run(folder, arch="efficientnet", epochs=0, finished=False, name="begun")
    return folder


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main(("runs", *arguments))
    return capsys.readouterr().out


def lines(out: str) -> list[list[str]]:
    """The cells of a table's rows."""
    return [[cell.strip() for cell in line.strip("│ ").split("│")] for line in out.splitlines() if line[:1] == "│"]


def metrics_of(runs: Path, arch: str) -> dict[str, Any]:
    (path,) = runs.glob(f"*-{arch}-*/metrics.json")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_the_list_holds_the_settings_scores_and_states(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = told(capsys, "--runs", str(runs))
    assert out.startswith("4 runs, dataset demo-rafdb")
    rows = {row[2]: row for row in lines(out)}
    assert set(rows) == {"resnet", "vit", "efficientvit", "efficientnet"}
    scores = metrics_of(runs, "vit")
    interval = "{value:.3f} ({low:.3f} to {high:.3f})".format(**scores["balanced_accuracy"])
    found = [interval, *(f"{scores[name]['value']:.3f}" for name in ("accuracy", "macro_f1"))]
    assert rows["vit"][1:] == ["augmented", "vit", "online", "1", "finished", "8", *found, "52"]
    assert rows["efficientvit"][5:] == ["unfinished, epoch 3 of 8", "-", "-", "-", "-", "20"]
    assert rows["efficientnet"][0] == "begun"
    assert rows["efficientnet"][5:] == ["unfinished, epoch 0 of 8", "-", "-", "-", "-", "-"]


def test_a_trained_run_without_a_test_says_so(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "stopped" / "training.json").write_text("{}")
    assert "trained, not tested" in told(capsys, "--runs", str(runs))


@pytest.mark.parametrize(
    ("column", "archs"),
    [
        ("balanced_accuracy", ["vit", "resnet", "efficientnet", "efficientvit"]),
        ("seconds", ["efficientvit", "vit", "resnet", "efficientnet"]),
        ("arch", ["efficientnet", "efficientvit", "resnet", "vit"]),
        ("seed", ["efficientnet", "resnet", "efficientvit", "vit"]),
    ],
)
def test_sorting_puts_the_best_or_least_first_and_the_unknown_last(
    runs: Path, capsys: pytest.CaptureFixture[str], column: str, archs: list[str]
) -> None:
    assert [row[2] for row in lines(told(capsys, "--runs", str(runs), "--sort", column))] == archs


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_can_be_sorted_by(runs: Path, capsys: pytest.CaptureFixture[str], column: str) -> None:
    assert len(lines(told(capsys, "--runs", str(runs), "--sort", column))) == 4


def test_two_runs_side_by_side(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = told(capsys, "--runs", str(runs), "--compare", "resnet,vit")
    settings, home, away = (lines(part) for part in out.split("Settings that differ")[1].split("Tested on "))
    assert [row[0] for row in settings] == ["variant", "arch", "model", "aug", "seed"]
    assert settings[1] == ["arch", "resnet", "vit"]
    first, second = metrics_of(runs, "resnet"), metrics_of(runs, "vit")
    assert len(home) == len(away) == len(METRICS)
    for metric, row in zip(METRICS, home, strict=True):
        values = [content[metric.name]["value"] for content in (first, second)]
        assert [cell.split()[0] for cell in row[1:]] == [*(f"{v:.3f}" for v in values), f"{values[1] - values[0]:+.3f}"]
    assert {row[2] for row in away} == {row[3] for row in away} == {"-"}  # the second was not tested there


def test_three_runs_side_by_side_have_no_difference(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = told(capsys, "--runs", str(runs), "--compare", "resnet,vit,begun")
    assert "C: begun, unfinished, epoch 0 of 8" in out
    assert "B - A" not in out


def test_a_broken_run_is_told_and_the_others_are_listed(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "begun" / "config.json").write_text("{")
    out = told(capsys, "--runs", str(runs))
    assert len(lines(out)) == 3
    assert f"{runs / 'begun' / 'config.json'} cannot be read" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--sort", "colour"), "no column 'colour' to sort by: choose one of name, dataset"),
        (("--select", "x*"), "none of the 4 runs in"),
        (("--compare", "vit"), "--compare sets two or more runs side by side"),
        (("--compare", "vit,nothing"), "no run is called 'nothing'"),
        (("--compare", "vit,demo-rafdb"), "2 runs are called 'demo-rafdb'"),
    ],
)
def test_wrong_use_is_said(
    runs: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    code, _, err = failing(capsys, "runs", "--runs", str(runs), *arguments)
    assert code == 2
    assert sentence in err
