"""Verbs that make and check data: demo-data, shards, verify, balance."""

import argparse
import ctypes
import os
from collections import Counter
from pathlib import Path
from typing import Final

import polars as pl

from fastfer.balance import BalanceConfig, balance
from fastfer.cli.console import say, show_counts, show_table, track
from fastfer.cli.dataset import SOURCE_OPTIONS, source_of
from fastfer.cli.verbs import DATASET, OUT, SEED, VARIANT, WORKERS, Option, Verb, default_of
from fastfer.datasets.demo import DemoConfig, make_demo_data
from fastfer.datasets.table import kind_of_reason
from fastfer.shards import ShardConfig, make_shards
from fastfer.variants import open_records
from pipelines.errors import InputError
from pipelines.records import DatasetInfo, find_faults, read_manifest


def _demo_data(arguments: argparse.Namespace) -> None:
    config = DemoConfig(seed=arguments.seed, faces=arguments.faces, label_noise=arguments.label_noise)
    for folder in make_demo_data(arguments.out, config, track):
        say(f"{folder} is ready")


def _shards(arguments: argparse.Namespace) -> None:
    source = source_of(arguments)
    config = ShardConfig(
        dataset=source.dataset,
        data_root=source.root,
        images=source.images,
        min_confidence=source.min_confidence,
        labels=source.labels,
        out=arguments.out,
        variant=arguments.variant,
        detector=arguments.detector,
        weights=arguments.retinaface_weights,
        scene=arguments.scene,
        color=arguments.color,
        size_px=arguments.size,
        face_scale=arguments.face_scale,
        min_iou=arguments.min_iou,
        shard_rows=arguments.shard_rows,
        seed=arguments.seed,
        device=device_of(arguments.device),
        engine=arguments.engine,
        workers=arguments.workers,
    )
    if arguments.ray_address:
        os.environ["RAY_ADDRESS"] = arguments.ray_address
    info = make_shards(config, track, say)
    _summarise(config.folder, info)


def device_of(asked: str) -> str:
    """The device that `asked` names: auto takes a GPU where torch sees one.

    Raises:
        InputError: it names none, or a GPU that is not there.
    """
    if asked not in {"auto", "cpu", "cuda"}:
        raise InputError(f"no device {asked!r}: choose auto, cpu or cuda")
    if asked == "cpu" or (asked == "auto" and not has_driver()):
        return "cpu"
    import torch  # only where it matters: it takes seconds

    if torch.cuda.is_available():
        return "cuda"
    if asked == "cuda":
        raise InputError("DEVICE=cuda, but torch sees no GPU here: leave it away, or check the driver with nvidia-smi")
    return "cpu"


def has_driver() -> bool:
    """Whether NVIDIA's driver is installed, without which there is no GPU for torch."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def _verify(arguments: argparse.Namespace) -> None:
    info = open_records(arguments.out, arguments.dataset, arguments.variant)
    folder = arguments.out / arguments.dataset / arguments.variant
    with track(f"Verifying {folder}", total=info.samples(), unit="faces") as advance:
        faults = find_faults(folder, advance)
    for fault in faults:
        say(fault)
    if faults:
        raise InputError(f"{folder} has {len(faults)} fault(s): remove it and make the records again")
    say(f"{folder} is sound: {len(info.shards)} shards, {info.samples()} faces")


def _balance(arguments: argparse.Namespace) -> None:
    config = BalanceConfig(dataset=arguments.dataset, out=arguments.out, seed=arguments.seed, workers=arguments.workers)
    info = balance(config, track)
    _summarise(config.folder, info)


def _summarise(folder: Path, info: DatasetInfo) -> None:
    """What became of the rows, and the counts by class: what a reader checks before training."""
    manifest = read_manifest(folder)
    kept = manifest.filter(pl.col("status") == "kept")
    outcomes = Counter(kept["how"].to_list())
    dropped = Counter(
        manifest.filter(pl.col("status") == "dropped").select(kind_of_reason(pl.col("reason"))).to_series()
    )
    rows = [("rows", len(manifest)), ("kept", len(kept))]
    rows += [(f"  {how}", count) for how, count in outcomes.most_common()]
    rows += [("dropped", sum(dropped.values())), *((f"  {reason}", count) for reason, count in dropped.most_common())]
    show_table(f"{info.dataset} {info.variant}", ("what became of the rows", "faces"), rows)
    show_counts("Faces by class", info.classes, info.counts)
    say(f"{len(info.shards)} shards in {folder}")


def _shard_option(name: str, help: str, kind: type = int) -> Option:
    return Option(name.replace("_", "-"), help, kind, default_of(ShardConfig, name))


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
            *SOURCE_OPTIONS,
            OUT,
            _shard_option("variant", "preprocessed (aligned faces) or raw (annotated boxes)", str),
            _shard_option("detector", "retinaface or mtcnn (default: retinaface, mtcnn for the demo sets)", str),
            Option("retinaface-weights", "its weights, as a file (default: downloaded once)", Path),
            _shard_option("scene", "annotated, or full: count the faces of each whole image too", str),
            _shard_option("color", "gray or rgb", str),
            Option("size", "side of the stored face in pixels", int, default_of(ShardConfig, "size_px")),
            _shard_option("face_scale", "1 is ArcFace's tight crop, less is roomier", float),
            _shard_option("min_iou", "least overlap of a found face with the annotated box", float),
            _shard_option("shard_rows", "faces in a shard"),
            SEED,
            Option("device", "cpu, cuda, or auto: where the detector runs", str, "auto"),
            _shard_option("engine", "local (processes) or ray (one machine or a cluster)", str),
            Option("ray-address", "of a running Ray cluster (default: RAY_ADDRESS, else this machine alone)"),
            WORKERS,
        ),
        (
            "fastfer shards --dataset expw --data-root ~/ExpW",
            "fastfer shards --dataset rafdb --source aligned --size 100",
            "fastfer shards --dataset folder --data-root ~/faces --labels map.toml --detector mtcnn",
            "fastfer shards --dataset expw --data-root s3://bucket/ExpW --out s3://bucket/shards --engine ray",
        ),
        _shards,
    ),
    Verb(
        "verify",
        "Read a variant's records again: checksums, index, images, counts against the manifest.",
        (DATASET, VARIANT, OUT),
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
