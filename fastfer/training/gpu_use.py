"""What training takes of its GPU, told by NVML; without CUDA nothing is asked."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol, Self

import torch

from pipelines.probe import GpuProbe

PROBED_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class GpuUse:
    """A stretch of training: energy, mean utilisation (0..1), and the most memory of this process and those below it.

    Each is None where it was not measured, as in the first stretch of no seconds.
    """

    seconds: float = 0.0
    energy_j: float | None = None
    utilisation: float | None = None
    memory_mib: float | None = None

    def plus(self, other: Self) -> Self:
        """Both stretches: energy and utilisation are known where both are, the memory is the most that was seen."""
        if not self.seconds:
            return other
        seconds = self.seconds + other.seconds
        energy_j = utilisation = None
        if self.energy_j is not None and other.energy_j is not None:
            energy_j = self.energy_j + other.energy_j
        if self.utilisation is not None and other.utilisation is not None:
            utilisation = (self.utilisation * self.seconds + other.utilisation * other.seconds) / seconds
        memory_mib = max((one for one in (self.memory_mib, other.memory_mib) if one is not None), default=None)
        return type(self)(seconds, energy_j, utilisation, memory_mib)


class HasGpuUse(Protocol):
    """What a stretch is added to."""

    gpu: GpuUse


@contextmanager
def watched(device: torch.device, progress: HasGpuUse) -> Iterator[None]:
    """Add what the device takes meanwhile to the progress, also where it is stopped; of each process its own device."""
    probe = GpuProbe(device, every_s=PROBED_EVERY_S, pcie=False)
    started = time.perf_counter()
    try:
        with probe:
            yield
    finally:
        seconds, found = time.perf_counter() - started, probe.reading()
        stretch = (
            GpuUse(seconds) if found is None else GpuUse(seconds, found.energy_j, found.utilisation, found.memory_mib)
        )
        progress.gpu = progress.gpu.plus(stretch)
