"""A library like pynvml over made-up devices, to measure where there is no GPU."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pipelines.probe import nvml

MIB = 1024**2


class NVMLError(Exception):
    pass


class NVMLError_NotSupported(NVMLError):
    pass


class NVMLError_NoPermission(NVMLError):
    pass


class NVMLError_NotFound(NVMLError):
    pass


class NVMLError_GpuIsLost(NVMLError):
    pass


class NVMLError_LibraryNotFound(NVMLError):
    pass


@dataclass(eq=False)
class FakeGpu:
    """A device, or with a `parent` an instance of one. `refuses` are questions and the errors they come to."""

    uuid: str
    name: str = "Made GPU"
    used_mib: int = 900
    power_w: float = 200.0
    utilisation_percent: int = 50
    processes: list[tuple[int, int | None]] = field(default_factory=list)  # pid, MiB
    instances: Sequence["FakeGpu"] = ()
    is_instance: bool = False
    refuses: dict[str, type[Exception]] = field(default_factory=dict)
    lost: bool = False
    counted_mj: int = 5_000_000
    mj_per_question: int = 7_000
    asked: dict[str, int] = field(default_factory=dict)


class FakeNvml:
    """What of pynvml the probe uses."""

    NVMLError = NVMLError
    NVMLError_GpuIsLost = NVMLError_GpuIsLost
    NVML_DEVICE_MIG_ENABLE = 1
    NVML_TEMPERATURE_GPU = 0
    NVML_CLOCK_SM = 1
    NVML_PCIE_UTIL_TX_BYTES = 0
    NVML_PCIE_UTIL_RX_BYTES = 1

    def __init__(self, *gpus: FakeGpu, initialises: bool = True) -> None:
        self.gpus = gpus
        self.initialises = initialises
        self.open = 0
        self.began = 0
        self.asked = threading.Condition()

    def wait_for(self, gpu: FakeGpu, question: str, times: int) -> None:
        """Until a question was asked so often."""
        with self.asked:
            assert self.asked.wait_for(lambda: gpu.asked.get(question, 0) >= times, timeout=60)

    def _ask(self, gpu: FakeGpu, question: str, answer: Callable[[], Any]) -> Any:
        assert self.open > 0, "NVML is closed"
        with self.asked:
            gpu.asked[question] = gpu.asked.get(question, 0) + 1
            self.asked.notify_all()
        if gpu.lost:
            raise NVMLError_GpuIsLost
        if question in gpu.refuses:
            raise gpu.refuses[question]
        return answer()

    def nvmlInit(self) -> None:
        if not self.initialises:
            raise NVMLError_LibraryNotFound
        self.open += 1
        self.began += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlSystemGetDriverVersion(self) -> str:
        return "999.1"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> FakeGpu:
        for gpu in self.gpus:
            for one in (gpu, *gpu.instances):
                if one.uuid == uuid:
                    return one
        raise NVMLError_NotFound

    def nvmlDeviceIsMigDeviceHandle(self, gpu: FakeGpu) -> int:
        return self._ask(gpu, "is_instance", lambda: int(gpu.is_instance))

    def nvmlDeviceGetMigMode(self, gpu: FakeGpu) -> list[int]:
        return self._ask(gpu, "mig", lambda: [int(bool(gpu.instances))] * 2)

    def nvmlDeviceGetMaxMigDeviceCount(self, _: FakeGpu) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, gpu: FakeGpu, index: int) -> FakeGpu:
        if index >= len(gpu.instances):
            raise NVMLError_NotFound
        return gpu.instances[index]

    def nvmlDeviceGetName(self, gpu: FakeGpu) -> str:
        return self._ask(gpu, "name", lambda: gpu.name)

    def nvmlDeviceGetEnforcedPowerLimit(self, gpu: FakeGpu) -> int:
        return self._ask(gpu, "power_limit_w", lambda: 700_000)

    def nvmlDeviceGetMemoryInfo(self, gpu: FakeGpu) -> Any:
        return self._ask(gpu, "memory_used_mib", lambda: SimpleNamespace(used=gpu.used_mib * MIB))

    def nvmlDeviceGetUtilizationRates(self, gpu: FakeGpu) -> Any:
        return self._ask(gpu, "utilisation", lambda: SimpleNamespace(gpu=gpu.utilisation_percent, memory=3))

    def nvmlDeviceGetPowerUsage(self, gpu: FakeGpu) -> int:
        return self._ask(gpu, "power_w", lambda: round(gpu.power_w * 1000))

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: FakeGpu) -> int:
        return self._ask(gpu, "energy_j", lambda: gpu.counted_mj + (gpu.asked["energy_j"] - 1) * gpu.mj_per_question)

    def nvmlDeviceGetTemperature(self, gpu: FakeGpu, sensor: int) -> int:
        assert sensor == self.NVML_TEMPERATURE_GPU
        return self._ask(gpu, "temperature_c", lambda: 60 + min(gpu.asked["temperature_c"], 2))

    def nvmlDeviceGetClockInfo(self, gpu: FakeGpu, clock: int) -> int:
        assert clock == self.NVML_CLOCK_SM
        return self._ask(gpu, "sm_clock_mhz", lambda: 1980)

    def nvmlDeviceGetPcieThroughput(self, gpu: FakeGpu, counter: int) -> int:
        name, kib = {1: ("pcie_rx_mib_s", 2048), 0: ("pcie_tx_mib_s", 512)}[counter]
        return self._ask(gpu, name, lambda: kib)

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: FakeGpu) -> list[Any]:
        return self._ask(
            gpu,
            "memory_mib",
            lambda: [
                SimpleNamespace(pid=pid, usedGpuMemory=None if mib is None else mib * MIB) for pid, mib in gpu.processes
            ],
        )


def pretend(monkeypatch: pytest.MonkeyPatch, library: FakeNvml | None, *torch_uuids: str) -> None:
    """Let the probe find this library, and torch devices of these UUIDs."""
    monkeypatch.setattr(nvml, "load", lambda: library)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=torch_uuids[index]))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
