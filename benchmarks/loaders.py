"""Images per second from records to batches on the training device, beside other loaders and what none can exceed.

Every contender runs in a process of its own, over the same images, in batches of 64, whole shuffled epochs, all in
turn. What decodes, converts or compiles has done so before: the first two epochs do not count. `decode` hands over
uint8 gray images; `augment` floats after flip, rotation, scale, contrast and brightness, drawn for each image.
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from benchmarks import training
from benchmarks.contest import contest
from benchmarks.images import bench_records
from benchmarks.machine import CORES
from benchmarks.peers.protocol import Mode
from benchmarks.peers.run import CONTENDERS, Rival
from benchmarks.schema import Case
from benchmarks.suite import Setting, Suite, positive, run_alone
from benchmarks.watch import device
from fastfer.cli.verbs import whole_number

LARGE: Final = ("fastfer, resident", "FFCV, raw", "limit: gather of decoded images", "limit: memcpy")
"""Contenders that are timed over the large set too: those that hold decoded images."""
OURS: Final[Mapping[Mode, str]] = {"decode": "fastfer, resident", "augment": "fastfer, resident, compiled"}
"""Whom the others are compared with."""
QUICK: Final = "fastfer, resident|PyTorch DataLoader, OpenCV*|limit: memcpy"
"""Those of a quick run: they start in seconds."""
TITLES: Final[Mapping[Mode, str]] = {
    "decode": "From records to uint8 batches",
    "augment": "From records to augmented float batches",
}


def _run(settings: argparse.Namespace) -> Iterator[Case]:
    images: Mapping[Mode, int] = {"decode": settings.images, "augment": min(settings.images, settings.augmented)}
    for mode, count in images.items():
        yield _case(settings, mode, CONTENDERS, count, TITLES[mode])
    if settings.large:
        large = {name: CONTENDERS[name] for name in LARGE}
        yield _case(settings, "decode", large, settings.large, f"{TITLES['decode']}, large set")


def _case(settings: argparse.Namespace, mode: Mode, table: Mapping[str, Rival], images: int, title: str) -> Case:
    source = bench_records(settings.data, images)
    return contest(
        table,
        mode,
        title=title,
        how="Whole shuffled epochs after the first, the files in the page cache; each contender in its own process.",
        ours=OURS[mode],
        source=source,
        work=source.parent / "peers",
        repeats=settings.repeats,
        workers=settings.workers,
        device=device().type,
        only=settings.only,
    )


SUITE: Final = Suite(
    "loaders",
    "Images per second from records to batches, beside other loaders and what none can exceed (make peers first).",
    (
        Setting("data", "folder of the images, made if missing", Path, Path("data/bench/loaders"), free=True),
        Setting("images", "of the main set", positive, 8000, 1000),
        Setting("augmented", "of the main set that are augmented at most: it takes longer", positive, 4000, 1000),
        Setting("large", "of the large set (decoded images only); 0: none", whole_number, 40000, 0),
        Setting("workers", "threads or processes that load", positive, CORES),
        Setting("repeats", "turns of each contender", positive, 3, 2, free=True),
        Setting("only", "contenders by their names: patterns, | between them", str, "*", QUICK),
    ),
    ("python -m benchmarks loaders", "python -m benchmarks loaders --images 2000 --large 0 --only 'fastfer*'"),
    _run,
    instead={"ceiling": training.SUITE},
)

if __name__ == "__main__":
    run_alone(SUITE)
