"""Builds a variant folder shard by shard: in parallel, resumed after a stop, finished by `dataset.json`.

A shard is a pure function of its job, so it does not matter which process makes it, or when. Beside the shards,
`.parts/` keeps the outcome of each finished one; it goes when the folder is complete.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import polars as pl

from fastfer import __version__
from fastfer.datasets import find_dataset
from fastfer.engines import ENGINES, get_ready
from fastfer.labels import CLASSES
from pipelines.errors import InputError
from pipelines.progress import Track
from pipelines.records import (
    SPLITS,
    DatasetInfo,
    ShardInfo,
    describe,
    file_lock,
    index_path,
    is_local,
    make_folder,
    read_info,
    refuse_damaged,
    remove_folder,
    sha256,
    tar_path,
    write_atomically,
    write_info,
    write_table,
)
from pipelines.records.format import INFO_NAME
from pipelines.records.manifest import MANIFEST_NAME

PARTS: Final = ".parts"
LOCK_NAME: Final = ".lock"
VARIANT_MAKERS: Final = {
    "preprocessed": "make shards",
    "augmented": "make balance",
    "raw": "make shards VARIANT=raw",
}
"""The variants, and the command that makes each."""
TESTED_VARIANT: Final = {"raw": "raw", "preprocessed": "preprocessed", "augmented": "preprocessed"}
"""What a model of each training variant is validated and tested on: never balanced or augmented images."""
FACE_SETTINGS: Final = ("size_px", "color", "detector", "face_scale")
"""What must have been alike for a model's images and for those it is tested on."""
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
    """All that one shard is made of: `rows` of the manifest, in order, and the `settings` of the variant."""

    folder: Path
    name: str
    split: str
    rows: pl.DataFrame
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
        return cls(info, [{"row": row, "position": i} | place for i, row in enumerate(job.rows["row"])])


def copied_shard(job: ShardJob, source: Path) -> ShardResult:
    """The shard of another variant as it is; `settings["info"]` describes it."""
    for path in (index_path, tar_path):
        write_atomically(path(job.folder, job.name), path(source, job.name).read_bytes())
    return ShardResult.of(job, ShardInfo(**job.settings["info"]))


def cut(groups: Iterable[list[int]], size: int) -> Iterator[list[int]]:
    """Join groups of rows into shards of `size` rows or a few more: no group is divided."""
    shard: list[int] = []
    for group in groups:
        shard += group
        if len(shard) >= size:
            yield shard
            shard = []
    if shard:
        yield shard


@dataclass(frozen=True, kw_only=True, slots=True)
class VariantPlan:
    """What to build: every input row (`manifest`, with `row`), the jobs, and the settings that determine the bytes.

    Jobs that read from another variant give its images new checksums: whoever plans them looks whether it is sound.
    """

    folder: Path
    dataset: str
    variant: str
    size_px: int
    settings: dict[str, Any]
    manifest: pl.DataFrame
    jobs: list[ShardJob]
    outcome_schema: pl.Schema


def expect_work(folder: Path, engine: str, modules: Sequence[str]) -> None:
    """Let the engine get ready for makers that need `modules`, unless the variant in `folder` is finished."""
    if not (folder / INFO_NAME).is_file():
        get_ready(engine, modules)


def build_variant(
    plan: VariantPlan,
    make: Callable[[ShardJob], ShardResult],
    *,
    workers: int,
    title: str,
    unit: str,
    track: Track,
    engine: str = "local",
) -> DatasetInfo:
    """Make what is missing of a variant and finish it. A finished one with the same settings is left as it is.

    Raises:
        InputError: the folder holds damaged records, or ones made with other settings; no image could be kept; the
            engine cannot work; or another process makes the same.
    """
    if (plan.folder / INFO_NAME).is_file():
        return _existing(plan, track)
    with _alone_in(plan.folder):
        if (plan.folder / INFO_NAME).is_file():  # another process has made it just now
            return _existing(plan, track)
        _prepare(plan)
        waiting = [job for job in plan.jobs if not _is_done(job)]
        total, left = (sum(len(job.rows) for job in jobs) for jobs in (plan.jobs, waiting))
        with track(title, total=total, unit=unit) as advance:
            advance(total - left)
            for job, _ in ENGINES[engine](partial(_run_job, make), waiting, workers):
                advance(len(job.rows))
        return _finish(plan)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """No other process of this machine makes what is in the folder; one in an object store cannot be locked."""
    if not is_local(folder):
        yield
        return
    make_folder(folder)
    lock = folder / LOCK_NAME
    with file_lock(lock, busy=f"another process makes {folder}: wait until it is done"):
        yield
        lock.unlink(missing_ok=True)  # who came in between has done so


def _existing(plan: VariantPlan, track: Track) -> DatasetInfo:
    info = read_info(plan.folder)
    if info.settings != _plain(plan.settings):
        different = [key for key, value in _plain(plan.settings).items() if info.settings.get(key) != value]
        raise InputError(
            f"{plan.folder} was made with other settings ({', '.join(different) or 'fewer'}): "
            "remove it, or choose another OUT="
        )
    if is_local(plan.folder):  # an object store would have to send all of it
        refuse_damaged(plan.folder, info, track=track)
    return info


def _prepare(plan: VariantPlan) -> None:
    """Make the folder ready: parts of the same run and version are kept, and no other shard."""
    parts = plan.folder / PARTS
    stated = json.dumps({"version": __version__, **_plain(plan.settings)}, sort_keys=True).encode()
    settings = parts / "settings.json"
    goes_on = settings.is_file() and settings.read_bytes() == stated
    if not goes_on:
        remove_folder(parts)
    planned = {job.name for job in plan.jobs if goes_on}
    for old in [path for split in SPLITS for path in plan.folder.glob(f"{split}-?????.*")]:
        if old.stem not in planned:
            old.unlink()
    make_folder(parts)
    write_atomically(settings, stated)


def _part_path(job: ShardJob) -> Path:
    return job.folder / PARTS / f"{job.name}.json"


def _is_done(job: ShardJob) -> bool:
    """Whether an earlier run finished the shard, and its files are still what it wrote."""
    try:
        info = _read_part(job).info
        return (info.tar_sha256, info.index_sha256) == (
            sha256(tar_path(job.folder, job.name)),
            sha256(index_path(job.folder, job.name)),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _read_part(job: ShardJob) -> ShardResult:
    raw = json.loads(_part_path(job).read_text(encoding="utf-8"))
    return ShardResult(ShardInfo(**raw["info"]), raw["outcomes"])


def _run_job(make: Callable[[ShardJob], ShardResult], job: ShardJob) -> None:
    """Make a shard; what it has to say stays in its part file, so that the parent's memory does not grow."""
    write_atomically(_part_path(job), json.dumps(asdict(make(job))).encode())


def _finish(plan: VariantPlan) -> DatasetInfo:
    schema = pl.Schema({"row": pl.Int64(), **plan.outcome_schema})
    infos, tables = [], [pl.DataFrame(schema=schema)]
    for job in plan.jobs:
        part = _read_part(job)
        infos.append(part.info)
        tables.append(pl.DataFrame(part.outcomes, schema=schema))
    manifest = plan.manifest.join(pl.concat(tables), on="row", how="left", maintain_order="left")
    planned = [row for job in plan.jobs for row in job.rows["row"]]
    manifest = manifest.with_columns(
        status=pl.coalesce("status", pl.lit("dropped")),
        reason=pl.when(pl.col("row").is_in(planned)).then("reason").otherwise("problem"),
    ).drop("problem")
    write_table(plan.folder / MANIFEST_NAME, manifest)
    info = describe(
        plan.folder,
        infos,
        dataset=plan.dataset,
        variant=plan.variant,
        classes=CLASSES,
        size_px=plan.size_px,
        settings=_plain(plan.settings),
        code_version=__version__,
    )
    for left in plan.folder.glob(".*.tmp"):  # of a process that was killed while it wrote
        left.unlink(missing_ok=True)
    write_info(plan.folder, info)
    remove_folder(plan.folder / PARTS)
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


def faces_of(out: Path, dataset: str, variant: str) -> dict[str, Any]:
    """How the faces behind a variant were made (`FACE_SETTINGS`).

    Raises:
        InputError: as `open_records`.
    """
    settings = open_records(out, dataset, TESTED_VARIANT[variant]).settings
    return {name: settings.get(name) for name in FACE_SETTINGS}
