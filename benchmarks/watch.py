"""What a contender took beside its time, as the probe saw it: figures of `schema.MEASURES`."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
import torch

from pipelines.probe import Probe, Reading

EVERY_S: Final = 0.25
"""Between two looks at the processes: often enough for peaks, seldom enough to take nothing of two cores."""
OF_THE_PROCESS: Final = ("rss_mib", "pss_mib", "worker_rss_mib")
"""What contenders that share a process do not have of their own."""
MEMORY: Final = (*OF_THE_PROCESS, "gpu_memory_mib")
Measures = dict[str, float | None]
ON_GPU: Final = torch.cuda.is_available()
"""Whether suites take the sizes that a GPU needs to be busy."""


def device() -> torch.device:
    """What this machine trains on, and so what is watched."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def probe(pid: int | None = None) -> Probe:
    """A probe of a process and all below it (None: of this one), and of the GPU where there is one."""
    return Probe(device(), every_s=EVERY_S, pid=pid)


def watched(work: Callable[[], int]) -> tuple[int, Measures]:
    """How many items some work in this process handled, and what it took, less the memory that others hold here too.

    Of the GPU's memory all but what lies there for all contenders is given back before.
    """
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with probe() as watching:
        items = work()
    measures = measures_of([watching.reading()], items)
    return items, {name: value for name, value in measures.items() if name not in OF_THE_PROCESS}


def measures_of(readings: Sequence[Reading], items: int) -> Measures:
    """The highest peaks of all readings, and the medians of what adds up; each reading is of `items` handled items."""
    gpus = [reading.gpu for reading in readings if reading.gpu is not None]
    return {
        "cpu_s_per_1000": _per_1000(_median(reading.cpu_s for reading in readings), items),
        "rss_mib": _peak(reading.peak_rss_mib for reading in readings),
        "pss_mib": _peak(reading.peak_pss_mib for reading in readings),
        "worker_rss_mib": _peak(reading.worker_rss_mib for reading in readings),
        "gpu_memory_mib": _peak(gpu.memory_mib for gpu in gpus),
        "gpu_utilisation": _median(gpu.utilisation for gpu in gpus),
        "power_w": _median(gpu.power_w for gpu in gpus),
        "joules_per_1000": _per_1000(_median(gpu.energy_j for gpu in gpus), items),
    }


def memory_of(reading: Reading) -> Measures:
    """The peaks of memory alone, of what took little time."""
    return {name: value for name, value in measures_of([reading], 1).items() if name in MEMORY}


def _peak(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _per_1000(value: float | None, items: int) -> float | None:
    return None if value is None else 1000 * value / items
