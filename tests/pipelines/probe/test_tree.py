"""The process tree's part of the probe, over real child processes that take a known amount."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from pipelines.probe import Probe

ALLOCATED_MIB = 96
BURNT_S = 0.4
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
CHILD = f"""
import sys, time
kept = bytearray(b"\\1") * ({ALLOCATED_MIB} * 2**20)
while time.process_time() < {BURNT_S}:
    pass
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def child() -> Iterator[subprocess.Popen[str]]:
    """A process that has taken its memory and its time, and waits for its input to end."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process


PARENT = f"""
import subprocess, sys
input()
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
print(child.stdout.readline(), end="", flush=True)
input()
child.communicate()
print("ended", flush=True)
sys.stdin.read()
"""


class Parent:
    """A process that makes a `child` of its own when it is told so: this one has other children, of other tests."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.pid, self._process = process.pid, process

    def tell(self, answer: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == f"{answer}\n"


@contextmanager
def parent() -> Iterator[Parent]:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Parent(process)
        process.communicate()


def children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_living_child_counts_with_its_memory_and_time() -> None:
    before = children_cpu_s()
    with parent() as process:
        started = time.perf_counter()
        with Probe(pid=process.pid) as probe:
            inside = time.perf_counter()
            process.tell("ready")
            left = time.perf_counter()
        ended = time.perf_counter()
        process.tell("ended")
    reading = probe.reading()
    assert BURNT_S - 2 * TICK_S <= reading.cpu_s <= children_cpu_s() - before + 4 * TICK_S
    assert reading.worker_rss_mib is not None
    assert ALLOCATED_MIB < reading.worker_rss_mib < 2 * ALLOCATED_MIB
    assert reading.peak_rss_mib > reading.worker_rss_mib
    assert reading.peak_pss_mib is not None
    assert ALLOCATED_MIB < reading.peak_pss_mib <= reading.peak_rss_mib
    assert left - inside < reading.seconds < ended - started
    assert probe.reading() == reading


def test_an_ended_child_counts_with_its_time_and_what_was_seen_of_its_memory() -> None:
    before = children_cpu_s()
    with parent() as process, Probe(pid=process.pid, every_s=0.01) as probe:
        process.tell("ready")
        deadline = time.monotonic() + 60
        while (probe.reading().worker_rss_mib or 0) < ALLOCATED_MIB:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.tell("ended")
    reading = probe.reading()
    assert BURNT_S - 2 * TICK_S <= reading.cpu_s <= children_cpu_s() - before + 4 * TICK_S
    assert reading.worker_rss_mib is not None
    assert ALLOCATED_MIB < reading.worker_rss_mib < 2 * ALLOCATED_MIB


def test_this_process_is_the_root_unless_told_otherwise() -> None:
    before = time.process_time()
    with Probe() as probe:
        while time.process_time() - before < BURNT_S:
            pass
    assert probe.reading().cpu_s >= BURNT_S - 2 * TICK_S
    assert probe.reading().peak_rss_mib > psutil.Process().memory_info().rss / 2**20 / 2


def test_the_tree_of_another_process() -> None:
    with child() as process:
        with Probe(pid=process.pid) as probe:
            pass
        process.communicate()
    reading = probe.reading()
    assert reading.cpu_s < BURNT_S / 2  # it was burnt before
    assert ALLOCATED_MIB < reading.peak_rss_mib < 2 * ALLOCATED_MIB
    assert reading.worker_rss_mib is None


def test_a_process_that_ends_meanwhile_keeps_what_was_seen() -> None:
    with child() as process, Probe(pid=process.pid, every_s=0.01) as probe:
        process.communicate()
    assert ALLOCATED_MIB < probe.reading().peak_rss_mib < 2 * ALLOCATED_MIB
    with pytest.raises(ProcessLookupError, match=f"no process {process.pid}"), Probe(pid=process.pid):
        pass


def test_a_process_that_has_ended_and_is_not_waited_for_is_none() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(ProcessLookupError, match="has ended"), Probe(pid=process.pid):
            pass


def test_a_system_without_pss_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil.Process, "memory_full_info", psutil.Process.memory_info)
    with Probe() as probe:
        pass
    assert probe.reading().peak_pss_mib is None
    assert probe.reading().peak_rss_mib > 0


def test_pss_is_read_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    told = psutil.Process.memory_full_info
    looked, sampled = [], []
    monkeypatch.setattr(psutil.Process, "memory_full_info", lambda of: (looked.append(of), told(of))[1])
    children = psutil.Process.children
    monkeypatch.setattr(psutil.Process, "children", lambda of, **how: (sampled.append(of), children(of, **how))[1])
    with child() as process:
        with Probe(pid=process.pid, every_s=0.001) as probe:
            deadline = time.monotonic() + 60
            while len(sampled) < 20:
                assert time.monotonic() < deadline
                time.sleep(0.001)
        process.communicate()
    assert len(looked) <= 3 + probe.reading().seconds  # at both ends, and once a second
