"""Verbs that look at the data before any model does: eda, dataset-case."""

import argparse
from typing import Final

from fastfer.cli.console import say, track
from fastfer.cli.dataset import IMAGES_OPTION, LABELS_OPTION, RAW
from fastfer.cli.verbs import (
    DATA_ROOT,
    DATA_ROOTS,
    DATASETS,
    LOCALE,
    OUT,
    REPORTS,
    RESULTS,
    RUNS,
    SEED,
    SHARDS,
    WORKERS,
    Option,
    Verb,
    words,
)
from fastfer.datasets import Source
from pipelines.errors import InputError


def sources_of(arguments: argparse.Namespace) -> list[Source]:
    """The datasets that the command line names, each in its own folder.

    Raises:
        InputError: one is named twice, or several share one folder.
    """
    names = arguments.dataset.split("+")
    if len(set(names)) < len(names):
        raise InputError(f"DATASET={arguments.dataset} names a dataset twice")
    if arguments.data_root is not None and len(names) > 1:
        raise InputError("DATA_ROOT= is the folder of one dataset: leave it out, or name one dataset")
    return [
        Source(
            dataset=name,
            root=arguments.data_root or RAW / name,
            images=arguments.source,
            labels=arguments.labels,
        )
        for name in names
    ]


def _eda(arguments: argparse.Namespace) -> None:
    from fastfer.report.eda import make_eda

    folder = arguments.reports / f"eda-{arguments.dataset}"
    sources = sources_of(arguments)
    page = make_eda(
        sources,
        arguments.out,
        folder,
        lang=arguments.locale,
        seed=arguments.seed,
        workers=arguments.workers,
        track=track,
        say=say,
    )
    say(f"report: {page}")


def _dataset_case(arguments: argparse.Namespace) -> None:
    from fastfer.analysis.case import CaseConfig, make_case  # imports torch: only when it runs
    from fastfer.report.case import write_case
    from fastfer.report.case_text import Speaker

    speaker = Speaker(arguments.locale)
    names = ("data_root", "shards", "runs", "results", "detector", "images", "faces", "seed", "workers")
    config = CaseConfig(datasets=arguments.datasets, **{name: getattr(arguments, name) for name in names})
    case = make_case(config, track=track, say=say)
    page = write_case(case, config, arguments.reports / "dataset-case", speaker=speaker, track=track)
    for facts in case.facts:
        if facts.noise is not None:
            say(f"suspicious labels of {facts.name}, to be judged: {config.verdicts(facts.name)}")
    say(f"report: {page}")


VERBS: Final = (
    Verb(
        "eda",
        "A page about the data: classes, photographs, annotated faces, detector, near-duplicates, augmentation.",
        (DATASETS, DATA_ROOT, IMAGES_OPTION, LABELS_OPTION, OUT, REPORTS, WORKERS, SEED, LOCALE),
        ("fastfer eda --dataset rafdb+expw --locale pt", "fastfer eda --dataset expw --data-root ~/ExpW"),
        _eda,
    ),
    Verb(
        "dataset-case",
        "Are a dataset's photographs and labels less precise than another's? Tables, figures, and what they support.",
        (
            Option("datasets", "two datasets side by side, or one", words, ("rafdb", "expw")),
            LOCALE,
            Option("images", "photographs of each that are searched whole, drawn at random", int, 2000),
            Option("faces", "faces of each that are described, drawn at random", int, 10_000),
            Option("detector", "retinaface or mtcnn (default: the dataset's own)"),
            SEED,
            DATA_ROOTS,
            SHARDS,
            RUNS,
            RESULTS,
            REPORTS,
            WORKERS,
        ),
        (
            "fastfer dataset-case",
            "fastfer dataset-case --datasets demo-rafdb,demo-expw --locale pt",
            "fastfer dataset-case --datasets expw --images 5000 --detector mtcnn",
        ),
        _dataset_case,
    ),
)
