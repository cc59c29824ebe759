"""Builds a variant folder shard by shard: in parallel, resumed after a stop, finished by `dataset.json`.

A shard is a pure function of its job, so it does not matter which process makes it, or when. Beside the shards,
`.parts/` keeps the outcome of each finished one; it goes when the folder is complete.
"""

import json
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, Self

import polars as pl

from fastfer import __version__
from fastfer.datasets import find_dataset
from fastfer.labels import CLASSES
from fastfer.progress import Track
from pipelines.errors import InputError
from pipelines.records import (
    SPLITS,
    DatasetInfo,
    ShardInfo,
    describe,
    read_info,
    tar_path,
    write_atomically,
    write_info,
    write_table,
)
from pipelines.records.format import INFO_NAME, MANIFEST_NAME

PARTS: Final = ".parts"
VARIANT_MAKERS: Final = {
    "preprocessed": "make shards",
    "augmented": "make balance",
    "raw": "make shards VARIANT=raw",
}
"""The variants, and the command that makes each."""
PLACE_SCHEMA: Final = pl.Schema(
    {
        "status": pl.String(),  # kept or dropped
        "reason": pl.String(),  # why it was dropped
        "shard": pl.String(),
        "position": pl.Int32(),  # in the shard, from 0
    }
)
"""What the outcome of every row says; a stage may say more."""


@dataclass(frozen=True, slots=True)
class ShardJob:
    """All that one shard is made of: `rows` are manifest rows as dicts, `settings` those of the variant."""

    folder: Path
    name: str
    split: str
    rows: list[dict[str, Any]]
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ShardResult:
    """A written shard, and for each row of its job what became of it (columns that go into the manifest)."""

    info: ShardInfo
    outcomes: list[dict[str, Any]]

    @classmethod
    def of(cls, job: ShardJob, info: ShardInfo) -> Self:
        """The result of a job that kept all its rows, in order."""
        place = {"status": "kept", "shard": job.name}
        return cls(info, [{"row": row["row"], "position": i} | place for i, row in enumerate(job.rows)])


def cut(groups: Iterable[list[dict[str, Any]]], size: int) -> Iterator[list[dict[str, Any]]]:
    """Join groups of rows into shards of `size` rows or a few more: no group is divided."""
    shard: list[dict[str, Any]] = []
    for group in groups:
        shard += group
        if len(shard) >= size:
            yield shard
            shard = []
    if shard:
        yield shard


@dataclass(frozen=True, kw_only=True, slots=True)
class VariantPlan:
    """What to build: every input row (`manifest`, with `row`), the jobs, and the settings that determine the bytes."""

    folder: Path
    dataset: str
    variant: str
    size_px: int
    settings: dict[str, Any]
    manifest: pl.DataFrame
    jobs: list[ShardJob]
    outcome_schema: pl.Schema


def build_variant(
    plan: VariantPlan, make: Callable[[ShardJob], ShardResult], *, workers: int, title: str, unit: str, track: Track
) -> DatasetInfo:
    """Make what is missing of a variant and finish it. A finished one with the same settings is left as it is.

    Raises:
        InputError: the folder holds records made with other settings.
    """
    if (plan.folder / INFO_NAME).is_file():
        return _existing(plan)
    _prepare(plan)
    done = {job.name: part for job in plan.jobs if (part := _read_part(job)) is not None}
    waiting = [job for job in plan.jobs if job.name not in done]
    with track(title, total=sum(len(job.rows) for job in plan.jobs), unit=unit) as advance:
        advance(sum(len(job.rows) for job in plan.jobs if job.name in done))
        for job, result in _run(make, waiting, workers):
            done[job.name] = result
            advance(len(job.rows))
    return _finish(plan, [done[job.name] for job in plan.jobs])


def _existing(plan: VariantPlan) -> DatasetInfo:
    info = read_info(plan.folder)
    if info.settings != _plain(plan.settings):
        different = [key for key, value in _plain(plan.settings).items() if info.settings.get(key) != value]
        raise InputError(
            f"{plan.folder} was made with other settings ({', '.join(different) or 'fewer'}): "
            "remove it, or choose another OUT="
        )
    return info


def _prepare(plan: VariantPlan) -> None:
    """Make the folder ready; parts of a run with other settings are thrown away, those of the same run kept."""
    parts = plan.folder / PARTS
    stated = json.dumps(_plain(plan.settings), sort_keys=True).encode()
    settings = parts / "settings.json"
    if settings.is_file() and settings.read_bytes() != stated:
        shutil.rmtree(parts)
        for old in [path for split in SPLITS for path in plan.folder.glob(f"{split}-?????.*")]:
            old.unlink()
    parts.mkdir(parents=True, exist_ok=True)
    write_atomically(settings, stated)


def _part_path(job: ShardJob) -> Path:
    return job.folder / PARTS / f"{job.name}.json"


def _read_part(job: ShardJob) -> ShardResult | None:
    """The outcome of a shard that an earlier run finished, or None."""
    try:
        raw = json.loads(_part_path(job).read_text(encoding="utf-8"))
        result = ShardResult(ShardInfo(**raw["info"]), raw["outcomes"])
        whole = tar_path(job.folder, job.name).stat().st_size == result.info.tar_bytes
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return result if whole else None


def _run_job(make: Callable[[ShardJob], ShardResult], job: ShardJob) -> ShardResult:
    result = make(job)
    write_atomically(_part_path(job), json.dumps(asdict(result)).encode())
    return result


def _run(
    make: Callable[[ShardJob], ShardResult], jobs: list[ShardJob], workers: int
) -> Iterator[tuple[ShardJob, ShardResult]]:
    """Yield (job, result) as shards are finished, by processes of one thread: bytes depend on no thread count."""
    if not jobs:
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context, initializer=_start_worker) as pool:
        waiting = {pool.submit(_run_job, make, job): job for job in jobs}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent alone answers Ctrl-C, after the shards in hand
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _finish(plan: VariantPlan, results: list[ShardResult]) -> DatasetInfo:
    outcomes = pl.DataFrame(
        [outcome for result in results for outcome in result.outcomes],
        schema=pl.Schema({"row": pl.Int64(), **plan.outcome_schema}),
    )
    manifest = plan.manifest.join(outcomes, on="row", how="left", maintain_order="left")
    planned = [row["row"] for job in plan.jobs for row in job.rows]
    manifest = manifest.with_columns(
        status=pl.coalesce("status", pl.lit("dropped")),
        reason=pl.when(pl.col("row").is_in(planned)).then("reason").otherwise("problem"),
    ).drop("problem")
    write_table(plan.folder / MANIFEST_NAME, manifest)
    info = describe(
        plan.folder,
        [result.info for result in results],
        dataset=plan.dataset,
        variant=plan.variant,
        classes=CLASSES,
        size_px=plan.size_px,
        settings=_plain(plan.settings),
        code_version=__version__,
    )
    write_info(plan.folder, info)
    shutil.rmtree(plan.folder / PARTS)
    return info


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as JSON gives them back."""
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


def open_records(out: Path, dataset: str, variant: str) -> DatasetInfo:
    """The description of a finished variant of a dataset, under the folder `out` of all of them.

    Raises:
        InputError: the dataset is unknown, or the variant is not there; says which command makes it.
    """
    find_dataset(dataset)
    if variant not in VARIANT_MAKERS:
        raise InputError(f"no variant {variant!r}: choose one of {', '.join(VARIANT_MAKERS)}")
    folder = out / dataset / variant
    if not (folder / INFO_NAME).is_file():
        raise InputError(
            f"no {variant} records of {dataset} in {out}: {VARIANT_MAKERS[variant]} DATASET={dataset} makes them"
        )
    return read_info(folder)
