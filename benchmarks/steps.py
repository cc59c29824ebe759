"""The trainer's own steps as a contender: a loader's first ones, one batch replayed, and a step's time by its parts."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice, repeat
from typing import Any, Final, cast

from lightning_fabric import Fabric

from benchmarks.watch import device
from fastfer.training.learner import Learner
from fastfer.training.state import EpochProgress
from pipelines.buffers import current_stream
from pipelines.loaders import Batch, Loader
from pipelines.loaders.order import Share

PHASES: Final = ("wait", "forward", "backward", "optimiser")
"""Of a step: until the batch is there; the network and the loss; the gradients; clipping, AdamW and what is counted."""


class Steps(Loader):
    """The first steps of another loader's epoch (all, where it has fewer), or one batch again and again."""

    def __init__(self, loader: Loader, steps: int, replayed: Batch | None = None) -> None:
        steps = min(steps, len(loader))
        super().__init__(loader.config, loader.info, Share(0, steps * loader.config.batch, steps))
        self.drawn = loader.drawn
        self._loader, self._replayed = loader, replayed

    def _epoch(self) -> Iterator[Batch]:
        if self._replayed is not None:
            return repeat(self._replayed, len(self))
        self._loader.set_epoch(self._state.epoch, consumed=self._state.batches)
        return islice(iter(self._loader), len(self))

    def replaying(self) -> "Steps":
        """As many steps on this one's first batch, made ready: floats that are only standardised."""
        first = next(iter(self))
        return Steps(self._loader, len(self), replace(first, img_BCHW=first.img_BCHW.float() / 255))

    def close(self) -> None:
        """The other loader is closed by who opened it."""


def run_epoch(learner: Learner, train: Loader, epoch: int) -> EpochProgress:
    """The trainer's own epoch over these steps."""
    progress = EpochProgress(epoch).to(learner.device)
    learner.train_epoch(train, progress, lambda _batches: None)
    return progress


def split(learner: Learner, train: Loader, epoch: int) -> dict[str, float]:
    """Seconds of each phase in such an epoch, which is slower: its clock waits for the device where a phase begins."""
    clock = _Clock()
    listened = replace(learner, fabric=cast(Fabric, _Listening(learner.fabric, clock)))
    listened.train_epoch(train, EpochProgress(epoch).to(learner.device), lambda _batches: clock.begin("wait"))
    return clock.seconds


@dataclass(slots=True)
class _Clock:
    """Adds up the seconds of each phase; it begins in the first one."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    _phase: str = PHASES[0]
    _since: float = field(default_factory=time.perf_counter)

    def begin(self, phase: str) -> None:
        """The phase before it has ended, on the device too, where another stream may be making later batches ready."""
        if (stream := current_stream(device())) is not None:
            stream.synchronize()
        now = time.perf_counter()
        self.seconds[self._phase] += now - self._since
        self._phase, self._since = phase, now


class _Listening:
    """A Fabric whose calls tell a clock what the learner does."""

    def __init__(self, fabric: Fabric, clock: _Clock) -> None:
        self._fabric, self._clock = fabric, clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fabric, name)

    def no_backward_sync(self, *arguments: Any, **options: Any) -> Any:
        """The learner's first call for a batch."""
        self._clock.begin("forward")
        return self._fabric.no_backward_sync(*arguments, **options)

    def backward(self, *arguments: Any, **options: Any) -> None:
        """Between the loss and the optimiser."""
        self._clock.begin("backward")
        self._fabric.backward(*arguments, **options)
        self._clock.begin("optimiser")
