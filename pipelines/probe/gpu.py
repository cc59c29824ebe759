"""The GPU that a process works on, sampled by NVML: memory, utilisation, power, energy, temperature, clocks, PCIe."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Final, Literal, Self

import torch

from pipelines.probe.nvml import MILLI, Device, opened
from pipelines.probe.peaks import MIB
from pipelines.probe.sampling import Moment, Sampling
from pipelines.probe.tree import is_in_tree

KIB_PER_MIB: Final = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuReading:
    """One device over a time; each figure is None where NVML refuses it, and whatever is not this instance's (MIG).

    Attributes:
        name: what NVML calls the device.
        driver: the driver's version.
        memory_mib: the most that NVML attributed to the process tree; None also where it cannot tell whose memory it
            is, as in containers whose process numbers are not the driver's.
        memory_used_mib: the most that was taken of the device, by whomever.
        utilisation: mean share of the time in which a kernel ran, 0..1. NVML averages over the last 1/6 to 1 s.
        power_w: mean.
        energy_j: by the device's own counter, or else the integral of the sampled power.
        temperature_c: the highest.
        sm_clock_mhz: mean.
        pcie_rx_mib_s: mean of what the device receives, over samples of 20 ms; `pcie_tx_mib_s` of what it sends.
        power_limit_w: the limit in force.
    """

    name: str | None
    driver: str | None
    memory_mib: float | None
    memory_used_mib: float | None
    utilisation: float | None
    power_w: float | None
    energy_j: float | None
    temperature_c: float | None
    sm_clock_mhz: float | None
    pcie_rx_mib_s: float | None
    pcie_tx_mib_s: float | None
    power_limit_w: float | None


@dataclass(slots=True)
class Series:
    """The samples of one figure, summed up."""

    count: int = 0
    total: float = 0.0
    peak: float | None = None
    first: float = 0.0
    last: float = 0.0
    last_at: float = 0.0
    area: float = 0.0
    """Under the straight lines between the samples: the integral over time."""

    def add(self, value: float, at: float) -> None:
        """Another sample, at a time in seconds."""
        if self.count:
            self.area += (self.last + value) / 2 * (at - self.last_at)
            self.peak = max(value, self.peak or value)
        else:
            self.first = self.peak = value
        self.count += 1
        self.total += value
        self.last, self.last_at = value, at

    @property
    def mean(self) -> float | None:
        """None without a sample, as `peak` is."""
        return self.total / self.count if self.count else None

    @property
    def rise(self) -> float:
        """From the first sample to the last."""
        return self.last - self.first


@dataclass(frozen=True, slots=True)
class Query:
    """A figure: how NVML is asked for it, and what the samples come to.

    `at` are the moments to ask at. `slow`: NVML takes its time, which a thread of its own has. `of_instance`: an
    instance of a GPU has it of its own; what a driver may answer for an instance besides is the whole GPU's.
    """

    ask: Callable[[Any, Any], float | None]
    comes_to: Literal["mean", "peak"]
    at: tuple[Moment, ...] = ("start", "during", "end")
    slow: bool = False
    of_instance: bool = False


QUERIES: Final[Mapping[str, Query]] = {
    "memory_used_mib": Query(lambda nvml, of: nvml.nvmlDeviceGetMemoryInfo(of).used / MIB, "peak", of_instance=True),
    "utilisation": Query(
        lambda nvml, of: nvml.nvmlDeviceGetUtilizationRates(of).gpu / 100, "mean", ("during", "end")
    ),  # at the start it would tell of the time before
    "power_w": Query(lambda nvml, of: nvml.nvmlDeviceGetPowerUsage(of) / MILLI, "mean"),
    "counted_j": Query(lambda nvml, of: nvml.nvmlDeviceGetTotalEnergyConsumption(of) / MILLI, "peak"),
    "temperature_c": Query(lambda nvml, of: nvml.nvmlDeviceGetTemperature(of, nvml.NVML_TEMPERATURE_GPU), "peak"),
    "sm_clock_mhz": Query(lambda nvml, of: nvml.nvmlDeviceGetClockInfo(of, nvml.NVML_CLOCK_SM), "mean"),
    "pcie_rx_mib_s": Query(
        lambda nvml, of: _pcie(nvml, of, nvml.NVML_PCIE_UTIL_RX_BYTES), "mean", ("during",), slow=True
    ),
    "pcie_tx_mib_s": Query(
        lambda nvml, of: _pcie(nvml, of, nvml.NVML_PCIE_UTIL_TX_BYTES), "mean", ("during",), slow=True
    ),
}
"""By the fields of `GpuReading`, and `counted_j`, the counter of energy."""


def _pcie(nvml: Any, of: Any, counter: int) -> float:
    """MiB/s. NVML counts for 20 ms and returns then."""
    return float(nvml.nvmlDeviceGetPcieThroughput(of, counter)) / KIB_PER_MIB


class GpuProbe:
    """Watches the GPU of a torch device, in a thread, while a context lasts. Without CUDA or NVML it does nothing.

    Args:
        device: None or another device than CUDA is not watched.
        every_s: seconds between two samples.
        pcie: whether PCIe is watched too, in a thread of its own: each sample counts for 40 ms.
        pid: whose memory is looked for, with that of the processes below it; None is this process.
    """

    def __init__(
        self, device: torch.device | None, *, every_s: float = 0.5, pcie: bool = True, pid: int | None = None
    ) -> None:
        self._torch_device = device
        self._pid = pid
        self._exit = ExitStack()
        self._samplings = [
            Sampling(partial(self._sample, slow), every_s) for slow in ((True, False) if pcie else (False,))
        ]
        self._device: Device | None = None
        self._lock = threading.Lock()
        self._queries = dict(QUERIES)
        self._queries["memory_mib"] = Query(self._memory_of_tree, "peak", of_instance=True)
        self._series = {name: Series() for name in self._queries}
        self._entered = False

    def __enter__(self) -> Self:
        if self._entered:
            raise RuntimeError("a probe measures once: make another")
        self._entered = True
        self._device = self._exit.enter_context(opened(self._torch_device))
        if self._device is not None:
            for sampling in self._samplings:  # the quick one starts last and is stopped first, and NVML is closed last
                self._exit.callback(sampling.stop)
                sampling.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def reading(self) -> GpuReading | None:
        """What was seen so far; None where there is no such device to NVML."""
        device = self._device
        if device is None:
            return None
        with self._lock:
            seen = {name: getattr(self._series[name], query.comes_to) for name, query in self._queries.items()}
            counted, power = self._series["counted_j"], self._series["power_w"]
            # A counter that has not ticked yet, or began anew with the driver, has counted nothing of this.
            energy_j = counted.rise if counted.rise > 0 else power.area or None
        facts = {"name": device.name, "driver": device.driver, "power_limit_w": device.power_limit_w}
        known = seen | facts | {"energy_j": energy_j}
        return GpuReading(**{field.name: known[field.name] for field in fields(GpuReading)})

    def _sample(self, slow: bool, moment: Moment) -> bool:
        device = self._device
        assert device is not None
        for name, query in self._queries.items():
            if query.slow != slow or moment not in query.at or (device.is_instance and not query.of_instance):
                continue
            try:
                value = query.ask(device.nvml, device.handle)
            except device.nvml.NVMLError_GpuIsLost:
                return False
            except device.nvml.NVMLError:
                continue
            if value is not None:
                with self._lock:
                    self._series[name].add(value, time.perf_counter())
        return True

    def _memory_of_tree(self, nvml: Any, handle: Any) -> float | None:
        """MiB; None where no process of the tree is among those that NVML lists, or it does not say how much."""
        root = os.getpid() if self._pid is None else self._pid
        return _sum_mib(
            process.usedGpuMemory
            for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)
            if is_in_tree(process.pid, root)
        )


def _sum_mib(sizes: Iterable[int | None]) -> float | None:
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total / MIB or None
