"""The whole matrix, step by step: what is done is not done again, and what fails does not stop the rest."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch

from fastfer.balance import BalanceConfig, balance
from fastfer.cells import EpochView, title, train_and_test, train_on_devices
from fastfer.config import AUGMENTATIONS, TrainConfig, split_datasets
from fastfer.datasets.demo import DemoConfig, make_demo_data
from fastfer.evaluation.compare import Result, compare, shared_tests
from fastfer.evaluation.cross import CROSS_NAME, counterparts, cross, read_drops
from fastfer.evaluation.evaluate import FinishedRun, Loading, known_scores, scores_of
from fastfer.evaluation.paired import read_pairs
from fastfer.report import PAGE_NAME, PERFORMANCE, DataFolders, make_report
from fastfer.results import findings, read_results, results_table, write_results
from fastfer.shards import ShardConfig, make_shards
from fastfer.together import known_parts, training_parts
from fastfer.training.run import Run
from pipelines.errors import InputError
from pipelines.progress import Say, Track
from pipelines.records import read_info
from pipelines.records.format import INFO_NAME

VARIANTS: Final = ("raw", "preprocessed", "augmented")
MAIN: Final = "study"


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyConfig:
    """Which cells of the matrix are run, and where everything lies. `train` gives the settings all runs share.

    A cell of each augmentation trains on the variant that goes with it, if that is among `variants`; `raw` adds a
    baseline without augmentation on the faces as they were annotated. `together` adds the datasets as one, but for raw.
    With `devices` trainings run as processes of their own, one on each GPU.
    """

    name: str
    datasets: tuple[str, ...]
    archs: tuple[str, ...]
    augs: tuple[str, ...]
    train: TrainConfig
    variants: tuple[str, ...] = VARIANTS
    seeds: tuple[int, ...] = (0,)
    together: bool = True
    size_px: int = 224
    shard_rows: int = 512
    detector: str | None = None
    devices: tuple[str, ...] = ()
    data_root: Path = Path("data/raw")
    results: Path = Path("results")
    reports: Path = Path("reports")
    workers: int = 2

    def __post_init__(self) -> None:
        """Refuse impossible cells before anything is made."""
        for name, known in (("variants", VARIANTS), ("augs", tuple(AUGMENTATIONS))):
            if unknown := set(getattr(self, name)) - set(known):
                raise InputError(f"no {name[:-1]} {', '.join(sorted(unknown))}: choose of {', '.join(known)}")
        if joint := [name for name in self.datasets if "+" in name]:
            raise InputError(f"DATASETS={joint[0]}: name single datasets; TOGETHER=1 trains on all of them, too")
        if not self.cells():
            raise InputError(
                f"the augmentations {', '.join(self.augs)} train on none of {', '.join(self.variants)}: nothing is left"
            )

    def regimes(self, *, joint: bool) -> list[tuple[str, str]]:
        """(variant, augmentation) of the cells of a dataset."""
        raw = [("raw", "none")] if "raw" in self.variants and not joint else []
        return raw + [(AUGMENTATIONS[aug], aug) for aug in self.augs if AUGMENTATIONS[aug] in self.variants]

    def trained_sets(self) -> tuple[str, ...]:
        """Every set that is trained on: each dataset, and all of them together."""
        if not self.together or len(self.datasets) == 1:
            return self.datasets
        return *self.datasets, "+".join(split_datasets("+".join(self.datasets)))

    def cells(self) -> list[TrainConfig]:
        """Every run of the matrix."""
        return [
            replace(self.train, dataset=dataset, arch=arch, aug=aug, variant=variant, seed=seed)
            for dataset in self.trained_sets()
            for arch in self.archs
            for variant, aug in self.regimes(joint="+" in dataset)
            for seed in self.seeds
        ]

    def record_jobs(self) -> list[tuple[str, str]]:
        """(dataset, variant) of all records that the cells need, in the order in which they are made."""
        needed = {(cell.dataset, cell.trained_variant) for cell in self.cells()}
        balanced = {(dataset, "preprocessed") for dataset, variant in needed if variant == "augmented"}
        alone = {(dataset, variant) for names, variant in needed | balanced for dataset in names.split("+")}
        joint = {(names, variant) for names, variant in needed if "+" in names}
        return sorted(alone | joint, key=lambda job: ("+" in job[0], job[0], VARIANTS.index(job[1])))

    def shard_config(self, dataset: str, variant: str) -> ShardConfig:
        """How the records of a single dataset are made."""
        return ShardConfig(
            dataset=dataset,
            data_root=self.data_root / dataset,
            out=self.train.shards,
            variant=variant,
            detector=self.detector if variant == "preprocessed" else None,
            device="cuda" if torch.cuda.is_available() else "cpu",
            size_px=self.size_px,
            shard_rows=self.shard_rows,
            workers=self.workers,
        )

    @property
    def tables(self) -> Path:
        """Where its tables go: a study of another name does not overwrite the study's."""
        return self.results if self.name == MAIN else self.results / self.name


DEMO: Final = StudyConfig(
    name="demo",
    datasets=("demo-rafdb", "demo-expw"),
    archs=("resnet10t",),
    augs=("none", "online"),
    variants=("preprocessed", "augmented"),
    together=False,
    size_px=64,
    shard_rows=128,
    train=TrainConfig(
        dataset="demo-rafdb", pretrained=False, epochs=16, batch=32, lr=1.5e-3, warmup_epochs=1.0, patience=8
    ),
)
"""Small enough for two cores and no network: from nothing, in minutes."""


@dataclass(slots=True)
class Outcome:
    """What a study came to: its finished runs, what failed and why, the report, and its findings in sentences."""

    runs: list[FinishedRun] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    report: Path | None = None
    findings: list[str] = field(default_factory=list)

    def attempt(self, what: str, work: Callable[[], object], say: Say) -> None:
        """Do a step, or note why it failed. A fault of ours is told with its trace, and the rest goes on as well."""
        try:
            work()
        except Exception as error:
            self.failed[what] = " ".join(str(error).split()) or type(error).__name__
            say(f"{what}: failed: {self.failed[what]}")
            if not isinstance(error, InputError | OSError):
                say(traceback.format_exc())


def run_demo(study: StudyConfig, demo: DemoConfig, *, track: Track, epochs: EpochView, say: Say) -> Outcome:
    """Make the demo data, then run the study on it."""
    say("Demo data")
    make_demo_data(study.data_root, demo, track)
    return run_study(study, track=track, epochs=epochs, say=say)


def run_study(study: StudyConfig, *, track: Track, epochs: EpochView, say: Say) -> Outcome:
    """Records, every training with its tests, across, together, comparisons, the table of results and the report."""
    outcome = Outcome()
    for dataset, variant in study.record_jobs():
        what = records_step(dataset, variant)
        say(what.capitalize())
        outcome.attempt(what, partial(_make_records, study, dataset, variant, track, say), say)
    _train_all(study, outcome, track, epochs, say)
    if not outcome.runs:
        return outcome
    say("Across datasets, and together")
    _test_across(study, outcome, track, say)
    table = results_table(outcome.runs, study.train.shards)
    before, page = read_results(study.tables), study.reports / study.name / PAGE_NAME
    say(f"results: {write_results(table, study.tables)}")
    after = read_results(study.tables)
    if before is not None and after is not None and before.equals(after) and page.is_file():
        say("no result has changed: comparisons and report stay as they are")
        outcome.report = page
    else:
        if shared_tests([result for run in outcome.runs for result in Result.all_of(run)]):
            outcome.attempt("comparisons", partial(compare, outcome.runs, out=study.tables, track=track), say)
        outcome.attempt("report", partial(_report, study, outcome, track), say)
    outcome.findings = findings(table, read_pairs(study.tables), read_drops(study.tables / CROSS_NAME))
    return outcome


def records_step(dataset: str, variant: str) -> str:
    """What the making of a variant is called in the plan and among the failures."""
    return f"records of {dataset}, {variant}"


def _make_records(study: StudyConfig, dataset: str, variant: str, track: Track, say: Say) -> None:
    shards = study.train.shards
    if "+" in dataset:
        training_parts(shards, split_datasets(dataset), variant, workers=study.workers, track=track)
    elif variant == "augmented":
        balance(BalanceConfig(dataset=dataset, out=shards, workers=study.workers), track)
    elif not _are_made(study, dataset, variant):
        make_shards(study.shard_config(dataset, variant), track, say)


def _are_made(study: StudyConfig, dataset: str, variant: str) -> bool:
    """Whether the records are there, made by whatever settings of `make shards`.

    Raises:
        InputError: they are of another size, or by another detector, than was asked for.
    """
    folder = study.train.shards / dataset / variant
    if not (folder / INFO_NAME).is_file():
        return False
    info = read_info(folder)
    if info.size_px != study.size_px:
        raise InputError(
            f"the images in {folder} have {info.size_px} px, not {study.size_px}: give SIZE={info.size_px}"
        )
    detector = info.settings.get("detector")
    if study.detector and variant == "preprocessed" and detector != study.detector:
        raise InputError(f"the faces in {folder} were found by {detector}, not {study.detector}: give another SHARDS=")
    return True


def _train_all(study: StudyConfig, outcome: Outcome, track: Track, epochs: EpochView, say: Say) -> None:
    """Train and test every cell that is not done: one after the other here, or one on each GPU at a time."""
    cells = []
    for cell in study.cells():
        if records_step(cell.dataset, cell.trained_variant) in outcome.failed:
            outcome.failed[title(cell)] = "its records could not be made"
        else:
            cells.append(cell)
    if study.devices:
        waiting = [cell for cell in cells if not is_trained(cell)]
        for cell, why in train_on_devices(waiting, study.devices, study.tables / "logs", say):
            if why is not None:
                outcome.failed[title(cell)] = why
            say(f"{title(cell)}: {'done' if why is None else f'failed: {why}'}")
        cells = [cell for cell in cells if title(cell) not in outcome.failed]
    for number, cell in enumerate(cells, 1):

        def train(cell: TrainConfig = cell, number: int = number) -> None:
            run, metrics = train_and_test(cell, track=track, epochs=epochs, say=say)
            score = metrics["balanced_accuracy"]["value"] if metrics else float("nan")
            say(f"{number} of {len(cells)}: {run.folder.name}: test balanced accuracy {score:.3f}")
            outcome.runs.append(FinishedRun.open(run.folder))

        outcome.attempt(title(cell), train, say)


def is_trained(cell: TrainConfig) -> bool:
    """Whether a cell's records are there, and it was trained on them."""
    try:
        made = known_parts(cell.shards, cell.datasets, cell.trained_variant) is not None
        return made and Run.of(cell).is_trained
    except InputError:
        return False


def _test_across(study: StudyConfig, outcome: Outcome, track: Track, say: Say) -> None:
    """Each run on the study's other datasets, and one table of all that could be tested so."""
    how: dict[str, Any] = {"shards": study.train.shards, "loading": Loading.of(study.train), "track": track}
    tested = []
    for run in outcome.runs:
        others = counterparts(run.datasets)
        for dataset in [name for name in others if name in study.datasets]:
            outcome.attempt(f"{run.folder.name} on {dataset}", partial(scores_of, run, dataset, say=say, **how), say)
        if others and all(_is_known(run, dataset, study) for dataset in others):
            tested.append(run)
    if tested:
        outcome.attempt("table of tests across", partial(cross, tested, out=study.tables / CROSS_NAME, **how), say)


def _is_known(run: FinishedRun, dataset: str, study: StudyConfig) -> bool:
    try:
        return known_scores(run, dataset, study.train.shards) is not None
    except InputError:  # its records are not there
        return False


def _report(study: StudyConfig, outcome: Outcome, track: Track) -> None:
    names = {run.folder.name for run in outcome.runs}
    outcome.report = make_report(
        study.train.runs,
        study.reports / study.name,
        results=study.tables,
        data=DataFolders(data_root=study.data_root, shards=study.train.shards),
        performance=study.reports / PERFORMANCE,
        select=names.__contains__,
        track=track,
    )
