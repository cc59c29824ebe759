"""Images per second of training, where a step's time goes, and what it takes of the processor and the GPU.

Three contenders train one network, in turn, with the trainer's own steps: fastfer as `make train` runs it (the strong
policy online, batches prefetched); the same with a plain PyTorch DataLoader that decodes in worker processes; and one
prepared batch replayed, which needs no loader and no augmentation: the limit. Weights are random.
"""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from itertools import count, product
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.harness import Measured, in_turn, rate_of
from benchmarks.images import SIZE_PX, bench_records
from benchmarks.machine import CORES
from benchmarks.peak import peak_flops
from benchmarks.schema import Axis, Case, Role
from benchmarks.steps import PHASES, Steps, run_epoch, split
from benchmarks.suite import Setting, Suite, positive, run_alone
from benchmarks.watch import ON_GPU, Measures
from fastfer.cli.verbs import words
from fastfer.config import TrainConfig
from fastfer.models import ARCHITECTURES, flops_per_image, timm_name
from fastfer.training.fit import start_fabric
from fastfer.training.learner import Learner, online_policy
from fastfer.training.run import Run
from pipelines.loaders import open_loader
from pipelines.probe import reset_peaks
from pipelines.records import read_info

OURS: Final = "fastfer"
REPLAY: Final = "replayed batch"
DATALOADER: Final = "PyTorch DataLoader"
ROLES: Final[dict[str, Role]] = {OURS: "ours", REPLAY: "limit", DATALOADER: "peer"}
HOW: Final = (
    "One network and the trainer's own steps: fastfer's loader with the strong policy online and batches prefetched; "
    "the same with a DataLoader whose workers decode with OpenCV; one prepared batch replayed. Files in the page cache."
)
TRAINING_FLOPS: Final = 3
"""Times those of a forward pass: the backward pass takes two of them, for inputs and for weights."""
EPOCH_IMAGES: Final = {"rafdb_epoch_s": 11_043, "expw_epoch_s": 64_255}
"""Training images of an epoch: 90% of RAF-DB's 12,271, and 70% of ExpW's 91,793 (`fastfer.datasets.splits`)."""
GIGA: Final = 1e9
MIB: Final = 2**20
STEPS, BATCH = (125, 64) if ON_GPU else (10, 8)
"""Steps of a turn, and images of a step. On a GPU together all 8,000, an epoch shorter than RAF-DB's; else, where
an image takes a tenth of a second and more, few: but what waits for the first batch must not be half of them."""


@dataclass(frozen=True, slots=True)
class Training:
    """A learner and the steps it is given, as a contender; each turn is another epoch."""

    learner: Learner
    steps: Steps
    epochs: Iterator[int]

    def run(self) -> int:
        """One turn; returns the images."""
        return run_epoch(self.learner, self.steps, next(self.epochs)).images

    def measures(self) -> Measures:
        """Where a step's time goes, and torch's peaks of the GPU's memory: a turn of its own, which is not timed."""
        device = self.learner.device
        is_cuda = device.type == "cuda"
        if is_cuda:
            torch.cuda.empty_cache()  # or what the others have reserved would count
        reset_peaks(device)
        seconds = split(self.learner, self.steps, next(self.epochs))
        whole = sum(seconds.values())
        shares: Measures = {f"{phase}_share": seconds[phase] / whole for phase in PHASES}
        return shares | {
            "allocated_mib": torch.cuda.max_memory_allocated(device) / MIB if is_cuda else None,
            "reserved_mib": torch.cuda.max_memory_reserved(device) / MIB if is_cuda else None,
        }


def training_case(
    variant: Path,
    config: TrainConfig,
    *,
    steps: int,
    repeats: int,
    only: tuple[str, ...] = tuple(ROLES),
    axis: Axis | None = None,
) -> Case:
    """The contenders named, in turn, over the first steps of epochs of a variant."""
    torch.manual_seed(config.seed)
    info = read_info(variant)
    fabric = start_fabric(config)
    device = fabric.device
    with ExitStack() as opened:
        loader = opened.enter_context(open_loader(config.loader_config(variant, "train", str(device))))
        real = Steps(loader, steps)
        learner = Learner.of(Run(config, [], info, {}), fabric, real)
        numbers = count(1)
        contenders = {OURS: Training(learner, real, numbers)}
        if REPLAY in only:
            contenders[REPLAY] = Training(replace(learner, policy=None), real.replaying(), numbers)
        if DATALOADER in only:
            plain = replace(config, loader="reference").loader_config(variant, "train", str(device))
            other = Steps(opened.enter_context(open_loader(plain)), steps)
            contenders[DATALOADER] = Training(replace(learner, policy=online_policy(config, other)), other, numbers)
        turns = in_turn({name: one.run for name, one in contenders.items()}, repeats=repeats, watch=True)
        split_up = {name: contenders[name].measures() for name in turns.measured}
    size_px = config.image_size or info.size_px
    precision = str(fabric.strategy.precision.precision)
    peak = peak_flops(device.type, precision)
    flops = flops_per_image(config.arch, channels=info.channels, num_classes=len(info.classes), image_size=size_px)
    return Case(
        title=f"Training {config.arch}, {precision}{', compiled' if config.compile else ''}",
        unit="images",
        how=HOW,
        ours=OURS,
        settings={
            "arch": config.arch,
            "model": timm_name(config.arch),
            "precision": precision,
            "loader": config.loader,
            "size_px": size_px,
            "batch": config.batch,
            "steps": steps,
            "workers": config.workers,
            "peak_gflops_per_s": peak / GIGA,
        },
        axis=axis,
        contenders={
            name: one.entry(ROLES[name], split_up[name] | _of_rate(one, flops, peak))
            for name, one in turns.measured.items()
        },
        failed=turns.failed,
    )


def _of_rate(measured: Measured, flops: int, peak: float) -> Measures:
    """What the median rate means: of the processor's peak, and for an epoch of each dataset."""
    per_s = rate_of(measured.items, measured.seconds).median
    return {
        "gflops_per_image": flops / GIGA,
        "mfu": TRAINING_FLOPS * flops * per_s / peak,
        **{name: images / per_s for name, images in EPOCH_IMAGES.items()},
    }


def precisions_here() -> tuple[str, ...]:
    """float32, and what this device computes itself in fewer bits."""
    if torch.cuda.is_available():
        return ("32", "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16")
    return ("32", "bf16") if torch.cpu._is_avx512_bf16_supported() else ("32",)


def training_config(variant: Path, arch: str, **asked: Any) -> TrainConfig:
    """A run of random weights under the strong policy, on a variant that is no dataset's.

    Raises:
        InputError: as `TrainConfig`.
    """
    return TrainConfig(
        dataset="demo-rafdb", arch=arch, aug="online", pretrained=False, cache=variant.parent / "cache", **asked
    )


def _run(settings: argparse.Namespace) -> Iterator[Case]:
    variant = bench_records(settings.data, settings.images)
    configs = [
        training_config(
            variant,
            arch,
            precision=precision,
            compile=compiled,
            loader=settings.loader,
            batch=settings.batch,
            image_size=settings.size,
            workers=settings.workers,
        )
        for arch, precision in product(settings.archs, settings.precisions)
        for compiled in (False, True)
        if not compiled or (fnmatch(arch, settings.compiled) and precision == settings.precisions[-1])
    ]  # all of them before the first is measured: a wrong name shows at once
    for config in configs:
        yield training_case(variant, config, steps=settings.steps, repeats=settings.repeats)


SUITE: Final = Suite(
    "training",
    "Images per second of training, beside a DataLoader and one batch replayed; where a step's time goes.",
    (
        Setting("data", "folder of the images, made if missing", Path, Path("data/bench/loaders"), free=True),
        Setting("images", "how many", positive, 8000, 1000),
        Setting("archs", "architectures", words, tuple(ARCHITECTURES), ("resnet10t", "test_efficientnet")),
        Setting("precisions", "of make train", words, precisions_here(), ("32",)),
        Setting("compiled", "those compiled too, in the last precision (a pattern, - for none)", str, "-", free=True),
        Setting("loader", "fastfer's, as of make train", str, "resident"),
        Setting("size", "image size in px", positive, SIZE_PX, 112),
        Setting("batch", "images of a step", positive, BATCH),
        Setting("workers", "threads or processes that load", positive, CORES),
        Setting("steps", "steps of a turn", positive, STEPS, 2),
        Setting("repeats", "turns of each", positive, 3, 2, free=True),
    ),
    ("python -m benchmarks training --archs resnet", "python -m benchmarks training --precisions 32 --steps 6"),
    _run,
)

if __name__ == "__main__":
    run_alone(SUITE)
