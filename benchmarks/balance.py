"""Copies per second of `make balance`, beside the plain loop with albumentations that people write.

Both are timed as a user runs them, each in a process of its own from its start to its last file. fastfer also writes
the originals into the new records, and its copies do not depend on order or workers; the loop writes its copies alone.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from benchmarks.harness import in_turn
from benchmarks.images import SHARD_ROWS, SIZE_PX, make_records
from benchmarks.machine import CORES
from benchmarks.processes import run_program
from benchmarks.schema import Case
from benchmarks.suite import Setting, Suite, positive, run_alone
from benchmarks.watch import measures_of
from fastfer.export import export
from fastfer.labels import CLASSES
from pipelines.probe import Reading
from pipelines.records import read_manifest

DATASET: Final = "demo-rafdb"
LARGEST: Final = 0.5
"""Share of the largest class; the other six share the rest."""
OURS: Final = "fastfer"
PLAIN: Final = "plain loop (OpenCV, albumentations)"
Work = Callable[[Path], Reading]
"""Balances into a new folder."""


def with_fastfer(records: Path) -> tuple[Work, Callable[[Path], int]]:
    """`make balance`, and how its copies are counted."""

    def work(out: Path) -> Reading:
        (out / DATASET).mkdir(parents=True)
        (out / DATASET / "preprocessed").symlink_to(records.resolve())
        return run_program("fastfer", ["balance", "--dataset", DATASET, "--out", str(out), "--workers", str(CORES)])

    def count(out: Path) -> int:
        return read_manifest(out / DATASET / "augmented").filter(pl.col("copy").is_not_null()).height

    return work, count


def with_plain_loop(images: Path) -> tuple[Work, Callable[[Path], int]]:
    """The loop, over the folders of classes of the same images, and how its copies are counted."""
    return (
        lambda out: run_program("benchmarks.peers.plain_balance", [str(images.resolve()), str(out)]),
        lambda out: sum(1 for _ in out.glob("*/*.jpg")),
    )


def balance_case(records: Path, *, repeats: int) -> Case:
    """All contenders in turn; each must make as many copies as the classes lack."""
    files = records.parents[1] / "files"
    if not files.is_dir():
        export(records.parents[1], DATASET, "preprocessed", "folder", files)
    sizes = read_manifest(records)["label"].value_counts()["count"]
    lacking = int((sizes.max() - sizes).sum())
    works = {
        OURS: with_fastfer(records),
        PLAIN: with_plain_loop(files / "train"),
    }
    readings: dict[str, list[Reading]] = {name: [] for name in works}
    with tempfile.TemporaryDirectory(dir=records.parents[1]) as folder:

        def contender(name: str, work: Work, count: Callable[[Path], int]) -> Callable[[], int]:
            def run() -> int:
                out = Path(folder) / f"{name}-{len(readings[name])}"
                readings[name].append(work(out))
                if (made := count(out)) != lacking:
                    raise ValueError(f"it made {made} copies, not {lacking}")
                return made

            return run

        measured, failed = in_turn(
            {name: contender(name, *work) for name, work in works.items()}, repeats=repeats, warm_up=0
        )
    return Case(
        title="Balancing the classes",
        unit="copies",
        how="As a user runs it: a process from its start to its last file; images of 224 px in the page cache.",
        ours=OURS,
        settings={
            "images": int(sizes.sum()),
            "copies": lacking,
            "workers": CORES,
            "size_px": SIZE_PX,
            "policy": "light",
        },
        contenders={
            name: one.entry("peer" if name == PLAIN else "ours", measures_of(readings[name], one.items))
            for name, one in measured.items()
        },
        failed=failed,
    )


def _run(settings: argparse.Namespace) -> Iterator[Case]:
    records = settings.data / str(settings.images) / DATASET / "preprocessed"
    rows = np.arange(settings.images)
    labels = np.where(rows < LARGEST * len(rows), 0, 1 + rows % (len(CLASSES) - 1))
    make_records(records, labels, {"largest": LARGEST, "shard_rows": SHARD_ROWS})
    yield balance_case(records, repeats=settings.repeats)


SUITE: Final = Suite(
    "balance",
    "Copies per second of make balance, beside a plain loop with albumentations.",
    (
        Setting("data", "folder of the images, made if missing", Path, Path("data/bench/balance"), free=True),
        Setting("images", "how many before balancing", positive, 4000, 200),
        Setting("repeats", "turns of each contender", positive, 3, 1, free=True),
    ),
    ("python -m benchmarks balance", "python -m benchmarks balance --images 500 --repeats 1"),
    _run,
)

if __name__ == "__main__":
    run_alone(SUITE)
