"""Does training wait for its images? The trainer's own epoch with a real loader, beside one prepared batch replayed.

The replay needs no loader and no augmentation: it is the ceiling. Both run in turn, in one process, as `make train`
runs them: the strong policy online, batches prefetched. Weights are random.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, repeat
from pathlib import Path
from typing import Final

import numpy as np
import torch
from lightning_fabric import Fabric

from benchmarks.harness import in_turn
from benchmarks.images import bench_records
from benchmarks.schema import Case
from benchmarks.suite import Setting, Suite
from fastfer.cli.verbs import words
from fastfer.config import TrainConfig
from fastfer.training.learner import Learner
from fastfer.training.run import Run
from fastfer.training.state import EpochProgress
from pipelines.loaders import Batch, Loader, open_loader
from pipelines.loaders.base import Share
from pipelines.records import read_info


class Steps(Loader):
    """The first steps of another loader's epoch, or one batch again and again."""

    def __init__(self, loader: Loader, steps: int, replayed: Batch | None = None) -> None:
        super().__init__(loader.config, loader.info, Share(0, steps * loader.config.batch, steps))
        self.drawn = loader.drawn
        self._loader, self._replayed = loader, replayed

    def __iter__(self) -> Iterator[Batch]:
        if self._replayed is not None:
            return repeat(self._replayed, len(self))
        self._loader.set_epoch(self._state.epoch, consumed=self._state.batches)
        return islice(iter(self._loader), len(self))

    def close(self) -> None:
        """The other loader is closed by who opened it."""


def ceiling(variant: Path, arch: str, *, kind: str, batch: int, steps: int, repeats: int) -> Case:
    """Images per second with the loader and with the replay, and the share of the time that a step waits for data."""
    info = read_info(variant)
    config = TrainConfig(dataset="demo-rafdb", arch=arch, aug="online", batch=batch, pretrained=False, loader=kind)
    fabric = Fabric(accelerator="auto", devices=1)
    device = str(fabric.device)
    waits: list[float] = []
    with open_loader(config.loader_config(variant, "train", device)) as loader:
        real = Steps(loader, steps)
        learner = Learner.of(Run(config, [], info, {}), fabric, real)
        one = next(iter(real))
        replayed = Steps(loader, steps, replace(one, img_BCHW=one.img_BCHW.float() / 255))
        epochs = iter(range(1, 10_000))

        def run(of: Learner, train: Loader) -> int:
            progress = EpochProgress(next(epochs)).to(of.device)
            of.train_epoch(train, progress, lambda _batches: None)
            if train is real:
                waits.append(progress.waited_s)
            return progress.images

        ceiling = replace(learner, policy=None)
        measured = in_turn(
            {"loader": lambda: run(learner, real), "replayed batch": lambda: run(ceiling, replayed)}, repeats=repeats
        )
    waited = [wait_s / seconds for wait_s, seconds in zip(waits[-repeats:], measured["loader"].seconds, strict=True)]
    return Case(
        title=f"Training {arch}",
        unit="images",
        how="The trainer's own epoch with the strong policy online, beside one prepared batch replayed.",
        ours="loader",
        settings={"arch": arch, "loader": kind, "batch": batch, "steps": steps},
        contenders={
            "loader": measured["loader"].entry("ours", {"wait_share": float(np.median(waited))}),
            "replayed batch": measured["replayed batch"].entry("limit"),
        },
    )


def _run(settings: argparse.Namespace) -> Iterator[Case]:
    torch.manual_seed(0)
    variant = bench_records(settings.data, settings.images)
    for arch in settings.archs:
        yield ceiling(
            variant, arch, kind=settings.loader, batch=settings.batch, steps=settings.steps, repeats=settings.repeats
        )


SUITE: Final = Suite(
    "ceiling",
    "Does training wait for its images? Beside one batch replayed.",
    (
        Setting("data", "folder of the images, made if missing", Path, Path("data/bench/loaders")),
        Setting("images", "how many", int, 8000, 1000),
        Setting("archs", "architectures", words, ("resnet", "efficientnet", "vit")),
        Setting("loader", "as of make train", str, "resident"),
        Setting("batch", "images of a step", int, 16),
        Setting("steps", "steps of an epoch", int, 6, 2),
        Setting("repeats", "turns of each", int, 3, 1),
    ),
    ("python -m benchmarks ceiling --archs resnet",),
    _run,
)
