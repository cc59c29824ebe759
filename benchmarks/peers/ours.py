"""fastfer itself, measured in the same way as its rivals: in a process of its own, through the same protocol."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import torch

from benchmarks.peers.protocol import (
    BRIGHTNESS,
    CONTRAST,
    FLIP_PROBABILITY,
    ROTATION_DEGREES,
    SCALE,
    SPLIT,
    Batch,
    Contender,
    Job,
    serve,
)
from pipelines.augment import STRONG, Policy
from pipelines.augment.online import OnlinePolicy
from pipelines.augment.policy import Group, Operation, Range
from pipelines.loaders import Batch as LoaderBatch
from pipelines.loaders import LoaderConfig, open_loader, prefetched
from pipelines.loaders.cache import decoded_split
from pipelines.progress import untracked
from pipelines.records import read_info

SEED: Final = 0
FIVE: Final = Policy(
    name="five",
    groups=(
        Group(
            name="geometry",
            probability=1.0,
            applies="all",
            operations=(
                Operation(name="flip", chance=FLIP_PROBABILITY),
                Operation(name="scale", chance=1.0, ranges=(Range("zoom", *SCALE, "times"),)),
                Operation(name="rotation", chance=1.0, ranges=(Range("angle", *ROTATION_DEGREES, "degrees"),)),
            ),
        ),
        Group(
            name="photometric",
            probability=1.0,
            applies="one",
            operations=(
                Operation(
                    name="brightness_contrast",
                    chance=1.0,
                    ranges=(Range("brightness", *BRIGHTNESS, "of white"), Range("contrast", *CONTRAST, "times")),
                ),
            ),
        ),
    ),
)
"""The five operations that every contender is asked for, by our own engine."""
FORMATS: Final = {
    "dali": ("dali", FIVE),
    "resident": ("resident", FIVE),
    "reference": ("reference", FIVE),
    "resident+strong": ("resident", STRONG),
    "policy": (None, FIVE),
    "policy+strong": (None, STRONG),
}
"""Format -> (loader, or None for decoded images in memory; policy of mode augment)."""
COMPILED: Final = "+compiled"
"""Behind a format: its policy compiled."""


def _config(job: Job) -> LoaderConfig:
    return LoaderConfig(
        variant=job.source,
        split=SPLIT,
        batch=job.batch,
        train=True,
        drop_last=False,
        seed=SEED,
        workers=job.workers,
        cache=job.work / "cache",
        device=job.device,
    )


def _loaded(
    job: Job, kind: str, policy: OnlinePolicy | None
) -> tuple[Callable[[int], Iterator[Batch]], Callable[[], None]]:
    """On a GPU augmented ahead, as the trainer does; on a CPU that would only share the cores another way."""
    loader = open_loader(replace(_config(job), kind=kind))
    device = torch.device(job.device)

    def images(batch: LoaderBatch) -> torch.Tensor:
        if policy is None:
            return batch.img_BCHW
        return policy(batch.img_BCHW, batch.draw_keys_B, batch.state.epoch, coming_N=batch.coming_N)

    def batches(epoch: int) -> Iterator[Batch]:
        loader.set_epoch(epoch)
        if policy is not None and device.type == "cuda":
            for batch in prefetched(loader, images, device):
                yield batch.img_BCHW, batch.label_B
        else:
            for batch in loader:
                yield images(batch), batch.label_B

    return batches, loader.close


def _in_memory(job: Job, policy: OnlinePolicy) -> Callable[[int], Iterator[Batch]]:
    """The policy alone, over views of one array in stored order."""
    config = _config(job)
    decoded = np.array(decoded_split(config, read_info(config.variant), untracked).img_NCHW)
    img_NCHW = torch.from_numpy(decoded).to(job.device)

    def batches(epoch: int) -> Iterator[Batch]:
        rows = np.arange(len(img_NCHW))
        for start in range(0, len(rows), job.batch):
            end = start + job.batch
            yield policy(img_NCHW[start:end], rows[start:end], epoch, coming_N=rows[end:]), None

    return batches


def prepare(job: Job) -> Contender:
    """The loader, or the policy over images in memory."""
    torch.set_num_threads(job.workers)
    kind, table = FORMATS[job.format.removesuffix(COMPILED)]
    backend = "inductor" if job.format.endswith(COMPILED) else None
    policy = OnlinePolicy(table, SEED, compile_backend=backend) if job.mode == "augment" else None
    if kind is not None:
        batches, close = _loaded(job, kind, policy)
        return Contender(batches=batches, close=close)
    if policy is None:
        raise ValueError("the policy alone only runs in --mode augment")
    return Contender(batches=_in_memory(job, policy))


if __name__ == "__main__":
    serve(
        prepare,
        formats=(*FORMATS, *(f"{name}{COMPILED}" for name in FORMATS)),
        libraries=("torch", "kornia", "nvidia-dali-cuda120"),
    )
