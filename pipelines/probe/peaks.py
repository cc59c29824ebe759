"""The peaks that the system and torch keep by themselves, of this process alone; None where there is none."""

import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024
MIB = 1024**2


def reset_peaks(device: torch.device) -> None:
    """Let the peaks begin anew, where the system can (Linux; CUDA)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # proc(5): 5 resets the peak resident size


def peak_rss_mib() -> float:
    """The most memory this process has held since the peaks were reset, in MiB."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / MIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT_BYTES / MIB


def peak_device_mib(device: torch.device) -> float | None:
    """The most memory torch has reserved on a CUDA device since then, in MiB; None elsewhere."""
    return torch.cuda.max_memory_reserved(device) / MIB if device.type == "cuda" else None
