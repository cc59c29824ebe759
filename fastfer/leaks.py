"""Which images would let a model be tested on what it was trained on: near-duplicates across splits and datasets.

Images are compared by the fingerprints that the shard stage left beside a dataset's variants.
"""

from collections.abc import Sequence
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Final

import polars as pl

from fastfer.datasets.duplicates import PAIR_SCHEMA, near_duplicates
from fastfer.datasets.fingerprints import read_fingerprints
from fastfer.variants import open_records
from pipelines.records import read_manifest

DUPLICATES_SCHEMA: Final = pl.Schema(
    dict.fromkeys(("dataset", "other_dataset", "split", "other_split"), pl.String()) | dict(PAIR_SCHEMA)
)
"""A pair of near-duplicate images: of which dataset and split each is, and how alike they are."""


def images_of(shards: Path, dataset: str, variant: str = "preprocessed") -> pl.DataFrame:
    """Each image with a kept face: `split` and its fingerprint.

    Raises:
        InputError: the variant or the fingerprints are not there.
    """
    open_records(shards, dataset, variant)
    manifest = read_manifest(shards / dataset / variant)
    kept = manifest.filter(pl.col("status") == "kept").select("image_path", "split").unique(maintain_order=True)
    return kept.join(read_fingerprints(shards / dataset), on="image_path", maintain_order="left")


def duplicates_of(shards: Path, datasets: Sequence[str], variant: str = "preprocessed") -> pl.DataFrame:
    """All pairs of near-duplicates (`DUPLICATES_SCHEMA`) within and between the datasets' images in a variant.

    Raises:
        InputError: records of one of them are not there.
    """
    images = {dataset: images_of(shards, dataset, variant) for dataset in dict.fromkeys(datasets)}
    parts = [DUPLICATES_SCHEMA.to_frame()]
    for one, other in combinations_with_replacement(images, 2):
        pairs = near_duplicates(images[one], None if one == other else images[other])
        split = images[one].select("image_path", "split")
        other_split = images[other].select(other_path="image_path", other_split="split")
        parts.append(
            pairs.join(split, on="image_path", maintain_order="left")
            .join(other_split, on="other_path", maintain_order="left")
            .with_columns(dataset=pl.lit(one), other_dataset=pl.lit(other))
            .match_to_schema(DUPLICATES_SCHEMA)
        )
    return pl.concat(parts)


def pair_counts(pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs within and between the datasets: `pairs`, and those `identical` as files or with a side in `two_splits`."""
    return (
        pairs.with_columns(two_splits=pl.col("split") != pl.col("other_split"))
        .group_by("dataset", "other_dataset", maintain_order=True)
        .agg(pl.len().alias("pairs"), pl.col("identical").sum(), pl.col("two_splits").sum())
    )


def leaking_rows(shards: Path, trained_on: str, tested_on: str, variant: str) -> list[int]:
    """Test rows of `tested_on` whose image is a near-duplicate of one in the train split of `trained_on`, in order.

    Raises:
        InputError: records or fingerprints of one of them are not there.
    """
    train = images_of(shards, trained_on, variant).filter(pl.col("split") == "train")
    test = images_of(shards, tested_on, variant).filter(pl.col("split") == "test")
    leaking = near_duplicates(train, test)["other_path"].unique()
    manifest = read_manifest(shards / tested_on / variant).filter(
        pl.col("image_path").is_in(leaking.implode()), pl.col("split") == "test", pl.col("status") == "kept"
    )
    return manifest["row"].to_list()


def left_out_of_training(pairs: pl.DataFrame) -> pl.DataFrame:
    """The train images (`dataset`, `image_path`) that joint training leaves out: near-duplicates of any test image."""
    return _train_beside_test(pairs).select("dataset", "image_path").unique(maintain_order=True)


def left_out_of_tests(pairs: pl.DataFrame) -> pl.DataFrame:
    """The test images (`dataset`, `image_path`) that are not scored for models of the dataset `trained_on`."""
    return (
        _train_beside_test(pairs)
        .filter(pl.col("dataset") != pl.col("other_dataset"))
        .select(trained_on="dataset", dataset="other_dataset", image_path="other_path")
        .unique(maintain_order=True)
    )


def _train_beside_test(pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs of a train image and a test image (`other_`), whichever way around they are listed."""
    ends = {"dataset": "other_dataset", "split": "other_split", "image_path": "other_path"}
    turned = pairs.rename(ends | {other: one for one, other in ends.items()})
    both = pl.concat([pairs, turned.select(pairs.columns)])
    return both.filter(pl.col("split") == "train", pl.col("other_split") == "test")
