"""Verbs about raw datasets: dataset check, duplicates; and how a dataset is named on the command line."""

import argparse
from itertools import permutations
from pathlib import Path
from typing import Final

from fastfer.cli.console import say, show_counts, show_table, track
from fastfer.cli.verbs import DATA_ROOT, DATASET, DATASETS, OUT, WORKERS, Option, Verb
from fastfer.datasets import Source
from fastfer.datasets.source import IMAGES
from fastfer.labels import CLASSES
from pipelines.errors import InputError
from pipelines.records import make_folder, write_table

RAW: Final = Path("data/raw")
SHOWN: Final = 5
"""Examples of each fault."""
IMAGES_OPTION: Final = Option("source", f"images of RAF-DB: {', '.join(IMAGES)}", str, IMAGES[0])
LABELS_OPTION: Final = Option("labels", "class folders of --dataset folder by name: a TOML file", Path)
SOURCE_OPTIONS: Final = (
    DATASET,
    DATA_ROOT,
    IMAGES_OPTION,
    Option("min-confidence", "leave out rows whose annotated box has less, 0 to 100 (default: keep all)", float),
    LABELS_OPTION,
)


def source_of(arguments: argparse.Namespace) -> Source:
    """The dataset that the command line names."""
    return Source(
        dataset=arguments.dataset,
        root=arguments.data_root or RAW / arguments.dataset,
        images=arguments.source,
        min_confidence=arguments.min_confidence,
        labels=arguments.labels,
    )


def _check(arguments: argparse.Namespace) -> None:
    from fastfer.datasets.check import check

    source = source_of(arguments)
    found = check(source, workers=arguments.workers, track=track)
    say(f"{source.dataset} in {source.root}: {found.reading.layout}; {len(found.reading.rows)} rows")
    counts = {}
    for split, usable in found.counts.items():
        counts[split] = usable
        if split in found.published:
            counts[f"{split}, published"] = found.published[split]
    show_counts("Usable rows by class", CLASSES, counts)
    bad = {**found.bad_lines, **found.bad_images}
    if bad:
        shown = [(reason, len(names), ", ".join(names[:SHOWN])) for reason, names in bad.items()]
        show_table("Not usable", ("reason", "how many", "such as"), shown)
    if found.faults:
        raise InputError(f"{source.root} is not complete: {'; '.join(found.faults)}")
    say(f"{source.root} is complete")


def _duplicates(arguments: argparse.Namespace) -> None:
    from fastfer.leaks import duplicates_of, left_out_of_tests, left_out_of_training, pair_counts

    datasets = arguments.dataset.split("+")
    pairs = duplicates_of(arguments.out, datasets)
    out = arguments.out / arguments.dataset / "duplicates.parquet"
    make_folder(out.parent)
    write_table(out, pairs)
    heads = ("of", "and", "pairs", "identical files", "in two splits")
    show_table("Near-duplicate images", heads, pair_counts(pairs).rows())
    from_training = left_out_of_training(pairs)["dataset"].to_list()
    from_tests = left_out_of_tests(pairs).select("trained_on", "dataset").rows()
    rows = [(f"train images of {name} that joint training leaves out", from_training.count(name)) for name in datasets]
    rows += [
        (f"test images of {other} not scored for models of {one}", from_tests.count((one, other)))
        for one, other in permutations(datasets, 2)
    ]
    show_table("What they leave out", ("", "how many"), rows)
    say(f"written to {out}")


VERBS: Final = (
    Verb(
        "dataset check",
        "Is a dataset's folder complete? Counts beside the published ones; missing and unreadable files.",
        (*SOURCE_OPTIONS, WORKERS),
        ("fastfer dataset check --dataset rafdb", "fastfer dataset check --dataset expw --data-root ~/ExpW"),
        _check,
    ),
    Verb(
        "duplicates",
        "List near-duplicate images within and between datasets whose shards are made.",
        (DATASETS, OUT),
        ("fastfer duplicates --dataset rafdb+expw", "fastfer duplicates --dataset expw"),
        _duplicates,
    ),
)
