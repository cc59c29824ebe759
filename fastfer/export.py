"""Records as other files, so that no one is locked in: folders of JPEGs, parquet tables, FFCV's beton."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import polars as pl

from fastfer.variants import open_records
from pipelines.errors import InputError
from pipelines.progress import Track, untracked
from pipelines.records import (
    SPLITS,
    DatasetInfo,
    Sample,
    ShardReader,
    atomic_folder,
    refuse_damaged,
    write_csv,
    write_table,
)

PARQUET_SCHEMA: Final = pl.Schema(
    {
        "image": pl.Struct({"bytes": pl.Binary(), "path": pl.String()}),  # as Hugging Face's datasets read it
        "label": pl.Int64(),
        "class": pl.String(),
        "key": pl.String(),
        "row": pl.Int64(),
        "meta": pl.String(),  # JSON
    }
)
Advance = Callable[[int], None]


def export(shards: Path, dataset: str, variant: str, to: str, into: Path, *, track: Track = untracked) -> int:
    """Write a variant's samples into the new folder `into` as `to` says (one of `EXPORTS`); returns how many.

    Raises:
        InputError: the variant is not there or damaged, the kind is unknown or needs a package, or `into` holds
            something, now or in the end.
    """
    if to not in EXPORTS:
        raise InputError(f"no export to {to!r}: choose one of {', '.join(EXPORTS)}")
    info = open_records(shards, dataset, variant)
    into = into.absolute()
    if into == Path.cwd() or (into.exists() and (not into.is_dir() or any(into.iterdir()))):
        raise InputError(f"{into} is there already: choose another INTO=")
    refuse_damaged(shards / dataset / variant, info, track=track)
    with (
        atomic_folder(into, over=False) as folder,
        track(f"Exporting {dataset} {variant}", total=info.samples(), unit="faces") as advance,
    ):
        EXPORTS[to](shards / dataset / variant, info, folder, advance)
    return info.samples()


def _samples(source: Path, info: DatasetInfo, shard: str, advance: Advance) -> Iterator[Sample]:
    with ShardReader(source, shard) as reader:
        for sample in reader:
            if not 0 <= sample.label < len(info.classes):
                raise InputError(f"{source}, {shard}: {sample.key} has the label {sample.label}, which is no class")
            yield sample
            advance(1)


def _to_folder(source: Path, info: DatasetInfo, folder: Path, advance: Advance) -> None:
    """`<split>/<class>/<key>.jpg`, and `labels.csv`."""
    rows = []
    for shard in info.shards:
        for sample in _samples(source, info, shard.name, advance):
            name = info.classes[sample.label]
            path = folder / shard.split / name / f"{sample.key}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(sample.jpeg)
            rows.append((path.relative_to(folder).as_posix(), shard.split, sample.label, name, sample.key, sample.row))
    columns = ["path", "split", "label", "class", "key", "row"]
    write_csv(folder / "labels.csv", pl.DataFrame(rows, schema=columns, orient="row"))


def _to_parquet(source: Path, info: DatasetInfo, folder: Path, advance: Advance) -> None:
    """`<split>-00000.parquet` for each shard."""
    for shard in info.shards:
        rows = [
            {
                "image": {"bytes": sample.jpeg, "path": f"{sample.key}.jpg"},
                "label": sample.label,
                "class": info.classes[sample.label],
                "key": sample.key,
                "row": sample.row,
                "meta": json.dumps(sample.meta, sort_keys=True),
            }
            for sample in _samples(source, info, shard.name, advance)
        ]
        write_table(folder / f"{shard.name}.parquet", pl.DataFrame(rows, schema=PARQUET_SCHEMA))


def _to_beton(source: Path, info: DatasetInfo, folder: Path, advance: Advance) -> None:
    """`<split>.beton`, as LOADER=ffcv reads it."""
    from pipelines.loaders.ffcv import write_beton  # imports torch: --help must not wait

    for split in SPLITS:
        if info.samples(split):
            advance(write_beton(folder / f"{split}.beton", source, info, split))


EXPORTS: Final = {"folder": _to_folder, "parquet": _to_parquet, "beton": _to_beton}
