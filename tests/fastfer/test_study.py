"""A small matrix: planned, run, gone on with, done, and told."""

import html
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fastfer import cells, study
from fastfer.cells import as_arguments, title, train_on_devices, unseen
from fastfer.cli.app import parser
from fastfer.config import TrainConfig
from fastfer.evaluation.metrics import METRICS
from fastfer.plan import plan_of
from fastfer.results import RELATIONS
from fastfer.study import Outcome, StudyConfig, run_study
from fastfer.training.run import Run
from pipelines.errors import InputError
from pipelines.progress import untracked
from tests.fastfer.conftest import DEMO_SETS, SIZE_PX
from tests.fastfer.training.test_fit import quiet, train_config

TOGETHER = "+".join(DEMO_SETS)


@pytest.fixture(scope="module")
def small(raw: Path, shards: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyConfig:
    """Both demo sets, raw, preprocessed and balanced, one network, one epoch; its records are there but for raw."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "shards").mkdir()
    for dataset in DEMO_SETS:
        (folder / "shards" / dataset).mkdir()
        for path in (shards / dataset).iterdir():
            (folder / "shards" / dataset / path.name).symlink_to(path)
    train = train_config(folder / "shards", folder / "runs", epochs=1, aug="none", mixup=0.0)
    return StudyConfig(
        name="small", datasets=DEMO_SETS, archs=("resnet10t",), augs=("none", "offline"), train=train, size_px=SIZE_PX,
        shard_rows=24, data_root=raw, results=folder / "results", reports=folder / "reports",
    )  # fmt: skip


def ran(config: StudyConfig) -> tuple[Outcome, list[str]]:
    said: list[str] = []
    outcome = run_study(config, track=untracked, epochs=unseen, say=said.append)
    return outcome, said


@pytest.fixture(scope="module")
def done(small: StudyConfig) -> Outcome:
    """The study, which fails in one cell at first and is given again."""
    broken = title(small.cells()[-1])
    with pytest.MonkeyPatch.context() as patch:
        fit = cells.fit

        def failing(run: Run, **how: Any) -> bool:
            if title(run.config) == broken:
                raise RuntimeError("the machine failed\nin a long story")
            return fit(run, **how)

        patch.setattr(cells, "fit", failing)
        outcome, said = ran(small)
    assert outcome.failed == {broken: "the machine failed in a long story"}
    assert len(outcome.runs) == len(small.cells()) - 1
    assert outcome.report is not None
    assert f"{broken}: failed: the machine failed in a long story" in said
    states = {step.name: step.done for step in plan_of(small)}
    assert [name for name, is_done in states.items() if not is_done] == [broken]
    outcome, said = ran(small)
    assert outcome.failed == {}
    assert sum("trained already" in line for line in said) == len(small.cells()) - 1
    return outcome


@pytest.mark.usefixtures("done")
def test_the_table_has_a_row_for_every_run_and_test_set(small: StudyConfig) -> None:
    table = pl.read_csv(small.tables / "results.csv")
    assert pl.read_parquet(small.tables / "results.parquet").columns == table.columns
    found = table.select("trained_on", "variant", "aug", "tested_on", "relation").rows()
    expected = []
    for one, other in (DEMO_SETS, DEMO_SETS[::-1]):
        for variant, aug in (("raw", "none"), ("preprocessed", "none"), ("augmented", "offline")):
            expected += [(one, variant, aug, one, "own"), (one, variant, aug, other, "cross")]
    for variant, aug in (("preprocessed", "none"), ("augmented", "offline")):
        expected += [(TOGETHER, variant, aug, TOGETHER, "together")]
        expected += [(TOGETHER, variant, aug, dataset, "part") for dataset in DEMO_SETS]
    assert sorted(found) == sorted(expected)
    assert set(table["relation"]) == set(RELATIONS)
    for metric in METRICS:
        assert table[metric.name].null_count() == 0, metric.name
        assert {f"{metric.name}_low", f"{metric.name}_high"} <= set(table.columns)
    assert table["train_seconds"].min() > 0  # type: ignore[operator]
    for name in ("peak_gpu_mib", "gpu_memory_mib", "gpu_utilisation", "energy_j"):
        assert table[name].null_count() == len(table), name  # not measured here, never 0


def test_the_report_says_the_numbers_of_the_table(done: Outcome, small: StudyConfig) -> None:
    results = pl.read_parquet(small.tables / "results.parquet")
    tables = report_tables(done)
    folders = {(row["dataset"], row["run"]): row["folder"] for row in tables["runs"].iter_rows(named=True)}
    same = {"n": "n", "epochs_run": "epochs_run", "seconds": "train_seconds"}
    same |= {name: name for name in ("parameters", "images_per_s", "peak_rss_mib", "peak_gpu_mib", "energy_j")}
    same |= {name: name for name in ("gpu_memory_mib", "gpu_utilisation")}
    same |= {f"{metric.name}{side}": f"{metric.name}{side}" for metric in METRICS for side in ("", "_low", "_high")}
    checked = 0
    for name in ("runs", "cross", "time-and-memory", *(f"metrics-{dataset}" for dataset in (*DEMO_SETS, TOGETHER))):
        for line in tables[name].iter_rows(named=True):
            trained_on = line.get("dataset") or line.get("trained_on") or name.removeprefix("metrics-")
            tested_on = line.get("tested_on") or trained_on
            run = pl.col("run") == folders[trained_on, line["run"]]
            row = results.row(by_predicate=run & (pl.col("tested_on") == tested_on), named=True)
            for column in line.keys() & same.keys():
                assert line[column] == row[same[column]], (name, column)
                checked += 1
    assert checked > 500
    for line in tables["time-and-memory"].iter_rows(named=True):
        assert line["gflops"] == results["flops"][0] / 1e9


def test_the_report_contrasts_the_numbers_of_the_table(done: Outcome, small: StudyConfig) -> None:
    results = pl.read_parquet(small.tables / "results.parquet").filter(pl.col("variant") != "raw")

    def scored(**where: str) -> float:
        row = results.row(
            by_predicate=pl.all_horizontal(pl.col(key) == value for key, value in where.items()), named=True
        )
        return float(row["balanced_accuracy"])

    tables = report_tables(done)
    assert len(tables["augmentation"]) == 3
    for line in tables["augmentation"].iter_rows(named=True):
        at_home = {"trained_on": line["trained_on"], "tested_on": line["trained_on"]}
        assert line["balanced_accuracy_base"] == scored(**at_home, aug="none")
        assert line["balanced_accuracy_run"] == scored(**at_home, aug=line["aug"])
    assert len(tables["together"]) == 4
    for line in tables["together"].iter_rows(named=True):
        test = {"tested_on": line["tested_on"], "aug": line["aug"]}
        assert line["balanced_accuracy_base"] == scored(**test, trained_on=line["tested_on"])
        assert line["balanced_accuracy_run"] == scored(**test, trained_on=TOGETHER)
    pairs = pl.read_csv(small.tables / "compare.csv")
    for line in [*tables["augmentation"].iter_rows(named=True), *tables["together"].iter_rows(named=True)]:
        assert abs(line["balanced_accuracy_difference"]) in [
            pytest.approx(abs(found)) for found in pairs["balanced_accuracy_difference"]
        ]
        assert line["balanced_accuracy_difference_low"] <= line["balanced_accuracy_difference"]


def test_the_page_shows_the_numbers_of_its_tables(done: Outcome) -> None:
    tables = report_tables(done)
    assert done.report is not None
    shown = done.report.read_text().split('<div class="table">')[1:]
    for part in shown:
        (name,) = re.findall(r'href="tables/([^"]+)\.csv"', part)
        frame = tables.pop(name)
        values = frame.drop(column for column in frame.columns if column.endswith(("_low", "_high")))
        cells = [html.unescape(cell) for cell in re.findall(r'data-sort="([^"]*)"', part)]
        expected = [value for row in values.rows() for value in row]
        assert len(cells) == len(expected), name
        for cell, value in zip(cells, expected, strict=True):
            assert cell == ("" if value is None else str(value)) or float(cell) == value, name
    assert set(tables) == {"confusion"}  # on the page the matrices are drawn


def report_tables(done: Outcome) -> dict[str, pl.DataFrame]:
    """The CSV files of a study's report, by name."""
    assert done.report is not None
    return {path.stem: pl.read_csv(path) for path in (done.report.parent / "tables").glob("*.csv")}


def test_the_findings_tell_of_all_four_questions(done: Outcome) -> None:
    told = "\n".join(done.findings)
    for part in ("best on demo-rafdb", "offline against none", "demo-rafdb -> demo-expw", "trained together against"):
        assert part in told
    for part in ("against none", "a drop of"):
        assert " to " in next(line for line in done.findings if part in line).split(part)[1]


def test_given_again_nothing_is_trained_or_tested(
    done: Outcome, small: StudyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("done already")

    monkeypatch.setattr(cells, "fit", refuse)
    monkeypatch.setattr("fastfer.evaluation.evaluate.evaluate", refuse)
    outcome, _ = ran(small)
    assert [run.folder for run in outcome.runs] == [run.folder for run in done.runs]
    assert all(step.done for step in plan_of(small))


@pytest.mark.usefixtures("done")
def test_the_plan_of_what_is_not_done_has_time_and_disk(small: StudyConfig) -> None:
    said: list[str] = []
    other = replace(small, seeds=(0, 1), archs=("resnet10t", "resnet14t"))
    steps = plan_of(other, said.append)
    waiting = [step for step in steps if not step.done]
    assert len(waiting) == len(small.cells()) * 3
    assert all(step.seconds and step.disk_bytes for step in waiting)
    assert said == ["trying out the speed of resnet14t"]


def test_impossible_cells_are_refused(small: StudyConfig) -> None:
    with pytest.raises(InputError, match="no variant best"):
        replace(small, variants=("best",))
    with pytest.raises(InputError, match="nothing is left"):
        replace(small, variants=("augmented",), augs=("none",))


def test_a_missing_dataset_fails_its_cells_and_no_other(small: StudyConfig, tmp_path: Path) -> None:
    config = replace(
        small, datasets=("demo-rafdb",), data_root=tmp_path, together=False, variants=("preprocessed",), augs=("none",),
        train=replace(small.train, shards=tmp_path / "shards"),
    )  # fmt: skip
    outcome, _ = ran(config)
    assert outcome.runs == []
    assert "make demo-data" in outcome.failed["records of demo-rafdb, preprocessed"]
    assert len(outcome.failed) == 2


def test_settings_come_back_from_the_command_line() -> None:
    config = TrainConfig(
        dataset="demo-rafdb",
        arch="vit",
        lr=0.1,
        pretrained=False,
        compile=True,
        runs=Path("x y"),
        resume=False,
        ema=0.9,
    )
    arguments = vars(parser().parse_args(["train", *as_arguments(config)]))
    assert TrainConfig(**{name: arguments[name] for name in TrainConfig.__slots__}) == config


def test_trainings_run_as_processes_and_say_why_they_failed(shards: Path, tmp_path: Path) -> None:
    good = train_config(shards, tmp_path, epochs=1, aug="none", mixup=0.0)
    bad = replace(good, dataset="demo-expw", variant="raw")
    ended = {title(cell): why for cell, why in train_on_devices([bad, good], ("0", "1"), tmp_path / "logs", quiet)}
    assert ended[title(good)] is None
    assert "no raw records of demo-expw" in (ended[title(bad)] or "")
    assert study.is_trained(good)
    assert not study.is_trained(bad)


def test_left_in_the_middle_no_training_goes_on_and_what_was_done_is_kept(shards: Path, tmp_path: Path) -> None:
    slow = train_config(shards, tmp_path, epochs=10_000, aug="none", mixup=0.0, patience=10_000)
    missing = replace(slow, dataset="demo-expw", variant="raw")
    trainings = train_on_devices([missing, slow], ("0", "1"), tmp_path / "logs", quiet)
    assert next(trainings)[0] == missing
    run, deadline = Run.of(slow), time.monotonic() + 120
    while not run.is_begun:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    trainings.close()  # type: ignore[attr-defined]
    log = (tmp_path / "logs" / f"{title(slow).replace(' ', '-')}.log").read_text()
    assert "stopped; the same command goes on" in log
    assert not run.is_trained


def test_gpus_that_are_not_there_are_refused() -> None:
    with pytest.raises(InputError, match="no GPU"):
        cells.checked_devices("0,99")
    with pytest.raises(InputError, match="no GPU 'a'"):
        cells.checked_devices("a")
