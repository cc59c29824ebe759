"""Balanced by copies of training images, and nothing else changed."""

import hashlib
import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fastfer.balance import BalanceConfig, balance
from fastfer.export import export
from fastfer.variants import LOCK_NAME, _alone_in
from pipelines.errors import InputError
from pipelines.records import ShardReader, decode_jpeg, file_lock, find_faults, read_info, read_manifest
from tests.fastfer.conftest import DEMO_SETS

demo_sets = pytest.mark.parametrize("dataset", DEMO_SETS)


def kept(folder: Path, split: str) -> pl.DataFrame:
    return read_manifest(folder).filter((pl.col("status") == "kept") & (pl.col("split") == split))


@demo_sets
def test_every_class_of_train_reaches_the_largest(shards: Path, dataset: str) -> None:
    before, after = (read_info(shards / dataset / name).counts for name in ("preprocessed", "augmented"))
    assert set(after["train"].values()) == {max(before["train"].values())}
    assert (after["val"], after["test"]) == (before["val"], before["test"])
    assert find_faults(shards / dataset / "augmented") == []


@demo_sets
def test_validation_and_test_are_the_same_bytes(shards: Path, dataset: str) -> None:
    source, augmented = (shards / dataset / name for name in ("preprocessed", "augmented"))
    for shard in read_info(source).shards:
        if shard.split != "train":
            for suffix in (".tar", ".idx"):
                one, other = ((folder / f"{shard.name}{suffix}").read_bytes() for folder in (source, augmented))
                assert hashlib.sha256(one).digest() == hashlib.sha256(other).digest()


@demo_sets
def test_originals_keep_bytes_and_rows_and_copies_come_from_train_only(shards: Path, dataset: str) -> None:
    source, augmented = (shards / dataset / name for name in ("preprocessed", "augmented"))
    originals = {}
    for shard in read_info(source).split_shards("train"):
        with ShardReader(source, shard.name) as reader:
            originals |= {sample.key: sample for sample in reader}
    copies = []
    for shard in read_info(augmented).split_shards("train"):
        with ShardReader(augmented, shard.name) as reader:
            for sample in reader:
                if "copy_of" in sample.meta:
                    copies.append(sample)
                else:
                    assert originals.pop(sample.key) == sample
    assert originals == {}
    train = set(kept(source, "train")["key"])
    for copy in copies:
        assert copy.meta["copy_of"] in train
        row = read_manifest(augmented).row(copy.row, named=True)
        assert (row["key"], row["copy_of"], row["label"]) == (copy.key, copy.meta["copy_of"], copy.label)


@demo_sets
def test_sources_are_used_as_evenly_as_possible(shards: Path, dataset: str) -> None:
    train = kept(shards / dataset / "augmented", "train")
    for _, group in train.group_by("label"):
        uses = Counter(group["copy_of"].drop_nulls())
        times = [uses[key] for key in group.filter(pl.col("copy_of").is_null())["key"]]
        assert max(times) - min(times) <= 1


def test_copies_differ_from_their_source_and_from_each_other(shards: Path) -> None:
    folder = shards / "demo-rafdb" / "augmented"
    images: dict[str, list[np.ndarray]] = {}
    for shard in read_info(folder).split_shards("train"):
        with ShardReader(folder, shard.name) as reader:
            for sample in reader:
                images.setdefault(sample.meta.get("copy_of", sample.key), []).append(decode_jpeg(sample.jpeg))
    crowded = [family for family in images.values() if len(family) > 2]
    assert crowded
    different = [not np.array_equal(a, b) for family in crowded for a, b in pairwise(family)]
    assert np.mean(different) > 0.9


def test_balancing_again_from_nothing_gives_the_same_bytes(shards: Path, tmp_path: Path) -> None:
    link = tmp_path / "demo-rafdb"
    link.mkdir()
    (link / "preprocessed").symlink_to(shards / "demo-rafdb" / "preprocessed")
    balance(BalanceConfig(dataset="demo-rafdb", out=tmp_path, workers=1))
    one, other = (read_info(out / "demo-rafdb" / "augmented") for out in (shards, tmp_path))
    assert one == other


def own_copy(shards: Path, tmp_path: Path) -> Path:
    """The preprocessed records of demo-rafdb, to be spoiled."""
    folder = tmp_path / "demo-rafdb" / "preprocessed"
    shutil.copytree(shards / "demo-rafdb" / "preprocessed", folder)
    return folder


def test_a_damaged_image_is_not_copied_under_a_new_checksum(shards: Path, tmp_path: Path) -> None:
    folder = own_copy(shards, tmp_path)
    tar = folder / "train-00000.tar"
    data = bytearray(tar.read_bytes())
    data[2000] ^= 1
    tar.write_bytes(data)
    with pytest.raises(InputError, match=r"train-00000\.tar is not as it was written"):
        balance(BalanceConfig(dataset="demo-rafdb", out=tmp_path, workers=1))
    for to in ("folder", "parquet"):
        with pytest.raises(InputError, match=r"train-00000\.tar is not as it was written"):
            export(tmp_path, "demo-rafdb", "preprocessed", to, tmp_path / "faces")
    assert {path.name for path in tmp_path.iterdir()} == {"demo-rafdb"}


def test_two_at_once_do_not_disturb_each_other(shards: Path, tmp_path: Path) -> None:
    own_copy(shards, tmp_path)
    config = BalanceConfig(dataset="demo-rafdb", out=tmp_path, workers=1)
    config.folder.mkdir()
    with file_lock(config.folder / LOCK_NAME), pytest.raises(InputError, match=r"another process makes .*augmented"):
        balance(config)
    assert balance(config) == read_info(shards / "demo-rafdb" / "augmented")


def test_a_lock_that_is_gone_already_is_no_fault(tmp_path: Path) -> None:
    """Who waited for it, and came after the one that had it, finds what that one has removed."""
    with _alone_in(tmp_path):
        (tmp_path / LOCK_NAME).unlink()


def test_a_damaged_manifest_is_named_before_it_is_read(shards: Path, tmp_path: Path) -> None:
    manifest = own_copy(shards, tmp_path) / "manifest.parquet"
    manifest.write_bytes(manifest.read_bytes()[:-3000] + bytes(3000))
    with pytest.raises(InputError, match=r"manifest\.parquet is not as it was written"):
        balance(BalanceConfig(dataset="demo-rafdb", out=tmp_path, workers=1))


def test_without_records_it_says_what_makes_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no preprocessed records of rafdb .* make shards DATASET=rafdb"):
        balance(BalanceConfig(dataset="rafdb", out=tmp_path))
