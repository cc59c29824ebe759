"""How rates and memory grow: with the data, the batch, the workers and the GPUs. Each curve is a row of cases."""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import takewhile
from pathlib import Path
from typing import Final

import torch

from benchmarks.harness import Measured, said
from benchmarks.images import SIZE_PX, bench_records
from benchmarks.inference import engines, inference_case
from benchmarks.machine import CORES
from benchmarks.ranks import train_on
from benchmarks.rss import peak_rss
from benchmarks.schema import Axis, Case
from benchmarks.stages import CURVES, Place, stage_case
from benchmarks.suite import Setting, Suite, numbers, positive, run_alone
from benchmarks.training import OURS, training_case, training_config
from benchmarks.watch import ON_GPU, Measures
from fastfer.datasets.demo import DemoConfig, make_demo_data

FACES_SET: Final = "demo-expw"
BATCHES: Final = (64, 256, 1024) if ON_GPU else (16, 64, 256)
"""Images of a batch that is loaded and augmented."""
TRAINING_BATCHES, STEPS = ((16, 64, 256), 125) if ON_GPU else ((4, 16, 32), 2)
"""Images of a step, and steps of a turn."""


def doubled(end: int) -> tuple[int, ...]:
    """1, 2, 4, ... and the end itself."""
    return (*takewhile(lambda number: number < end, (2**power for power in range(end))), end)


def _stages(settings: argparse.Namespace) -> Iterator[Case]:
    base = {"images": settings.sizes[-1], "batch": 64, "workers": CORES}
    along = {"images": settings.sizes, "batch": settings.batches, "workers": doubled(CORES)}
    for curve in CURVES:
        for value in along[curve.axis]:
            place = Place(**(base | {curve.axis: value}))
            yield stage_case(curve, place, settings.data / "loaders", repeats=settings.repeats)


def _training(settings: argparse.Namespace) -> Iterator[Case]:
    records = bench_records(settings.data / "loaders", settings.sizes[-1])
    for batch in settings.training_batches:
        config = training_config(
            records, settings.arch, precision="32", loader="resident", batch=batch, image_size=settings.size
        )
        yield training_case(
            records,
            config,
            steps=settings.steps,
            repeats=settings.repeats,
            only=(OURS,),
            axis=Axis(name="batch", value=batch),
        )


def _inference(settings: argparse.Namespace) -> Iterator[Case]:
    batches = settings.inference_batches
    with ExitStack() as opened:
        of = engines(opened, settings.arch, size_px=settings.size, images=max(batches), compiled=False)
        for batch in batches:
            axis = Axis(name="batch", value=batch)
            yield inference_case(of, "Inference", batch=batch, calls=1, repeats=settings.repeats, axis=axis)


def _faces(settings: argparse.Namespace) -> Iterator[Case]:
    """Rate and memory of the shard stage, over one set whose images stand there several times."""
    folder = settings.data / "faces" / str(settings.faces)
    make_demo_data(folder, DemoConfig(faces=settings.faces))
    for copies in settings.copies:
        yield faces_case(folder / FACES_SET, copies, repeats=settings.repeats)


def faces_case(root: Path, copies: int, *, repeats: int) -> Case:
    """The shard stage over a set multiplied, each turn in a process of its own."""
    failed: dict[str, str] = {}
    contenders = {}
    try:
        turns = [peak_rss(root, copies) for _ in range(repeats)]
        memory: Measures = {
            "rss_mib": max(turn["all"] for turn in turns),
            "worker_rss_mib": max(turn["worker"] for turn in turns),
        }
        contenders[OURS] = Measured(int(turns[0]["faces"]), [turn["seconds"] for turn in turns]).entry("ours", memory)
    except Exception as error:  # as of any contender
        failed[OURS] = said(OURS, error)
    return Case(
        title="Faces",
        unit="faces",
        how="The shard stage in a process of its own, started anew each turn; the photographs in the page cache.",
        ours=OURS,
        settings={"set": FACES_SET, "detector": "mtcnn", "copies": copies, "workers": CORES},
        axis=Axis(name="copies", value=copies),
        contenders=contenders,
        failed=failed,
    )


def _gpus(settings: argparse.Namespace) -> Iterator[Case]:
    """Training on one GPU and on more, where there are several; each has a batch as large as one alone has."""
    there = torch.cuda.device_count()
    records = bench_records(settings.data / "loaders", settings.sizes[-1])
    for gpus in doubled(there) if there > 1 else ():
        yield gpus_case(
            records,
            settings.arch,
            gpus,
            batch=settings.training_batches[-1],
            size_px=settings.size,
            steps=settings.steps,
            repeats=settings.repeats,
        )


def gpus_case(records: Path, arch: str, gpus: int, *, batch: int, size_px: int, steps: int, repeats: int) -> Case:
    """Training in as many processes, each with a GPU of its own where there are any."""
    failed: dict[str, str] = {}
    contenders = {}
    try:
        turns = train_on(gpus, records, arch, batch=batch, size_px=size_px, steps=steps, repeats=repeats)
        contenders[OURS] = turns.entry("ours")
    except Exception as error:  # as of any contender
        failed[OURS] = said(OURS, error)
    return Case(
        title=f"Training {arch}",
        unit="images",
        how="The trainer's own steps after a warm-up, the strong policy online, gradients averaged by DDP.",
        ours=OURS,
        settings={"arch": arch, "batch": batch, "steps": steps, "size_px": size_px, "loader": "resident"},
        axis=Axis(name="GPUs", value=gpus),
        contenders=contenders,
        failed=failed,
    )


PARTS: Final = (_stages, _faces, _training, _inference, _gpus)


def _run(settings: argparse.Namespace) -> Iterator[Case]:
    for part in PARTS:
        yield from part(settings)


SUITE: Final = Suite(
    "scaling",
    "How rates and memory grow with data, batch, workers and GPUs.",
    (
        Setting("data", "folder of images and faces, made if missing", Path, Path("data/bench"), free=True),
        Setting("sizes", "images of the sets that are loaded", numbers, (500, 2000, 8000), (250, 1000)),
        Setting("batches", "images of a batch, loaded and augmented", numbers, BATCHES, (16, 64)),
        Setting("faces", "of the set that is multiplied, where it is made", positive, 60, 28),
        Setting("copies", "how often each photograph stands there", numbers, (1, 3, 6), (1, 2)),
        Setting("arch", "architecture that is trained and asked", str, "efficientnet", "resnet10t"),
        Setting("size", "its image size in px", positive, SIZE_PX, 112),
        Setting("training-batches", "images of a step", numbers, TRAINING_BATCHES, (4, 16)),
        Setting("inference-batches", "images of a call", numbers, (1, 4, 16, 64), (1, 16)),
        Setting("steps", "of a turn of training", positive, STEPS),
        Setting("repeats", "turns of each", positive, 3, 1, free=True),
    ),
    ("python -m benchmarks scaling", "python -m benchmarks scaling --arch resnet --sizes 1000,4000,16000"),
    _run,
)

if __name__ == "__main__":
    run_alone(SUITE)
