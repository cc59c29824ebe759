"""The verb that looks at datasets side by side: dataset-case."""

import argparse
from typing import Final

from fastfer.cli.console import say, track
from fastfer.cli.study import DATA_ROOTS
from fastfer.cli.verbs import REPORTS, RESULTS, RUNS, SEED, SHARDS, WORKERS, Option, Verb, words
from fastfer.report.case_text import LOCALES
from pipelines.errors import InputError


def _dataset_case(arguments: argparse.Namespace) -> None:
    from fastfer.analysis.case import CaseConfig, make_case  # imports torch: only when it runs
    from fastfer.report.case import write_case

    if arguments.locale not in LOCALES:
        raise InputError(f"no locale {arguments.locale!r}: choose one of {', '.join(LOCALES)}")
    names = ("data_root", "shards", "runs", "results", "detector", "images", "faces", "seed", "workers")
    config = CaseConfig(datasets=arguments.datasets, **{name: getattr(arguments, name) for name in names})
    case = make_case(config, track=track, say=say)
    page = write_case(case, config, arguments.reports / "dataset-case", locale=arguments.locale, track=track)
    for facts in case.facts:
        if facts.noise is not None:
            say(f"suspicious labels of {facts.name}, to be judged: {config.verdicts(facts.name)}")
    say(f"report: {page}")


VERBS: Final = (
    Verb(
        "dataset-case",
        "Are a dataset's photographs and labels less precise than another's? Tables, figures, and what they support.",
        (
            Option("datasets", "two datasets side by side, or one", words, ("rafdb", "expw")),
            Option("locale", f"language of the page: {', '.join(LOCALES)}", str, LOCALES[0]),
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
