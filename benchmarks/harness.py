"""How things are measured here: contenders in turn (A B A B ...), after a warm-up, in one run on one machine."""

import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
import torch

from benchmarks.peers.run import Peer
from pipelines.records import write_atomically

RESULTS: Final = Path(__file__).parent / "results"
SCHEMA_VERSION: Final = 1
TURN_S: Final = 1.0
"""Seconds that a peer's turn lasts at least."""
LIBRARIES: Final = (
    "torch", "torchvision", "facenet-pytorch", "retinaface-pytorch", "opencv-python-headless", "pillow", "numpy",
    "nvidia-dali-cuda120", "kornia", "albumentations",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measured:
    """One contender: what it handled in each repetition (`items`), and the seconds each took."""

    items: int
    seconds: list[float]

    @property
    def rates(self) -> list[float]:
        """Items per second, by repetition."""
        return [self.items / seconds for seconds in self.seconds]

    def summary(self) -> dict[str, Any]:
        """Median, quartiles and all repetitions, as a result file holds them."""
        low, median, high = (float(value) for value in np.percentile(self.rates, [25, 50, 75]))
        return asdict(self) | {"per_s": {"median": median, "q25": low, "q75": high}}


def in_turn(contenders: Mapping[str, Callable[[], int]], *, repeats: int, warm_up: int = 1) -> dict[str, Measured]:
    """Time each contender `repeats` times, in turn, so that a slow minute of the machine hits all of them.

    A contender does its whole work once and returns how many items it handled. The first `warm_up` rounds do not count.

    Raises:
        ValueError: a contender handled another number of items than before.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    items: dict[str, int] = {}
    for turn in range(warm_up + repeats):
        for name, work in contenders.items():
            started = time.perf_counter()
            handled = work()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            took = time.perf_counter() - started
            if items.setdefault(name, handled) != handled:
                raise ValueError(f"{name} handled {handled} items, and {items[name]} before")
            if turn >= warm_up:
                seconds[name].append(took)
    return {name: Measured(items[name], seconds[name]) for name in contenders}


def peers_in_turn(peers: Mapping[str, Peer], *, repeats: int) -> dict[str, dict[str, Any]]:
    """Let the peers run, in turn; what each measured, as a result file holds it.

    A turn is one epoch, or as many as a second takes by the first one (which does not count): a single epoch of 20 ms
    would only tell what the turns of the others have left in the caches.

    Raises:
        PeerError: one of them failed.
    """
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in peers}
    firsts = {name: peer.epochs(2, 1) for name, peer in peers.items()}  # the checks took 0 and 1
    counts = {name: math.ceil(TURN_S / first["seconds"]) for name, first in firsts.items()}
    for turn in range(repeats):
        for name, peer in peers.items():
            turns[name].append(peer.epochs(3 + turn * counts[name], counts[name]))
    return {name: _summary_of(of_peer) for name, of_peer in turns.items()}


def _summary_of(turns: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    images = int(turns[0]["images"])
    cpu_s = float(np.median([turn["cpu_seconds"] for turn in turns]))
    return Measured(images, [turn["seconds"] for turn in turns]).summary() | {
        "cpu_s_per_1000": 1000 * cpu_s / images,
        "pss_mib": max(turn["pss_mib"] for turn in turns),
    }


def machine() -> dict[str, Any]:
    """The facts of this machine and of what runs on it."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
        "commit": _commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit measured, with `+` when the working tree differs from it; None outside a checkout."""
    here = Path(__file__).parent
    try:
        commit, changed = (
            subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout.strip()
            for words in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")


def write_result(suite: str, content: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Write `<suite>--<cores>-core-<machine>--<device>.json`: the machine's facts and `content`."""
    facts = machine()
    device = "cpu" if facts["device"] is None else "-".join(facts["device"].lower().split())
    folder = folder or RESULTS
    path = folder / f"{suite}--{facts['cores']}-core-{platform.machine()}--{device}.json"
    result = {"schema_version": SCHEMA_VERSION, "suite": suite, "machine": facts, **content}
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(result, indent=1) + "\n").encode())
    return path
