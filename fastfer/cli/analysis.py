"""Verbs that look at the data before any model does: eda."""

import argparse
from typing import Final

from fastfer.cli.console import say, track
from fastfer.cli.dataset import IMAGES_OPTION, LABELS_OPTION, RAW
from fastfer.cli.verbs import DATA_ROOT, DATASETS, OUT, REPORTS, SEED, WORKERS, Verb
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
    page = make_eda(sources, arguments.out, folder, seed=arguments.seed, workers=arguments.workers, track=track)
    say(f"report: {page}")


VERBS: Final = (
    Verb(
        "eda",
        "A page about the data: classes, photographs, annotated faces, detector, near-duplicates, augmentation.",
        (DATASETS, DATA_ROOT, IMAGES_OPTION, LABELS_OPTION, OUT, REPORTS, WORKERS, SEED),
        ("fastfer eda --dataset rafdb+expw", "fastfer eda --dataset expw --data-root ~/ExpW"),
        _eda,
    ),
)
