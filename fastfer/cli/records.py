"""Verbs that look at records: shards inspect, shards export, selection-report."""

import argparse
from pathlib import Path
from typing import Final

from fastfer.cli.console import say, show_counts, show_table, track
from fastfer.cli.dataset import RAW
from fastfer.cli.verbs import DATA_ROOT, DATASET, OUT, REPORTS, SEED, VARIANT, Option, Verb
from fastfer.variants import open_records


def _inspect(arguments: argparse.Namespace) -> None:
    from fastfer.report.inspection import summary_of, write_sheet

    out, dataset, variant = arguments.out, arguments.dataset, arguments.variant
    info = open_records(out, dataset, variant)
    show_table(f"{dataset} {variant}", ("", ""), list(summary_of(info).items()))
    show_counts("Faces by class", info.classes, info.counts)
    sheet = arguments.sheet or arguments.reports / f"{dataset}-{variant}.jpg"
    say(f"contact sheet: {write_sheet(out, dataset, variant, sheet, seed=arguments.seed)}")


def _export(arguments: argparse.Namespace) -> None:
    from fastfer.export import export

    count = export(arguments.out, arguments.dataset, arguments.variant, arguments.to, arguments.into, track=track)
    say(f"{count} faces in {arguments.into}")


def _selection_report(arguments: argparse.Namespace) -> None:
    from fastfer.report.selection import make_selection_report

    dataset, folder = arguments.dataset, arguments.reports / f"selection-{arguments.dataset}"
    root = arguments.data_root or RAW / dataset
    funnel = make_selection_report(arguments.out, dataset, root, folder, seed=arguments.seed, track=track)
    show_table(f"How faces of {dataset} were chosen", funnel.columns, funnel.rows())
    say(f"report: {folder}")


VERBS: Final = (
    Verb(
        "shards inspect",
        "Summarise a variant's records, and write a contact sheet of them.",
        (
            DATASET,
            VARIANT,
            OUT,
            REPORTS,
            Option("sheet", "the contact sheet's file (default: <reports>/<dataset>-<variant>.jpg)", Path),
            SEED,
        ),
        ("fastfer shards inspect --dataset expw", "fastfer shards inspect --dataset rafdb --variant augmented"),
        _inspect,
    ),
    Verb(
        "shards export",
        "Write a variant's records as other files.",
        (
            DATASET,
            VARIANT,
            OUT,
            Option("to", "folder (split/class/key.jpg), parquet, or beton (with ffcv)", str, "folder"),
            Option("into", "a new folder for them", Path, required=True),
        ),
        (
            "fastfer shards export --dataset expw --to folder --into faces",
            "fastfer shards export --dataset rafdb --to parquet --into rafdb-parquet",
        ),
        _export,
    ),
    Verb(
        "selection-report",
        "How faces were chosen, for the article: the funnel by class, and examples of each outcome.",
        (DATASET, DATA_ROOT, OUT, REPORTS, SEED),
        ("fastfer selection-report --dataset expw",),
        _selection_report,
    ),
)
