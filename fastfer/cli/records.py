"""Verbs that look at records: shards inspect, shards export, augment show, selection-report."""

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


def _augment_show(arguments: argparse.Namespace) -> None:
    from fastfer.report.augmentation import first_training_image, portrait, write_augmentation_sheet

    dataset = arguments.dataset
    img = portrait() if dataset is None else first_training_image(arguments.out, dataset, arguments.variant)
    sheet = arguments.sheet or arguments.reports / f"augment-{arguments.policy}.jpg"
    policy = write_augmentation_sheet(sheet, img, policy=arguments.policy, seed=arguments.seed)
    rows = [
        (
            f"{group.name}: {group.applies}",
            operation.name,
            f"{group.probability * operation.chance:.2f}",
            "\n".join(f"{one.name} {one.low:g} to {one.high:g} {one.unit}" for one in operation.ranges),
        )
        for group in policy.groups
        for operation in group.operations
    ]
    show_table(f"Policy {policy.name}", ("group", "operation", "share of images", "ranges"), rows)
    say(f"every operation, drawn: {sheet}")


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
        "augment show",
        "Print a policy's table, and draw every operation of it on a face.",
        (
            Option("policy", "strong (online, every epoch) or light (the copies that balance)", str, "strong"),
            Option("dataset", "draw on its first training image (default: on a portrait of the demo)"),
            VARIANT,
            OUT,
            REPORTS,
            Option("sheet", "the picture's file (default: <reports>/augment-<policy>.jpg)", Path),
            SEED,
        ),
        ("fastfer augment show", "fastfer augment show --policy light --dataset expw"),
        _augment_show,
    ),
    Verb(
        "selection-report",
        "How faces were chosen, for the article: the funnel by class, and examples of each outcome.",
        (DATASET, DATA_ROOT, OUT, REPORTS, SEED),
        ("fastfer selection-report --dataset expw",),
        _selection_report,
    ),
)
