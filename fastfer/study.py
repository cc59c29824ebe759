"""The whole matrix, one step after the other; what is done already is not done again."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from fastfer.balance import BalanceConfig, balance
from fastfer.config import AUGMENTATIONS, TrainConfig
from fastfer.datasets.demo import DemoConfig, make_demo_data
from fastfer.evaluation.cross import cross
from fastfer.evaluation.evaluate import METRICS_NAME, FinishedRun, evaluate
from fastfer.report import make_report
from fastfer.shards import ShardConfig, make_shards
from fastfer.training.fit import fit
from fastfer.training.log import EpochRow
from fastfer.training.run import Run, read_json
from pipelines.progress import Track

OnEpoch = Callable[[EpochRow], None]
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyConfig:
    """Which cells of the matrix are run, and where everything lies. `train` gives the settings all runs share."""

    name: str
    datasets: tuple[str, ...]
    archs: tuple[str, ...]
    augs: tuple[str, ...]
    size_px: int
    shard_rows: int
    train: TrainConfig
    data_root: Path = Path("data/raw")
    results: Path = Path("results")
    reports: Path = Path("reports")
    workers: int = 2

    def cells(self) -> list[TrainConfig]:
        """Every run of the matrix."""
        return [
            replace(self.train, dataset=dataset, arch=arch, aug=aug)
            for dataset in self.datasets
            for arch in self.archs
            for aug in self.augs
        ]


DEMO: Final = StudyConfig(
    name="demo",
    datasets=("demo-rafdb", "demo-expw"),
    archs=("resnet10t",),
    augs=("none", "online"),
    size_px=64,
    shard_rows=128,
    train=TrainConfig(
        dataset="demo-rafdb", pretrained=False, epochs=16, batch=32, lr=1.5e-3, warmup_epochs=1.0, patience=8
    ),
)
"""Small enough for two cores and no network: from nothing, in minutes."""


def train_and_test(config: TrainConfig, *, track: Track, on_epoch: OnEpoch, say: Say) -> tuple[Run, dict[str, Any]]:
    """Train a run and test its best epoch on its own test split; what an earlier call finished is read, not redone."""
    run = Run.of(config, say)
    if run.is_trained:
        say(f"{run.folder.name}: trained already")
    else:
        say(f"{run.folder.name}: training {run.settings['model']}")
        fit(run, track=track, on_epoch=on_epoch)
    finished = FinishedRun.open(run.folder)
    done = finished.results(config.dataset) / METRICS_NAME
    if done.is_file():
        return run, read_json(done)
    metrics = evaluate(
        finished,
        config.dataset,
        shards=config.shards,
        loader=config.loader,
        cache=config.cache,
        place=config.place,
        verify=config.verify,
        workers=config.workers,
        track=track,
    )
    return run, metrics


def run_demo(study: StudyConfig, demo: DemoConfig, *, track: Track, on_epoch: OnEpoch, say: Say) -> Path:
    """Make the demo data, then run the study on it; returns the report."""
    say("Demo data")
    make_demo_data(study.data_root, demo, track)
    return run_study(study, track=track, on_epoch=on_epoch, say=say)


def run_study(study: StudyConfig, *, track: Track, on_epoch: OnEpoch, say: Say) -> Path:
    """Shards, balance, every training and test, across, and the report, whose path is returned.

    Raises:
        InputError: a dataset is missing, or something else in the way; what was finished stays.
    """
    shards = study.train.shards
    for dataset in study.datasets:
        say(f"Records of {dataset}")
        make_shards(
            ShardConfig(
                dataset=dataset,
                data_root=study.data_root / dataset,
                out=shards,
                size_px=study.size_px,
                shard_rows=study.shard_rows,
                workers=study.workers,
            ),
            track,
            say,
        )
        if any(AUGMENTATIONS[aug] == "augmented" for aug in study.augs):
            balance(BalanceConfig(dataset=dataset, out=shards, workers=study.workers), track)
    runs = []
    for cell in study.cells():
        run, metrics = train_and_test(cell, track=track, on_epoch=on_epoch, say=say)
        say(f"{run.folder.name}: test balanced accuracy {metrics['balanced_accuracy']['value']:.3f}")
        runs.append(FinishedRun.open(run.folder))
    say("Across datasets")
    cross(runs, shards=shards, out=study.results / f"{study.name}-cross.csv", track=track)
    names = {run.folder.name for run in runs}
    return make_report(study.train.runs, study.reports / study.name, select=names.__contains__, track=track)
