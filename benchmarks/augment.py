"""Images per second of augmentation alone: flip, rotation, scale, contrast and brightness on decoded images in memory.

On a GPU that is the device's memory, and results are wanted there. Beside kornia as its documentation writes it,
torchvision, albumentations, OpenCV in threads, and DALI.
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from benchmarks.contest import contest
from benchmarks.images import bench_records
from benchmarks.machine import CORES
from benchmarks.peers.run import AUGMENTERS, Rival
from benchmarks.schema import Axis, Case
from benchmarks.suite import Setting, Suite, numbers, positive, run_alone
from benchmarks.watch import ON_GPU, device

OURS: Final = "fastfer, compiled"
WHOLE: Final = ("fastfer, whole strong policy", "fastfer, whole strong policy, compiled") if ON_GPU else ()
CURVE: Final = ("fastfer", OURS, "kornia", *WHOLE)
"""Those that take whole batches; of the whole policy on a GPU alone, since to compile it takes a minute."""
QUICK: Final = "fastfer|kornia|albumentations|OpenCV in threads"
"""Those of a quick run: they start in seconds."""
IMAGES: Final = 16_384 if ON_GPU else 2000
BATCHES: Final = (64, 256, 1024, 4096) if ON_GPU else (16, 64, 256)


def _run(settings: argparse.Namespace) -> Iterator[Case]:
    whole = _case(settings, AUGMENTERS, settings.batch)
    yield whole
    curve = {name: AUGMENTERS[name] for name in CURVE}
    for batch in settings.batches:
        axis = Axis(name="batch", value=batch)
        yield _of_curve(whole, axis) if batch == settings.batch else _case(settings, curve, batch, axis)


def _of_curve(whole: Case, axis: Axis) -> Case:
    """The place of the curve that the whole case has measured."""
    contenders = {name: entry for name, entry in whole.contenders.items() if name in CURVE}
    failed = {name: why for name, why in whole.failed.items() if name in CURVE}
    return whole.model_copy(update={"axis": axis, "contenders": contenders, "failed": failed})


def _case(settings: argparse.Namespace, table: Mapping[str, Rival], batch: int, axis: Axis | None = None) -> Case:
    source = bench_records(settings.data, settings.images)
    return contest(
        table,
        "augment",
        title="Augmentation alone",
        how="Decoded images in memory, batches in stored order; every contender in a process of its own.",
        ours=OURS,
        source=source,
        work=source.parent / "peers",
        repeats=settings.repeats,
        batch=batch,
        workers=settings.workers,
        device=device().type,
        only=settings.only,
        axis=axis,
    )


SUITE: Final = Suite(
    "augment",
    "Images per second of augmentation alone, beside kornia, torchvision, albumentations, OpenCV and DALI.",
    (
        Setting("data", "folder of the images, made if missing", Path, Path("data/bench/loaders"), free=True),
        Setting("images", "how many", positive, IMAGES, 1000),
        Setting("batch", "images of a batch", positive, 64),
        Setting("batches", "and again by these", numbers, BATCHES, ()),
        Setting("workers", "threads or processes of those that have any", positive, CORES),
        Setting("repeats", "turns of each contender", positive, 3, 2, free=True),
        Setting("only", "contenders by their names: patterns, | between them", str, "*", QUICK),
    ),
    ("python -m benchmarks augment", "python -m benchmarks augment --quick 1 --only 'fastfer*'"),
    _run,
)

if __name__ == "__main__":
    run_alone(SUITE)
