"""Verbs that train and test: train, evaluate, cross."""

import argparse
from pathlib import Path
from typing import Any, Final

from fastfer.cli.console import say, show_table, track
from fastfer.cli.epochs import show_epochs
from fastfer.cli.verbs import (
    DATASET,
    RESULTS,
    RUNS,
    SHARDS,
    Option,
    Verb,
    default_of,
    switch,
    whole_number,
)
from fastfer.config import AUGMENTATIONS, MONITORS, PRECISIONS, TrainConfig
from fastfer.evaluation.metrics import METRICS
from fastfer.models import ARCHITECTURES


def show_scores(title: str, metrics: dict[str, Any]) -> None:
    """All metrics with their intervals."""
    rows = []
    for metric in METRICS:
        value, low, high = (metrics[metric.name][part] for part in ("value", "low", "high"))
        rows.append((f"{metric.title} {metric.arrow}", _number(value), f"{_number(low)} to {_number(high)}"))
    show_table(title, ("metric", "value", "95% interval"), rows)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _train(arguments: argparse.Namespace) -> None:
    given = vars(arguments)
    config = TrainConfig(**{name: given[name] for name in TrainConfig.__slots__})
    from fastfer.cells import train_and_test

    run, metrics = train_and_test(config, track=track, epochs=show_epochs, say=say)
    if metrics is not None:  # in the first process of torchrun
        show_scores(f"{run.settings['dataset']}, test", metrics)
        say(f"run folder: {run.folder}")


def _evaluate(arguments: argparse.Namespace) -> None:
    from fastfer.evaluation.evaluate import FinishedRun, Loading, evaluate

    folder = arguments.run if arguments.run.exists() else arguments.runs / arguments.run
    run = FinishedRun.open(folder)
    dataset = arguments.dataset or run.settings["dataset"]
    which: dict[str, Any] = {"split": arguments.split, "flip": arguments.flip}
    how: dict[str, Any] = {"shards": arguments.shards, "loading": Loading.of(arguments), "track": track, "say": say}
    metrics = evaluate(run, dataset, **which, **how)
    show_scores(f"{run.folder.name} on {dataset}, {arguments.split}", metrics)
    found = metrics["found_only"]
    if found is not None and found["n"] < metrics["n"]:
        show_scores(f"Without the {metrics['n'] - found['n']} faces that the detector missed", found)
    say(f"written to {run.results(dataset, **which)}")


def _cross(arguments: argparse.Namespace) -> None:
    from fastfer.evaluation.cross import CROSS_NAME, cross
    from fastfer.evaluation.evaluate import finished_runs

    out = arguments.results / CROSS_NAME
    table = cross(finished_runs(arguments.runs, arguments.select), shards=arguments.shards, out=out, track=track)
    columns = ("run", "tested_on", "n", "balanced_accuracy", "balanced_accuracy_at_home", "balanced_accuracy_drop")
    rows = [
        tuple(round(cell, 4) if isinstance(cell, float) else cell for cell in row)
        for row in table.select(columns).rows()
    ]
    show_table("Across datasets", columns, rows)
    say(f"written to {out}")


def _option(name: str, help: str, kind: Any = str) -> Option:
    return Option(name.replace("_", "-"), help, kind, default_of(TrainConfig, name))


LOADER: Final = _option(
    "loader", "dali, resident (decoded once, then held), reference, ffcv, or auto (resident where it fits)"
)
CACHE: Final = _option("cache", "folder of decoded images (resident, ffcv)", Path)
PLACE: Final = _option("place", "where resident holds images: auto, device, pinned or mapped")
VERIFY: Final = _option("verify", "checksums: once for each file, or full (always)")
WORKERS: Final = _option("workers", "decoding threads or processes", whole_number)
TUNING: Final = (
    LOADER,
    CACHE,
    PLACE,
    VERIFY,
    WORKERS,
    _option("sampling", "of datasets together: size (each image once), or equal (as many of each)"),
    _option("epochs", "most epochs", int),
    _option("batch", "images per step, over all processes", int),
    _option("accumulate", "steps whose gradients make one of the optimiser", int),
    _option("lr", "peak learning rate (default: the architecture's, scaled by batch)", float),
    _option("weight_decay", "default: the architecture's", float),
    _option("layer_decay", "factor on the learning rate from layer to layer, such as 0.75; 1 for off", float),
    _option("warmup_epochs", "epochs of rising learning rate (default: the architecture's)", float),
    _option("label_smoothing", "0 to 1 (default: the architecture's)", float),
    _option("imbalance", "what the loss does about rare classes: none, weights or logits"),
    _option("mixup", "mix pairs of images and labels: alpha, 0 for off", float),
    _option("cutmix", "paste a part of another image, and of its label: alpha, 0 for off", float),
    _option("clip", "largest norm of the gradients, 0 for any", float),
    _option("ema", "decay of a moving average of the weights, such as 0.999; 0 for off", float),
    _option("monitor", f"what the best epoch is chosen by, in validation: {', '.join(MONITORS)}"),
    _option("patience", "epochs without a better one before stopping", int),
    _option("min_delta", "what counts as better", float),
    _option("image_size", "pixels (default: as stored)", int),
    Option("pretrained", "1: from ImageNet weights, 0: from nothing", switch, True),
    _option("weights", "weights to start from, .pth or .safetensors (default: timm's hub)", Path),
    _option("precision", ", ".join(PRECISIONS)),
    Option("compile", "1: torch.compile", switch, False),
    Option("resume", "1: go on where the run was stopped, 0: begin anew", switch, True),
)
"""How a network is trained, whatever it is trained on."""
VERBS: Final = (
    Verb(
        "train",
        "Train one network on one dataset, then test its best epoch on the test split.",
        (
            DATASET,
            _option("arch", f"{', '.join(ARCHITECTURES)}, or any timm model"),
            _option("aug", ", ".join(AUGMENTATIONS)),
            _option("variant", "records to train on (default: those that go with --aug)"),
            *TUNING,
            _option("seed", "of initial weights, order and augmentation", whole_number),
            SHARDS,
            RUNS,
        ),
        (
            "fastfer train --arch efficientnet --aug online --dataset rafdb",
            "fastfer train --arch resnet10t --pretrained 0 --dataset demo-rafdb --epochs 10",
            "fastfer train --arch vit --aug online --dataset rafdb+expw --sampling equal --ema 0.999",
            "torchrun --nproc-per-node=4 -m fastfer train --arch vit --aug online --dataset expw",
        ),
        _train,
    ),
    Verb(
        "evaluate",
        "Test a trained run on the test split of a dataset, its own or another.",
        (
            Option("run", "the run's folder, or its name in --runs", Path, required=True),
            Option("dataset", "whose, or several as rafdb+expw (default: the run's own)"),
            Option("split", "test, val or train", str, "test"),
            Option("flip", "1: mean over each image and its mirror image", switch, False),
            LOADER,
            CACHE,
            PLACE,
            VERIFY,
            WORKERS,
            SHARDS,
            RUNS,
        ),
        (
            "fastfer evaluate --run runs/rafdb-augmented-resnet-online-s0-1a2b3c4d --dataset expw",
            "fastfer evaluate --run rafdb-augmented-resnet-online-s0-1a2b3c4d --flip 1",
        ),
        _evaluate,
    ),
    Verb(
        "cross",
        "Test every trained run on the other dataset's test split, into one CSV.",
        (SHARDS, RUNS, RESULTS, Option("select", "only runs whose name matches this pattern", str, "*")),
        ("fastfer cross", "fastfer cross --select 'demo-*'"),
        _cross,
    ),
)
