"""Writes `augmented`: the train split of `preprocessed`, oversampled to its largest class with light copies.

Originals keep their bytes and their manifest rows, copies get rows after them, and validation and test shards are
copied byte for byte: they are never balanced or augmented.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from fastfer.variants import (
    PLACE_SCHEMA,
    ShardJob,
    ShardResult,
    VariantPlan,
    build_variant,
    copied_shard,
    cut,
    expect_work,
    open_records,
)
from pipelines.augment import LIGHT
from pipelines.progress import Track, untracked
from pipelines.records import (
    DatasetInfo,
    Sample,
    ShardReader,
    decode_jpeg,
    encode_jpeg,
    info_sha256,
    read_manifest,
    refuse_damaged,
    shard_name,
    write_shard,
)

WORKERS_NEED: Final = ("cv2", "fastfer.balance", "pipelines.augment.offline")
"""The slow imports of a shard's maker."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BalanceConfig:
    """`out` holds all variants of all datasets; the copies of one (seed, key, copy number) are always the same."""

    dataset: str
    out: Path
    seed: int = 0
    workers: int = 2

    @property
    def folder(self) -> Path:
        """Where the variant goes."""
        return self.out / self.dataset / "augmented"


def balance(config: BalanceConfig, track: Track = untracked) -> DatasetInfo:
    """Build `augmented` from `preprocessed`, or go on where an earlier run stopped.

    Raises:
        InputError: `preprocessed` is missing or damaged, or `augmented` was made from something else.
    """
    source = config.out / config.dataset / "preprocessed"
    info = open_records(config.out, config.dataset, "preprocessed")
    refuse_damaged(source, info, track=track)
    expect_work(config.folder, "local", WORKERS_NEED)
    manifest = _with_copies(read_manifest(source), config.seed)
    settings = {
        "seed": config.seed,
        "source_sha256": info_sha256(source),
        "policy": asdict(LIGHT),
        "shard_rows": info.settings["shard_rows"],
        "variant": "augmented",
    }
    plan = VariantPlan(
        folder=config.folder,
        dataset=config.dataset,
        variant="augmented",
        size_px=info.size_px,
        settings=settings,
        manifest=manifest.drop("status", "shard", "position").rename({"reason": "problem"}),
        jobs=list(_jobs(source, config.folder, info, manifest, settings)),
        outcome_schema=PLACE_SCHEMA,
    )
    return build_variant(
        plan, _make_shard, workers=config.workers, title=f"Balancing {config.dataset}", unit="faces", track=track
    )


def _with_copies(manifest: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The manifest with `copy_of` (a key) and `copy` (1, 2, ...), and a row for each copy that balance needs.

    A class's images are copied in turn, in random order, so that none has two copies more than another.
    """
    manifest = manifest.with_columns(copy_of=pl.lit(None, pl.String), copy=pl.lit(None, pl.Int32))
    train = manifest.filter((pl.col("split") == "train") & (pl.col("status") == "kept"))
    largest = max((len(group) for group in train.partition_by("label")), default=0)
    copies = []
    for group in train.sort("label", "row").partition_by("label", maintain_order=True):
        missing = largest - len(group)
        turn = np.random.default_rng((seed, group["label"][0])).permutation(len(group))
        number = np.arange(missing) // len(group) + 1
        copies.append(
            group[turn[np.arange(missing) % len(group)]].with_columns(
                copy_of="key",
                copy=pl.Series(number, dtype=pl.Int32),
                key=pl.col("key") + "=c" + pl.Series(number).cast(pl.String),  # no plain key holds "=c"
            )
        )
    rows = pl.concat([manifest, *copies])
    return rows.with_columns(row=pl.int_range(len(rows), dtype=pl.Int64))


def _jobs(
    source: Path, folder: Path, info: DatasetInfo, manifest: pl.DataFrame, settings: dict[str, Any]
) -> Iterator[ShardJob]:
    """Train is shuffled anew with its copies; the shards of the other splits are taken as they are."""
    needed = manifest.filter(pl.col("status") == "kept").select(
        "row", "key", "shard", "position", "split", "copy_of", "copy"
    )
    task = settings | {"source": source}
    train = needed.filter(pl.col("split") == "train")
    mixed = [[at] for at in np.random.default_rng(settings["seed"]).permutation(len(train)).tolist()]
    for number, places in enumerate(cut(mixed, settings["shard_rows"])):
        yield ShardJob(folder, shard_name("train", number), "train", train[places], task)
    for shard in info.shards:
        if shard.split != "train":
            rows = needed.filter(pl.col("shard") == shard.name).sort("position")
            yield ShardJob(folder, shard.name, shard.split, rows, task | {"info": asdict(shard)})


def _make_shard(job: ShardJob) -> ShardResult:
    source: Path = job.settings["source"]
    if job.split == "train":
        samples = (_sample(source, row, job) for row in job.rows.iter_rows(named=True))
        return ShardResult.of(job, write_shard(job.folder, job.name, job.split, samples))
    return copied_shard(job, source)


def _sample(source: Path, row: dict[str, Any], job: ShardJob) -> Sample:
    """An original as it is, or the light copy that the row asks for."""
    from pipelines.augment.offline import augment_copy  # takes seconds, and only workers need it (WORKERS_NEED)

    original = _reader(source, row["shard"]).read(row["position"])
    if row["copy"] is None:
        return original
    img = augment_copy(
        decode_jpeg(original.jpeg), policy=LIGHT, seed=job.settings["seed"], key=row["copy_of"], copy=row["copy"]
    )
    return Sample(row["key"], encode_jpeg(img), original.label, row["row"], original.meta | {"copy_of": row["copy_of"]})


@cache
def _reader(folder: Path, name: str) -> ShardReader:
    """One open shard for each process and name."""
    return ShardReader(folder, name)
