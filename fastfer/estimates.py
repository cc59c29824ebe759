"""What work will take, told beforehand: measured on a few images here, or known from earlier runs of this machine.

Every estimate is None where what it rests on is not there (a dataset that is not downloaded, missing weights).
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F

from fastfer.datasets import Source, read
from fastfer.datasets.splits import split_rows
from fastfer.faces.extract import extract
from fastfer.json_files import read_json
from fastfer.labels import CLASSES
from fastfer.models import build_model, parameter_count
from fastfer.shards import ShardConfig
from fastfer.training.log import median_speed
from pipelines.augment import LIGHT
from pipelines.augment.offline import augment_copy
from pipelines.errors import InputError
from pipelines.progress import Say
from pipelines.records import encode_jpeg

TRIED_FACES: Final = 16
TRIED_COPIES: Final = 32
TRIED_IMAGES: Final = 8
TRIED_STEPS: Final = 2
TAR_BYTES: Final = 4 * 512 + 3 * 512 + 1024
"""Of a sample beside its JPEG: four headers, and `.cls`, `.row` and `.json` in blocks of 512 bytes."""
KEPT_COPIES: Final = 4
"""Numbers kept for each weight: the best and the last one, and AdamW's two."""
WEIGHT_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Prospect:
    """A dataset before its records are made: its rows, and the training faces of each class (near-duplicates aside)."""

    rows: list[dict[str, Any]]
    cropped: bool
    train: Counter[int]


@cache
def prospect(source: Source, seed: int) -> Prospect | None:
    """What the raw dataset promises; images are not opened, so that grouping by near-duplicates is left out."""
    try:
        reading = read(source)
    except InputError:
        return None
    rows = reading.rows.with_columns(split=split_rows(reading.rows, {}, seed)).drop_nulls("split")
    train = Counter(rows.filter(split="train")["label"].to_list())
    return Prospect(rows.to_dicts(), reading.cropped, train)


def sharding(config: ShardConfig, say: Say) -> tuple[float, int] | None:
    """Seconds (of one process) and bytes of a dataset's records, from a few of its faces."""
    found = prospect(config.source, config.seed)
    with suppress(InputError):
        if found is not None and (tried := _tried_faces(config, say)) is not None:
            seconds, bytes_ = tried
            return seconds * len(found.rows), round(bytes_ * len(found.rows))
    return None


@cache
def _tried_faces(config: ShardConfig, say: Say) -> tuple[float, float] | None:
    """Seconds and bytes of a face, the mean over some from all over the dataset."""
    found = prospect(config.source, config.seed)
    assert found is not None
    settings = config.face_settings(cropped=found.cropped)
    say(f"trying out the speed of {settings.detector or 'cropping'} on {config.dataset}")
    places = np.linspace(0, len(found.rows) - 1, TRIED_FACES, dtype=int)
    rows = [found.rows[at] for at in np.unique(places)]
    with _one_thread():
        list(extract(rows[:1], config.data_root, settings, 1))  # loads the detector
        started = time.perf_counter()
        sizes = [len(one.jpeg) for one in extract(rows, config.data_root, settings, 1) if one.jpeg is not None]
        seconds = (time.perf_counter() - started) / len(rows)
    return (seconds, float(np.mean(sizes)) + TAR_BYTES) if sizes else None


@contextmanager
def _one_thread() -> Iterator[None]:
    """As in a process of the shard stage."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def balanced(train: Counter[int]) -> Counter[int]:
    """Training faces of each class of a balanced variant: as many of each as of the largest."""
    return Counter(dict.fromkeys(train, max(train.values(), default=0)))


def balancing(train: Counter[int], size_px: int) -> tuple[float, int]:
    """Seconds (of one process) and bytes of the balanced training shards of a dataset."""
    seconds, bytes_ = _tried_copies(size_px)
    faces = balanced(train).total()
    return seconds * (faces - train.total()), bytes_ * faces


@cache
def _tried_copies(size_px: int) -> tuple[float, int]:
    """Seconds and bytes of a light copy."""
    ramp = np.linspace(0, 255, size_px, dtype=np.uint8)
    img = np.broadcast_to(ramp, (size_px, size_px)).copy()
    augment_copy(img, policy=LIGHT, seed=0, key="first", copy=0)
    started = time.perf_counter()
    sizes = [
        len(encode_jpeg(augment_copy(img, policy=LIGHT, seed=0, key="tried", copy=number)))
        for number in range(TRIED_COPIES)
    ]
    return (time.perf_counter() - started) / TRIED_COPIES, round(float(np.mean(sizes))) + TAR_BYTES


def images_per_s(runs: Path, model: str, size_px: int, say: Say) -> float:
    """Training speed of a timm network: of an earlier run in `runs`, else of a few steps."""
    found = _earlier_speed(runs, model, size_px)
    return found if found is not None else _tried_speed(model, size_px, say)


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
def _tried_speed(model: str, size_px: int, say: Say) -> float:
    """Images per second of a few steps with random weights and images."""
    say(f"trying out the speed of {model}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = build_model(model, channels=1, num_classes=len(CLASSES), image_size=size_px).to(device)
    img_BCHW = torch.rand(TRIED_IMAGES, 1, size_px, size_px, device=device)
    label_B = torch.zeros(TRIED_IMAGES, dtype=torch.int64, device=device)

    def steps(count: int) -> None:
        for _ in range(count):
            F.cross_entropy(network(img_BCHW), label_B).backward()  # type: ignore[no-untyped-call]
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    steps(1)
    started = time.perf_counter()
    steps(TRIED_STEPS)
    return TRIED_IMAGES * TRIED_STEPS / (time.perf_counter() - started)


@cache
def run_bytes(arch: str, size_px: int) -> int:
    """Bytes of a run's two checkpoints."""
    with torch.device("meta"):
        network = build_model(arch, channels=1, num_classes=len(CLASSES), image_size=size_px)
    return WEIGHT_BYTES * KEPT_COPIES * parameter_count(network)
