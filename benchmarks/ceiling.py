"""Does training wait for its images? The trainer's own epoch with a real loader, beside one prepared batch replayed.

The replay needs no loader and no augmentation: it is the ceiling. Both run in turn, in one process, as `make train`
runs them: the strong policy online, batches prefetched. Weights are random.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, repeat
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from lightning_fabric import Fabric

from benchmarks.harness import Measured, in_turn
from fastfer.config import TrainConfig
from fastfer.training.learner import Learner
from fastfer.training.run import Run
from fastfer.training.state import EpochProgress
from pipelines.loaders import Batch, Loader, open_loader
from pipelines.loaders.base import Share
from pipelines.records import read_info

ARCHS: Final = ("resnet", "efficientnet", "vit")


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


def ceiling(variant: Path, arch: str, *, kind: str, batch: int, steps: int, repeats: int) -> dict[str, Any]:
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
    return _summary(measured, waits[-repeats:])


def _summary(measured: dict[str, Measured], waits_s: list[float]) -> dict[str, Any]:
    medians = {name: float(np.median(one.rates)) for name, one in measured.items()}
    waited = [wait_s / seconds for wait_s, seconds in zip(waits_s, measured["loader"].seconds, strict=True)]
    return {
        "contenders": {name: one.summary() for name, one in measured.items()},
        "of_ceiling": medians["loader"] / medians["replayed batch"],
        "waited": float(np.median(waited)),
    }


def ceilings(variant: Path, archs: tuple[str, ...], **settings: Any) -> dict[str, Any]:
    """The ceiling of each architecture, printed as they come."""
    torch.manual_seed(0)
    found = {}
    for arch in archs:
        one = found[arch] = ceiling(variant, arch, **settings)
        rates = {name: values["per_s"]["median"] for name, values in one["contenders"].items()}
        print(
            f"{arch:<14}{rates['loader']:8.1f} img/s   replayed batch {rates['replayed batch']:8.1f} img/s   "
            f"{one['of_ceiling']:.0%} of the ceiling   a step waits {one['waited']:.2%} of its time",
            flush=True,
        )
    return settings | {"archs": found}
