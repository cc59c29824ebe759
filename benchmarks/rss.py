"""Peak memory of the shard stage over an ExpW-like set whose images stand several times: does it grow with them?

Run as `python -m benchmarks.rss ROOT COPIES`, in a process of its own: a peak is the process's, from its start.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from fastfer.datasets.expw import LAYOUTS
from fastfer.shards import ShardConfig, make_shards
from pipelines.probe import peak_rss_mib

LABEL_LIST, IMAGES = LAYOUTS[0]
BYTES_PER_MIB: Final = 2**20
WATCHED_EVERY_S: Final = 0.05


def peak_rss(root: Path, copies: int) -> dict[str, float]:
    """Peak RSS in MiB of the parent and of its largest worker."""
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.rss", str(root), str(copies)], check=True, capture_output=True, text=True
    )
    measured: dict[str, float] = json.loads(run.stdout)
    return measured


def _multiplied(root: Path, copies: int, into: Path) -> None:
    """The set in `root` with each image, and each line of its list, `copies` times under other names."""
    (into / IMAGES).mkdir(parents=True)
    (into / LABEL_LIST).parent.mkdir(parents=True, exist_ok=True)
    lines = (root / LABEL_LIST).read_text(encoding="utf-8").splitlines()
    (into / LABEL_LIST).write_text(
        "\n".join(f"copy{copy}_{line}" for copy in range(copies) for line in lines), encoding="utf-8"
    )
    for image in (root / IMAGES).iterdir():
        for copy in range(copies):
            shutil.copyfile(image, into / IMAGES / f"copy{copy}_{image.name}")


def main() -> None:
    """Make the shards of the multiplied set, and print the peaks as JSON."""
    root, copies = Path(sys.argv[1]), int(sys.argv[2])
    done = threading.Event()
    workers = [0]
    watch = threading.Thread(target=_watch, args=(done, workers))
    watch.start()
    with tempfile.TemporaryDirectory() as folder:
        _multiplied(root, copies, Path(folder) / "raw")
        make_shards(
            ShardConfig(
                dataset="demo-expw",
                data_root=Path(folder) / "raw",
                out=Path(folder) / "shards",
                workers=os.cpu_count() or 1,
            )
        )
    done.set()
    watch.join()
    print(json.dumps({"parent": peak_rss_mib(), "worker": max(workers) / BYTES_PER_MIB}))


def _watch(done: threading.Event, peaks: list[int]) -> None:
    """Note the resident memory of the largest process below this one, again and again."""
    me = psutil.Process()
    while not done.wait(WATCHED_EVERY_S):
        for process in me.children(recursive=True):
            with suppress(psutil.Error):
                peaks[0] = max(peaks[0], process.memory_info().rss)


if __name__ == "__main__":
    main()
