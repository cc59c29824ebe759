"""What a study will do, before it does it: which steps are done, which are to do, and what time and disk they take."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from fastfer.cells import title
from fastfer.config import TrainConfig
from fastfer.estimates import balanced, balancing, images_per_s, prospect, run_bytes, sharding
from fastfer.labels import CLASSES
from fastfer.models import timm_name
from fastfer.study import StudyConfig, is_trained, records_step
from fastfer.together import known_parts
from fastfer.variants import open_records
from pipelines.errors import InputError
from pipelines.progress import Say, unsaid


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the plan; `seconds` and `disk_bytes` are what is left to take, None where nobody knows yet."""

    name: str
    done: bool
    seconds: float | None = None
    disk_bytes: int | None = None


def plan_of(study: StudyConfig, say: Say = unsaid) -> list[Step]:
    """All steps. A training's time is that of all its epochs: early stopping makes it shorter.

    What earlier runs in `runs` do not tell is tried out on a few images, which `say` is told of.
    """
    return [*_record_steps(study, say), *_train_steps(study, say)]


def _record_steps(study: StudyConfig, say: Say) -> Iterator[Step]:
    for dataset, variant in study.record_jobs():
        done = False
        with suppress(InputError):  # not even its dataset's records are there
            done = known_parts(study.train.shards, dataset.split("+"), variant) is not None
        taken = None if done else _record_costs(study, dataset, variant, say)
        yield Step(records_step(dataset, variant), done, *(taken or ()))


def _record_costs(study: StudyConfig, dataset: str, variant: str, say: Say) -> tuple[float, int] | None:
    """Seconds and bytes of a variant that is to be made."""
    if "+" in dataset:  # copies of the few shards that hold duplicates: known when the parts are
        return None
    if variant != "augmented":
        costs = sharding(study.shard_config(dataset, variant), say)
    else:
        train = _train_counts(study, dataset, "preprocessed")
        costs = None if train is None else balancing(train, study.size_px)
    return None if costs is None else (costs[0] / min(study.workers, os.cpu_count() or 1), costs[1])


def _train_counts(study: StudyConfig, dataset: str, variant: str) -> Counter[int] | None:
    """Training faces of each class: of the records, else of what the dataset promises."""
    with suppress(InputError):
        counts = open_records(study.train.shards, dataset, variant).counts["train"]
        return Counter({CLASSES.index(name): count for name, count in counts.items() if count})
    config = study.shard_config(dataset, "preprocessed")
    found = prospect(config.source, config.seed)
    if found is None:
        return None
    return balanced(found.train) if variant == "augmented" else found.train


def _train_steps(study: StudyConfig, say: Say) -> Iterator[Step]:
    for cell in study.cells():
        if is_trained(cell):
            yield Step(title(cell), True, 0.0, 0)
            continue
        try:
            yield _waiting(study, cell, say)
        except (InputError, RuntimeError):  # the network does not take the images; training says so
            yield Step(title(cell), False)


def _waiting(study: StudyConfig, cell: TrainConfig, say: Say) -> Step:
    """A cell that is to be trained."""
    size_px = cell.image_size or study.size_px
    counts = [_train_counts(study, dataset, cell.trained_variant) for dataset in cell.datasets]
    known = [count.total() for count in counts if count is not None]
    seconds = None
    if len(known) == len(counts):
        seconds = cell.epochs * sum(known) / images_per_s(cell.runs, timm_name(cell.arch), size_px, say)
    return Step(title(cell), False, seconds, run_bytes(cell.arch, size_px))
