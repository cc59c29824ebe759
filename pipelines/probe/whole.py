"""The whole probe: a process tree and its GPU, while a context lasts."""

import os
import time
from dataclasses import dataclass
from typing import Self

import torch

from pipelines.probe.gpu import GpuProbe, GpuReading
from pipelines.probe.peaks import MIB
from pipelines.probe.sampling import Moment, Sampling
from pipelines.probe.tree import ProcessTree


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a process and all below it took; None is not measured.

    Attributes:
        seconds: of the context.
        cpu_s: user and system time of the tree, with children that have ended and were waited for. The probe's own is
            in it where the tree is this process's.
        peak_rss_mib: the highest sum over the tree; a page that several processes share counts in each.
        peak_pss_mib: likewise, each shared page counted once in all; only Linux tells. Its samples are a second apart
            (and one at the end), as it is dear to read.
        worker_rss_mib: the peak of the largest process below; None where none was seen.
        gpu: None without a CUDA device or NVML.
    """

    seconds: float
    cpu_s: float
    peak_rss_mib: float
    peak_pss_mib: float | None
    worker_rss_mib: float | None
    gpu: GpuReading | None


class Probe:
    """Watches a process tree and a GPU in threads, while a context lasts; `reading` says what they took.

    ```
    with Probe(torch.device("cuda")) as probe:
        work()
    reading = probe.reading()
    ```

    Args:
        device: whose GPU is watched (see `GpuProbe`); None is none.
        every_s: seconds between two samples. What comes and goes between them is in no peak.
        pid: the root of the tree; None is this process.
    """

    def __init__(self, device: torch.device | None = None, *, every_s: float = 0.1, pid: int | None = None) -> None:
        self._pid = pid
        self._gpu = GpuProbe(device, every_s=every_s, pid=pid)
        self._sampling = Sampling(self._sample, every_s)
        self._tree: ProcessTree | None = None
        self._started_s: float | None = None
        self._ended_s: float | None = None

    def __enter__(self) -> Self:
        """Start.

        Raises:
            ProcessLookupError: there is no process `pid`.
            RuntimeError: it was entered before.
        """
        if self._started_s is not None:
            raise RuntimeError("a probe measures once: make another")
        self._tree = ProcessTree(os.getpid() if self._pid is None else self._pid)
        self._gpu.__enter__()
        self._sampling.start()
        self._started_s = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended_s = time.perf_counter()
        try:
            self._sampling.stop()
        finally:
            self._gpu.__exit__()

    def reading(self) -> Reading:
        """What was seen: all of it after the context, inside what was seen so far.

        Raises:
            RuntimeError: it was not entered yet.
        """
        if self._tree is None or self._started_s is None:
            raise RuntimeError("the probe has measured nothing yet: enter it first")
        tree = self._tree
        return Reading(
            seconds=(self._ended_s or time.perf_counter()) - self._started_s,
            cpu_s=tree.cpu_s,
            peak_rss_mib=tree.peak_rss / MIB,
            peak_pss_mib=None if tree.peak_pss is None else tree.peak_pss / MIB,
            worker_rss_mib=None if tree.peak_worker_rss is None else tree.peak_worker_rss / MIB,
            gpu=self._gpu.reading(),
        )

    def _sample(self, moment: Moment) -> bool:
        assert self._tree is not None
        return self._tree.sample(last=moment == "end")
