"""What a study will do, before it does it: which steps are done, which are to do, and what time and disk they take."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F

from fastfer.cells import title
from fastfer.config import TrainConfig
from fastfer.labels import CLASSES
from fastfer.models import build_model, parameter_count, timm_name
from fastfer.study import StudyConfig, is_trained, records_step
from fastfer.together import known_parts
from fastfer.training.log import median_speed
from fastfer.training.run import read_json
from fastfer.variants import open_records
from pipelines.errors import InputError

KEPT_COPIES: Final = 4
"""Numbers kept for each weight: the best and the last one, and AdamW's two."""
BYTES: Final = 4
PROBED_IMAGES: Final = 8
PROBED_STEPS: Final = 2


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the plan; `seconds` and `disk_bytes` are what is left to take, None where nobody knows yet."""

    name: str
    done: bool
    seconds: float | None = None
    disk_bytes: int | None = None


def plan_of(study: StudyConfig, say: Callable[[str], None] = lambda _line: None) -> list[Step]:
    """All steps. A training's time is that of all its epochs: early stopping makes it shorter.

    Its speed is that of earlier runs of the network in `runs`, or is tried out in a few steps, which `say` is told of.
    """
    return [*_record_steps(study), *_train_steps(study, say)]


def _record_steps(study: StudyConfig) -> Iterator[Step]:
    for dataset, variant in study.record_jobs():
        done = False
        with suppress(InputError):  # not even its dataset's records are there
            done = known_parts(study.train.shards, dataset.split("+"), variant) is not None
        yield Step(records_step(dataset, variant), done)


def _train_steps(study: StudyConfig, say: Callable[[str], None]) -> Iterator[Step]:
    for cell in study.cells():
        if is_trained(cell):
            yield Step(title(cell), True, 0.0, 0)
            continue
        try:
            yield _waiting(study, cell, say)
        except (InputError, RuntimeError):  # the network does not take the images; training says so
            yield Step(title(cell), False)


def _waiting(study: StudyConfig, cell: TrainConfig, say: Callable[[str], None]) -> Step:
    """A cell that is to be trained."""
    size_px = cell.image_size or study.size_px
    images = [_training_images(study, dataset, cell.trained_variant) for dataset in cell.datasets]
    known = [count for count in images if count is not None]
    seconds = None
    if len(known) == len(images):
        seconds = cell.epochs * sum(known) / _images_per_s(cell, size_px, say)
    return Step(title(cell), False, seconds, BYTES * KEPT_COPIES * _parameters(cell.arch, size_px))


def _training_images(study: StudyConfig, dataset: str, variant: str) -> int | None:
    """How many faces of a variant are trained on; None if it is not made yet."""
    try:
        return sum(open_records(study.train.shards, dataset, variant).counts["train"].values())
    except InputError:
        return None


def _images_per_s(cell: TrainConfig, size_px: int, say: Callable[[str], None]) -> float:
    found = _earlier_speed(cell.runs, timm_name(cell.arch), size_px)
    return found if found is not None else _tried_speed(timm_name(cell.arch), size_px, say)


@cache
def _earlier_speed(runs: Path, model: str, size_px: int) -> float | None:
    """Images per second of an earlier run of the network on this machine, the median of its epochs."""
    for config in sorted(runs.glob("*/config.json")):
        settings = read_json(config)
        alike = (settings.get("model"), settings.get("image_size")) == (model, size_px)
        if alike and (speed := median_speed(config.parent)) is not None:
            return speed
    return None


@cache
def _tried_speed(arch: str, size_px: int, say: Callable[[str], None]) -> float:
    """Images per second of a few steps with random weights and images."""
    say(f"trying out the speed of {arch}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = build_model(arch, channels=1, num_classes=len(CLASSES), image_size=size_px).to(device)
    img_BCHW = torch.rand(PROBED_IMAGES, 1, size_px, size_px, device=device)
    label_B = torch.zeros(PROBED_IMAGES, dtype=torch.int64, device=device)

    def steps(count: int) -> None:
        for _ in range(count):
            F.cross_entropy(network(img_BCHW), label_B).backward()  # type: ignore[no-untyped-call]
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    steps(1)
    started = time.perf_counter()
    steps(PROBED_STEPS)
    return PROBED_IMAGES * PROBED_STEPS / (time.perf_counter() - started)


@cache
def _parameters(arch: str, size_px: int) -> int:
    with torch.device("meta"):
        return parameter_count(build_model(arch, channels=1, num_classes=len(CLASSES), image_size=size_px))
