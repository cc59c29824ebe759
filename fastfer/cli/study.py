"""The verb that runs the whole matrix: study."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from fastfer.cli.console import say, show_table, track
from fastfer.cli.epochs import show_epochs
from fastfer.cli.train import TUNING
from fastfer.cli.verbs import DATA_ROOTS, REPORTS, RESULTS, RUNS, SHARDS, Option, Verb, switch, whole_number, words
from fastfer.config import AUGMENTATIONS, TrainConfig
from fastfer.models import ARCHITECTURES
from pipelines.errors import InputError

if TYPE_CHECKING:
    from fastfer.plan import Step
    from fastfer.study import Outcome, StudyConfig  # import torch: --help must not wait

MIB: Final = 2**20


def seeds(text: str) -> tuple[int, ...]:
    """Seeds, as `0,1,2`."""
    return tuple(whole_number(word) for word in words(text))


def duration(seconds: float) -> str:
    """Hours and minutes, or seconds below a minute."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


def show_plan(steps: "list[Step]", devices: int) -> None:
    """What is done, what is to do, and what it takes with trainings on so many devices at once."""
    rows = [
        (
            step.name,
            "done" if step.done else "to do",
            "" if step.done or step.seconds is None else f"about {duration(step.seconds)}",
            "" if step.done or step.disk_bytes is None else f"{step.disk_bytes / MIB:,.0f} MiB",
        )
        for step in steps
    ]
    show_table("Plan", ("step", "state", "time", "disk"), rows)
    waiting = [step for step in steps if not step.done]
    known = [step.seconds / devices for step in waiting if step.seconds is not None]
    time = f"about {duration(sum(known))}, less where training stops early" if known else ""
    unknown = f"{len(waiting) - len(known)} steps whose time is not known yet" if len(known) < len(waiting) else ""
    room = f"{sum(step.disk_bytes or 0 for step in waiting) / MIB:,.0f} MiB"
    left = f"; to do: {', '.join(part for part in (time, unknown, room) if part)}" if waiting else ""
    say(f"{len(steps) - len(waiting)} of {len(steps)} done{left}")


def show_outcome(outcome: "Outcome") -> None:
    """The findings and where the report is.

    Raises:
        InputError: something failed; says what.
    """
    for line in outcome.findings:
        say(line)
    if outcome.report is not None:
        say(f"Open the report: {outcome.report.resolve()}")
    if outcome.failed:
        raise InputError(
            f"{len(outcome.failed)} step(s) failed ({', '.join(outcome.failed)}), as said above; "
            "the same command does what is left"
        )


def _config(arguments: argparse.Namespace) -> "StudyConfig":
    from fastfer.cells import checked_devices
    from fastfer.study import StudyConfig

    shared = {option.name.replace("-", "_"): getattr(arguments, option.name.replace("-", "_")) for option in TUNING}
    train = TrainConfig(dataset=arguments.datasets[0], shards=arguments.shards, runs=arguments.runs, **shared)
    return StudyConfig(
        name=arguments.name,
        datasets=arguments.datasets,
        archs=arguments.archs,
        augs=arguments.augs,
        variants=arguments.variants,
        seeds=arguments.seeds,
        together=arguments.together,
        size_px=arguments.size,
        detector=arguments.detector,
        devices=tuple(checked_devices(arguments.gpus)) if arguments.gpus else (),
        data_root=arguments.data_root,
        results=arguments.results,
        reports=arguments.reports,
        workers=max(1, arguments.workers),  # 0 is for loaders: decode in this process
        train=train,
    )


def _study(arguments: argparse.Namespace) -> None:
    from fastfer.plan import plan_of
    from fastfer.study import run_study

    study = _config(arguments)
    show_plan(plan_of(study, say), max(1, len(study.devices)))
    if not arguments.dry:
        show_outcome(run_study(study, track=track, epochs=show_epochs, say=say))


def _demo(arguments: argparse.Namespace) -> None:
    from fastfer.datasets.demo import DemoConfig
    from fastfer.study import DEMO, run_demo

    study = replace(
        DEMO,
        train=replace(DEMO.train, shards=arguments.shards, runs=arguments.runs),
        data_root=arguments.data_root,
        results=arguments.results,
        reports=arguments.reports,
    )
    show_outcome(run_demo(study, DemoConfig(), track=track, epochs=show_epochs, say=say))


VERBS: Final = (
    Verb(
        "study",
        "Run the whole matrix: records, every training, tests across and together, comparisons, report.",
        (
            Option("datasets", "which", words, ("rafdb", "expw")),
            Option("archs", "which networks", words, tuple(ARCHITECTURES)),
            Option("augs", "which augmentations", words, tuple(AUGMENTATIONS)),
            Option("variants", "which records are trained on", words, ("raw", "preprocessed", "augmented")),
            Option("seeds", "which seeds", seeds, (0,)),
            Option("together", "1: train on the datasets together, too", switch, True),
            Option("dry", "1: only show the plan", switch, False),
            Option("gpus", "train on these GPUs at once, such as 0,1,2,3: one run on each"),
            Option("size", "pixels of the records", int, 224),
            Option("detector", "retinaface or mtcnn (default: retinaface, mtcnn for the demo sets)"),
            Option("name", "the report's folder in --reports", str, "study"),
            *TUNING,
            DATA_ROOTS,
            SHARDS,
            RUNS,
            RESULTS,
            REPORTS,
        ),
        (
            "fastfer study --dry 1",
            "fastfer study --archs resnet,vit --seeds 0,1,2 --gpus 0,1",
            "fastfer study --datasets demo-rafdb,demo-expw --archs resnet10t --pretrained 0 --size 64 --epochs 8",
        ),
        _study,
    ),
    Verb(
        "demo",
        "Make the demo data and run a small study on it: records, training, tests, report.",
        (DATA_ROOTS, SHARDS, RUNS, RESULTS, REPORTS),
        ("fastfer demo",),
        _demo,
    ),
)
