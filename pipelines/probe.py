"""What a process takes of the machine. A figure that cannot be measured here is None: never an estimate, never 0."""

import resource
import sys

import torch

RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024
MIB = 1024**2


def peak_rss_mib() -> float:
    """The most memory this process has held so far, in MiB (`getrusage`, which counts in KiB on Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT_BYTES / MIB


def peak_device_mib(device: torch.device) -> float | None:
    """The most memory torch has reserved on a CUDA device so far, in MiB; None elsewhere."""
    return torch.cuda.max_memory_reserved(device) / MIB if device.type == "cuda" else None
