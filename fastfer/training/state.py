"""How far a training has come: what `last.pth` keeps, so that it goes on as if it had never been stopped."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Self

import torch
from torch import Tensor

from fastfer.training.early_stopping import EarlyStopping
from fastfer.training.gpu_use import GpuUse
from fastfer.training.log import EpochRow

NEVER: Final = float("inf")


@dataclass(slots=True)
class EpochProgress:
    """The part of an epoch that is trained: batches and images (of this process), seconds, and sums on the device.

    `loss_sum` (nats x images), `correct` and `bad_step` are float32 scalars; `bad_step` is the first batch, from 1,
    whose loss was not finite. `gpu` is what the epoch has taken of the device, with what a stop made it do again.
    """

    epoch: int
    batches: int = 0
    images: int = 0
    seconds: float = 0.0
    waited_s: float = 0.0
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros(()))
    correct: Tensor = field(default_factory=lambda: torch.zeros(()))
    bad_step: Tensor = field(default_factory=lambda: torch.tensor(NEVER))
    gpu: GpuUse = field(default_factory=GpuUse)

    def to(self, device: torch.device) -> Self:
        """With its sums on the device."""
        self.loss_sum, self.correct, self.bad_step = (
            value.to(device) for value in (self.loss_sum, self.correct, self.bad_step)
        )
        return self

    def count(self, loss: Tensor, correct: Tensor, images: int) -> None:
        """Add a batch; nothing waits for the device."""
        self.batches += 1
        self.images += images
        self.loss_sum += loss * images
        self.correct += correct
        self.bad_step = torch.where(torch.isfinite(loss), self.bad_step, self.bad_step.clamp(max=self.batches))


@dataclass(slots=True)
class TrainingState:
    """Where a training stands: the epoch it is in, the rows of those before it, and what early stopping has seen."""

    stopping: EarlyStopping
    progress: EpochProgress
    rows: list[EpochRow]
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, numbers and tensors."""
        progress = {one.name: getattr(self.progress, one.name) for one in fields(EpochProgress)}
        progress["gpu"] = asdict(self.progress.gpu)
        return {
            "stopping": asdict(self.stopping),
            "progress": progress,
            "rows": [asdict(row) for row in self.rows],
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """What `as_dict` gave."""
        progress = content["progress"]
        # Checkpoints of before there was `gpu` say nothing of what the device took in these seconds.
        gpu = GpuUse(**progress.get("gpu", {"seconds": progress["seconds"]}))
        return cls(
            EarlyStopping(**content["stopping"]),
            EpochProgress(**(progress | {"gpu": gpu})),
            [EpochRow(**row) for row in content["rows"]],
            content["seconds"],
        )
