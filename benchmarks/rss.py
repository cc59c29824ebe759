"""Peak memory of the shard stage over an ExpW-like set whose images stand several times: does it grow with them?

Run as `python -m benchmarks.rss ROOT COPIES ANSWER`, in a process of its own: a peak is the process's, from its start.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.processes import run_program
from fastfer.datasets.expw import LAYOUTS
from fastfer.shards import ShardConfig, make_shards
from pipelines.probe import Probe, peak_rss_mib

LABEL_LIST, IMAGES = LAYOUTS[0]
WATCHED_EVERY_S: Final = 0.05


def peak_rss(root: Path, copies: int) -> dict[str, float]:
    """Peak RSS in MiB of the `parent`, its largest `worker` and `all`; the `faces`, and the `seconds` that they took.

    Raises:
        ProgramError: it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        run_program("benchmarks.rss", [str(root.resolve()), str(copies), str(answer)])
        measured: dict[str, float] = json.loads(answer.read_text(encoding="utf-8"))
    return measured


def _multiplied(root: Path, copies: int, into: Path) -> int:
    """The set in `root` with each image, and each line of its list, `copies` times under other names; its faces."""
    (into / IMAGES).mkdir(parents=True)
    (into / LABEL_LIST).parent.mkdir(parents=True, exist_ok=True)
    lines = (root / LABEL_LIST).read_text(encoding="utf-8").splitlines()
    multiplied = [f"copy{copy}_{line}" for copy in range(copies) for line in lines]
    (into / LABEL_LIST).write_text("\n".join(multiplied), encoding="utf-8")
    for image in (root / IMAGES).iterdir():
        for copy in range(copies):
            shutil.copyfile(image, into / IMAGES / f"copy{copy}_{image.name}")
    return len(multiplied)


def main() -> None:
    """Make the shards of the multiplied set, and write what they took as JSON."""
    root, copies, answer = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    with tempfile.TemporaryDirectory() as folder:
        faces = _multiplied(root, copies, Path(folder) / "raw")
        config = ShardConfig(
            dataset="demo-expw",
            data_root=Path(folder) / "raw",
            out=Path(folder) / "shards",
            workers=os.cpu_count() or 1,
        )
        with Probe(every_s=WATCHED_EVERY_S) as probe:
            make_shards(config)
    took = probe.reading()
    peaks = {"parent": peak_rss_mib(), "worker": took.worker_rss_mib, "all": took.peak_rss_mib}
    found = peaks | {"faces": faces, "seconds": took.seconds}
    answer.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
