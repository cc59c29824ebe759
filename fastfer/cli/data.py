"""Verbs that make and check data: demo-data, shards, verify, balance."""

import argparse
import os
from collections import Counter
from pathlib import Path
from typing import Final

import polars as pl

from fastfer.cli.console import say, show_table, track
from fastfer.cli.verbs import DATASET, Option, Verb, default_of
from fastfer.datasets.demo import DemoConfig, make_demo_data
from fastfer.shards import ShardConfig, make_shards
from fastfer.variants import open_records
from pipelines.errors import InputError
from pipelines.records import DatasetInfo, find_faults, read_manifest

OUT: Final = Option("out", "folder of all record variants", Path, Path("data/shards"))
WORKERS: Final = Option("workers", "processes", int, os.cpu_count() or 1)


def _demo_data(arguments: argparse.Namespace) -> None:
    config = DemoConfig(seed=arguments.seed, faces=arguments.faces, label_noise=arguments.label_noise)
    for folder in make_demo_data(arguments.out, config, track):
        say(f"{folder} is ready")


def _shards(arguments: argparse.Namespace) -> None:
    config = ShardConfig(
        dataset=arguments.dataset,
        data_root=arguments.data_root or Path("data/raw") / arguments.dataset,
        out=arguments.out,
        variant=arguments.variant,
        detector=arguments.detector,
        size_px=arguments.size,
        face_scale=arguments.face_scale,
        shard_rows=arguments.shard_rows,
        seed=arguments.seed,
        workers=arguments.workers,
    )
    info = make_shards(config, track)
    _summarise(config.folder, info)


def _verify(arguments: argparse.Namespace) -> None:
    info = open_records(arguments.out, arguments.dataset, arguments.variant)
    folder = arguments.out / arguments.dataset / arguments.variant
    with track(f"Verifying {folder}", total=sum(shard.samples for shard in info.shards), unit="faces") as advance:
        faults = find_faults(folder, advance)
    for fault in faults:
        say(fault)
    if faults:
        raise InputError(f"{folder} has {len(faults)} fault(s): make the records again")
    say(f"{folder} is sound: {len(info.shards)} shards, {sum(shard.samples for shard in info.shards)} faces")


def _balance(arguments: argparse.Namespace) -> None:
    from fastfer.balance import BalanceConfig, balance  # imports torch: only when it runs, so that --help need not wait

    config = BalanceConfig(dataset=arguments.dataset, out=arguments.out, seed=arguments.seed, workers=arguments.workers)
    info = balance(config, track)
    _summarise(config.folder, info)


def _summarise(folder: Path, info: DatasetInfo) -> None:
    """What became of the rows, and the counts by class: what a reader checks before training."""
    manifest = read_manifest(folder)
    kept = manifest.filter(pl.col("status") == "kept")
    outcomes = Counter(kept["how"].to_list())
    dropped = Counter(manifest.filter(pl.col("status") == "dropped")["reason"].to_list())
    rows = [("rows", len(manifest)), ("kept", len(kept))]
    rows += [(f"  {how}", count) for how, count in outcomes.most_common()]
    rows += [("dropped", sum(dropped.values())), *((f"  {reason}", count) for reason, count in dropped.most_common())]
    show_table(f"{info.dataset} {info.variant}", ("what became of the rows", "faces"), rows)
    splits = list(info.counts)
    show_table(
        "Faces by class", ("class", *splits), [(name, *(info.counts[s][name] for s in splits)) for name in info.classes]
    )
    say(f"{len(info.shards)} shards in {folder}")


def _shard_option(name: str, help: str, kind: type = int) -> Option:
    return Option(name.replace("_", "-"), help, kind, default_of(ShardConfig, name))


SEED: Final = Option("seed", "seed of all that is drawn", int, 0)
VERBS: Final = (
    Verb(
        "demo-data",
        "Make demo-rafdb and demo-expw, small sets of real faces in the layouts of RAF-DB and ExpW.",
        (
            Option("out", "where the two folders go", Path, Path("data/raw")),
            Option("faces", "labelled faces in each set, about", int, default_of(DemoConfig, "faces")),
            Option(
                "label-noise", "share of labels written wrong, 0 to 1", float, default_of(DemoConfig, "label_noise")
            ),
            SEED,
        ),
        ("fastfer demo-data --out data/raw --seed 0", "fastfer demo-data --faces 1200 --label-noise 0.1"),
        _demo_data,
    ),
    Verb(
        "shards",
        "Detect, align and write the faces of a dataset into sharded records, once.",
        (
            DATASET,
            Option("data-root", "the dataset's own folder (default: data/raw/<dataset>)", Path),
            OUT,
            _shard_option("variant", "preprocessed (aligned faces) or raw (annotated boxes)", str),
            _shard_option("detector", "mtcnn", str),
            Option("size", "side of the stored face in pixels", int, default_of(ShardConfig, "size_px")),
            _shard_option("face_scale", "1 is ArcFace's tight crop, less is roomier", float),
            _shard_option("shard_rows", "faces in a shard"),
            SEED,
            WORKERS,
        ),
        ("fastfer shards --dataset expw --data-root ~/ExpW", "fastfer shards --dataset demo-rafdb --size 64"),
        _shards,
    ),
    Verb(
        "verify",
        "Read a variant's records again: checksums, index, images, counts against the manifest.",
        (DATASET, Option("variant", "raw, preprocessed or augmented", str, "preprocessed"), OUT),
        ("fastfer verify --dataset expw", "fastfer verify --dataset demo-rafdb --variant augmented"),
        _verify,
    ),
    Verb(
        "balance",
        "Oversample the train split of `preprocessed` to its largest class with light copies: `augmented`.",
        (DATASET, OUT, SEED, WORKERS),
        ("fastfer balance --dataset rafdb",),
        _balance,
    ),
)
