"""NVML: the library, and which of its devices a CUDA device of torch is."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import torch

Answer = TypeVar("Answer")
MILLI: Final = 1000
"""NVML counts in milliwatts and millijoules."""


def load() -> Any | None:
    """The library's Python module; None where it is not installed."""
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """A device that NVML knows, and what does not change of it; None where NVML refuses to tell.

    `is_instance`: a part of a GPU (MIG), of which only memory is its own.
    """

    nvml: Any
    handle: Any
    is_instance: bool
    name: str | None
    driver: str | None
    power_limit_w: float | None


@contextmanager
def opened(device: torch.device | None) -> Iterator[Device | None]:
    """NVML's view of a torch device; None where it is no CUDA device, or NVML is not there or does not know it."""
    nvml = load() if device is not None and device.type == "cuda" else None
    if device is None or nvml is None or not _starts(nvml):
        yield None
        return
    try:
        yield _described(nvml, device)
    finally:
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()  # NVML counts: DALI's or torch's own use of it goes on


def device_facts(device: torch.device) -> tuple[str | None, float | None]:
    """The driver's version and the GPU's power limit in watts, as in force; None where NVML cannot tell.

    An instance of a GPU (MIG) has no power limit of its own.
    """
    with opened(device) as found:
        return (found.driver, found.power_limit_w) if found else (None, None)


def asked(nvml: Any, question: Callable[[], Answer]) -> Answer | None:
    """What NVML answers; None where it refuses."""
    try:
        return question()
    except nvml.NVMLError:
        return None


def _starts(nvml: Any) -> bool:
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:  # no library, no driver, no permission
        return False
    return True


def _described(nvml: Any, device: torch.device) -> Device | None:
    handle = _handle(nvml, device)
    if handle is None:
        return None
    is_instance = bool(asked(nvml, partial(nvml.nvmlDeviceIsMigDeviceHandle, handle)))
    limit_mw = None if is_instance else asked(nvml, partial(nvml.nvmlDeviceGetEnforcedPowerLimit, handle))
    return Device(
        nvml=nvml,
        handle=handle,
        is_instance=is_instance,
        name=asked(nvml, partial(nvml.nvmlDeviceGetName, handle)),
        driver=asked(nvml, nvml.nvmlSystemGetDriverVersion),
        power_limit_w=None if limit_mw is None else limit_mw / MILLI,
    )


def _handle(nvml: Any, device: torch.device) -> Any | None:
    """By UUID, as torch's numbers follow CUDA_VISIBLE_DEVICES and NVML's do not.

    For a MIG instance torch may give the instance's UUID or that of its GPU, by the driver's age. With the latter the
    instance is the one that CUDA_VISIBLE_DEVICES names, or the GPU's only one; else there is no telling.
    """
    index = torch.cuda.current_device() if device.index is None else device.index
    uuid = str(torch.cuda.get_device_properties(index).uuid)
    instance = _by_uuid(nvml, f"MIG-{uuid}")
    if instance is not None:
        return instance
    gpu = _by_uuid(nvml, f"GPU-{uuid}")
    if gpu is not None and not _is_divided(nvml, gpu):
        return gpu
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    if index < len(visible) and (named := visible[index].strip()).startswith("MIG-"):
        return _by_uuid(nvml, named)
    instances = [] if gpu is None else _instances(nvml, gpu)
    return instances[0] if len(instances) == 1 else None


def _by_uuid(nvml: Any, uuid: str) -> Any | None:
    return asked(nvml, partial(nvml.nvmlDeviceGetHandleByUUID, uuid))


def _is_divided(nvml: Any, gpu: Any) -> bool:
    mode = asked(nvml, partial(nvml.nvmlDeviceGetMigMode, gpu))  # (now, after the next reset)
    return mode is not None and mode[0] == nvml.NVML_DEVICE_MIG_ENABLE


def _instances(nvml: Any, gpu: Any) -> list[Any]:
    most = asked(nvml, partial(nvml.nvmlDeviceGetMaxMigDeviceCount, gpu)) or 0
    found = [asked(nvml, partial(nvml.nvmlDeviceGetMigDeviceHandleByIndex, gpu, place)) for place in range(most)]
    return [instance for instance in found if instance is not None]
