"""Images per second of augmentation alone: flip, rotation, scale, contrast and brightness on decoded images in memory.

Beside kornia as its documentation writes it, torchvision, albumentations, OpenCV in threads, and DALI.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.contest import contest
from benchmarks.images import bench_records
from benchmarks.peers.run import AUGMENTERS
from benchmarks.schema import Case
from benchmarks.suite import Setting, Suite, run_alone


def _run(settings: argparse.Namespace) -> Iterator[Case]:
    source = bench_records(settings.data, settings.images)
    yield contest(
        AUGMENTERS,
        "augment",
        title="Augmentation alone",
        how="Decoded images in memory, batches in stored order; every contender in a process of its own.",
        ours="fastfer, compiled",
        source=source,
        work=source.parent / "peers",
        repeats=settings.repeats,
        batch=settings.batch,
        only=settings.only,
    )


SUITE: Final = Suite(
    "augment",
    "Images per second of augmentation alone, beside kornia, torchvision, albumentations, OpenCV and DALI.",
    (
        Setting("data", "folder of the images, made if missing", Path, Path("data/bench/loaders")),
        Setting("images", "how many", int, 8000, 1000),
        Setting("batch", "images of a batch", int, 64),
        Setting("repeats", "turns of each contender", int, 5, 2),
        Setting("only", "contenders whose name matches this pattern", str, "*"),
    ),
    ("python -m benchmarks augment", "python -m benchmarks augment --quick 1 --only 'fastfer*'"),
    _run,
)

if __name__ == "__main__":
    run_alone(SUITE)
