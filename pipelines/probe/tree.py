"""A process and all below it: CPU time and memory, sampled."""

import time
from contextlib import suppress
from typing import Final

import psutil

PSS_EVERY_S: Final = 1.0
"""The kernel walks all pages of a process for its PSS, and holds up its page faults meanwhile."""


class ProcessTree:
    """What a process tree has taken since it was made, by samples: seconds of CPU, and peaks in bytes.

    A process that lives only between two samples adds to the CPU time (its parent has it, once it has waited for the
    child), but to no peak. Listing the tree takes about 15 us for each process of the machine.

    Raises:
        ProcessLookupError: there is no such process.
    """

    def __init__(self, pid: int) -> None:
        try:
            self._root = psutil.Process(pid)
        except psutil.NoSuchProcess:
            raise ProcessLookupError(f"no process {pid}") from None
        self._cpu_before_s: float | None = None
        self._pss_at: float | None = None
        self._pss_is_told = True
        self.cpu_s = 0.0
        self.peak_rss = 0
        self.peak_worker_rss: int | None = None
        self.peak_pss: int | None = None
        if not self.sample() or not self.peak_rss:  # what has ended and was not waited for has no memory
            raise ProcessLookupError(f"process {pid} has ended")

    def sample(self, *, last: bool = False) -> bool:
        """Look once, at PSS only once a second and at the end; whether the process is still there."""
        try:
            tree = [self._root, *self._root.children(recursive=True)]  # parents before their children
        except psutil.NoSuchProcess:
            return False
        self._sample_cpu_and_rss(tree)
        now = time.monotonic()
        if self._pss_is_told and (last or self._pss_at is None or now - self._pss_at >= PSS_EVERY_S):
            self._pss_at = now
            self._sample_pss(tree)
        return True

    def _sample_cpu_and_rss(self, tree: list[psutil.Process]) -> None:
        cpu_s, sizes = 0.0, []
        for process in tree:
            with suppress(psutil.Error), process.oneshot():
                times = process.cpu_times()
                # With ended children. Read after its parent, a child that ends meanwhile is missed, not counted twice.
                cpu_s += times.user + times.system + times.children_user + times.children_system
                sizes.append((process.memory_info().rss, process is self._root))
        if self._cpu_before_s is None:
            self._cpu_before_s = cpu_s
        self.cpu_s = max(self.cpu_s, cpu_s - self._cpu_before_s)
        self.peak_rss = max(self.peak_rss, sum(size for size, _ in sizes))
        below = [size for size, is_root in sizes if size and not is_root]  # one that has ended has none
        if below:
            self.peak_worker_rss = max(below + ([] if self.peak_worker_rss is None else [self.peak_worker_rss]))

    def _sample_pss(self, tree: list[psutil.Process]) -> None:
        total = 0
        for process in tree:
            try:
                total += process.memory_full_info().pss
            except psutil.NoSuchProcess:
                continue
            except (psutil.AccessDenied, AttributeError):  # another user's process; a system without PSS
                self._pss_is_told, self.peak_pss = False, None
                return
        self.peak_pss = max(total, self.peak_pss or 0)


def is_in_tree(pid: int, root: int) -> bool:
    """Whether a process is `root` or below it."""
    if pid == root:
        return True
    with suppress(psutil.Error):
        return any(parent.pid == root for parent in psutil.Process(pid).parents())
    return False
