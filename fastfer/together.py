"""Datasets trained on together: their records, less the training images that duplicate a test image of any of them.

A part from which nothing is left out is the dataset's own variant. Another is made once, as a variant of its own in
`<shards>/<rafdb+expw>/<variant>/<dataset>`: shards without such images are copied, the others written again.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from fastfer.leaks import duplicates_of, left_out_of_training
from fastfer.variants import (
    LOCK_NAME,
    PLACE_SCHEMA,
    TESTED_VARIANT,
    ShardJob,
    ShardResult,
    VariantPlan,
    build_variant,
    copied_shard,
    open_records,
)
from pipelines.errors import InputError
from pipelines.progress import Track, untracked
from pipelines.records import (
    DatasetInfo,
    ShardReader,
    file_lock,
    info_sha256,
    is_local,
    make_folder,
    read_info,
    read_manifest,
    refuse_damaged,
    remove_folder,
    write_atomically,
    write_shard,
)
from pipelines.records.format import INFO_NAME

PARTS_NAME: Final = "parts.json"
REASON: Final = "left out: a near-duplicate of a test image"


@dataclass(frozen=True, slots=True)
class Part:
    """One dataset's share of what is trained on: its records, and how many training faces were left out of them."""

    dataset: str
    folder: Path
    left_out: int


def training_parts(
    shards: Path, datasets: Sequence[str], variant: str, *, workers: int = 2, track: Track = untracked
) -> list[Part]:
    """The records of each dataset that is trained on; several datasets leave out what would be trained and tested on.

    Raises:
        InputError: records or fingerprints of one of them are not there.
    """
    parts = known_parts(shards, datasets, variant)
    if parts is not None:
        return parts
    joint = _joint_folder(shards, datasets, variant)
    if not is_local(joint):
        raise InputError(f"{shards} is not on this machine: copy the records to a disk to train on them together")
    make_folder(joint)
    with file_lock(joint / LOCK_NAME):  # trainings of several processes, or on several GPUs, begin at once
        if (parts := known_parts(shards, datasets, variant)) is not None:
            return parts
        images = left_out_of_training(duplicates_of(shards, datasets, TESTED_VARIANT[variant]))
        stated = {}
        for dataset in datasets:
            source, mine = shards / dataset / variant, images.filter(pl.col("dataset") == dataset)["image_path"]
            left_out = _leave_out(source, joint / dataset, mine, workers, track)
            stated[dataset] = {"source_sha256": info_sha256(source), "left_out": left_out}
        write_atomically(joint / PARTS_NAME, (json.dumps(stated, indent=1) + "\n").encode())
        return _parts(shards, joint, variant, stated)


def known_parts(shards: Path, datasets: Sequence[str], variant: str) -> list[Part] | None:
    """What `training_parts` gives, if nothing has to be made for it.

    Raises:
        InputError: records of one of them are not there.
    """
    for dataset in datasets:
        open_records(shards, dataset, variant)
    if len(datasets) == 1:
        return [Part(datasets[0], shards / datasets[0] / variant, 0)]
    joint = _joint_folder(shards, datasets, variant)
    now = {dataset: info_sha256(shards / dataset / variant) for dataset in datasets}
    try:
        stated = json.loads((joint / PARTS_NAME).read_text(encoding="utf-8"))
        if {dataset: one["source_sha256"] for dataset, one in stated.items()} != now:
            return None
        parts = _parts(shards, joint, variant, stated)
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):  # not there, or cut short
        return None
    return parts if all((part.folder / INFO_NAME).is_file() for part in parts) else None


def _joint_folder(shards: Path, datasets: Sequence[str], variant: str) -> Path:
    return shards / "+".join(datasets) / variant


def _parts(shards: Path, joint: Path, variant: str, stated: Mapping[str, Mapping[str, Any]]) -> list[Part]:
    """By `parts.json`: a part that leaves nothing out is the dataset's own variant."""
    return [
        Part(dataset, joint / dataset if one["left_out"] else shards / dataset / variant, one["left_out"])
        for dataset, one in stated.items()
    ]


def _leave_out(source: Path, folder: Path, images: pl.Series, workers: int, track: Track) -> int:
    """Write the variant anew without the training faces of some images, if there are any; how many there are."""
    info = read_info(source)
    refuse_damaged(source, info, track=track)
    manifest = read_manifest(source)
    trained = (pl.col("split") == "train") & (pl.col("status") == "kept")
    left_out = manifest.filter(trained & pl.col("image_path").is_in(images.implode()))["row"]
    mine = {"source_sha256": info_sha256(source), "left_out_rows": left_out.to_list()}
    if not len(left_out) or _is_of_other_records(folder, mine):
        remove_folder(folder)
    if not len(left_out):
        return 0
    reason = pl.when(pl.col("row").is_in(left_out.implode())).then(pl.lit(REASON)).otherwise("reason")
    plan = VariantPlan(
        folder=folder,
        dataset=info.dataset,
        variant=info.variant,
        size_px=info.size_px,
        settings=info.settings | mine,
        manifest=manifest.with_columns(problem=reason).drop("status", "shard", "position", "reason"),
        jobs=list(_jobs(source, folder, info, manifest, left_out)),
        outcome_schema=PLACE_SCHEMA,
    )
    title = f"{info.dataset} for training together"
    build_variant(plan, _make_shard, workers=workers, title=title, unit="faces", track=track)
    return len(left_out)


def _is_of_other_records(folder: Path, mine: dict[str, Any]) -> bool:
    """Whether a finished part is there that was made of something else; a half-made one sorts itself out."""
    return (folder / INFO_NAME).is_file() and not mine.items() <= read_info(folder).settings.items()


def _jobs(
    source: Path, folder: Path, info: DatasetInfo, manifest: pl.DataFrame, left_out: pl.Series
) -> Iterator[ShardJob]:
    """Every shard of the source, with the rows that stay in it."""
    kept = manifest.filter(pl.col("status") == "kept").select("row", "shard", "position")
    stays = kept.filter(~pl.col("row").is_in(left_out.implode()))
    for shard in info.shards:
        rows = stays.filter(pl.col("shard") == shard.name).sort("position")
        yield ShardJob(folder, shard.name, shard.split, rows, {"source": source, "info": asdict(shard)})


def _make_shard(job: ShardJob) -> ShardResult:
    source: Path = job.settings["source"]
    if len(job.rows) == job.settings["info"]["samples"]:
        return copied_shard(job, source)
    with ShardReader(source, job.name) as shard:
        samples = [shard.read(position) for position in job.rows["position"]]
    return ShardResult.of(job, write_shard(job.folder, job.name, job.split, samples))
