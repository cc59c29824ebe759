"""Records that somebody else made, or changed: refused in a sentence before anything is read by them."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest

from pipelines.errors import InputError
from pipelines.loaders import LoaderConfig, open_loader
from pipelines.records import (
    Sample,
    ShardReader,
    decode_jpeg,
    encode_jpeg,
    find_faults,
    read_info,
    read_manifest,
    refuse_damaged,
    sha256,
    write_shard,
)
from tests.conftest import overwrite, restate

Stated = dict[str, Any]
FACE = encode_jpeg(np.full((16, 16), 90, np.uint8))


@pytest.fixture
def copy(records: Path, tmp_path: Path) -> Path:
    return shutil.copytree(records, tmp_path / "copy")


def of_first_shard(name: str, value: object) -> Callable[[Stated], object]:
    return lambda stated: stated["shards"][0].update({name: value})


def swap_two(stated: Stated) -> None:
    first, second, *others = stated["shards"]
    stated["shards"] = [second, first, *others]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (of_first_shard("name", "../../../elsewhere"), r"the shard ../../../elsewhere of split train"),
        (of_first_shard("name", "test-00000"), r"the shard test-00000 of split train"),
        (of_first_shard("name", "train-" + "0" * 300), r"the shard train-0+ of split"),
        (of_first_shard("name", None), r"the shard None of split"),
        (of_first_shard("split", "dev"), r"the shard train-00000 of split dev"),
        (of_first_shard("samples", "10"), r"train-00000 of 10 samples"),
        (of_first_shard("samples", -3), r"train-00000 of -3 samples"),
        (of_first_shard("samples", 10**12), r"train-00000 of 10+ samples"),
        (of_first_shard("samples", True), r"train-00000 of True samples"),
        (swap_two, r"the shards of train are out of order"),
        (lambda stated: stated["shards"].append(stated["shards"][0]), r"the shards of train are out of order"),
        (lambda stated: stated.update(size_px="32"), r"images of 32 px and 1 channels"),
        (lambda stated: stated.update(size_px=0), r"images of 0 px"),
        (lambda stated: stated.update(channels=2), r"images of 32 px and 2 channels"),
        (lambda stated: stated.update(classes=["../happy"]), r"the classes \['\.\./happy'\]"),
        (lambda stated: stated.update(classes=["circle"] * 3), r"the classes \['circle', 'circle', 'circle'\]"),
        (lambda stated: stated.update(classes=[1, 2, 3]), r"expected string"),
        (lambda stated: stated.update(dataset=5), r"the variant preprocessed of 5"),
        (lambda stated: stated.update(counts={}), r"the counts \{\}"),
        (lambda stated: stated.update(counts="x"), r"no attribute"),
        (lambda stated: stated["counts"]["train"].update(circle="5"), r"the counts"),
        (of_first_shard("pixel_sum", [1, 2]), r"the pixel sums of train-00000"),
        (of_first_shard("pixel_square_sum", ["1"]), r"the pixel sums of train-00000"),
        (lambda stated: stated.update(pixel_mean=[]), r"the pixel statistics \[\]"),
        (lambda stated: stated.update(pixel_std=["x"]), r"not supported"),
    ],
)
def test_what_no_writer_states_is_refused(copy: Path, change: Callable[[Stated], object], why: str) -> None:
    restate(copy, change)
    with pytest.raises(InputError, match=rf"dataset\.json is damaged \(.*{why}"):
        read_info(copy)


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", "null", "{", '{"shards": null}', "\x00"])
def test_what_is_no_description_is_refused(copy: Path, text: str) -> None:
    (copy / "dataset.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"dataset\.json is damaged"):
        read_info(copy)


def test_a_folder_in_place_of_a_file_is_refused(copy: Path) -> None:
    (copy / "dataset.json").unlink()
    (copy / "dataset.json").mkdir()
    with pytest.raises(InputError, match=r"dataset\.json cannot be read \(Is a directory\)"):
        read_info(copy)


@pytest.mark.parametrize("kind", ["dali", "resident", "reference"])
@pytest.mark.parametrize(
    "change",
    [of_first_shard("samples", 9), of_first_shard("samples", 11), lambda stated: stated["shards"].pop(1)],
    ids=["one less", "one more", "a shard not listed"],
)
def test_other_samples_than_the_manifest_lists_are_refused_when_opened(
    copy: Path, change: Callable[[Stated], object], kind: str
) -> None:
    restate(copy, change)
    with pytest.raises(InputError, match=r"manifest\.parquet lists other samples of train-0000. than dataset\.json"):
        open_loader(LoaderConfig(variant=copy, split="train", batch=4, train=False, kind=kind))
    (fault,) = find_faults(copy)
    assert "lists other samples" in fault


@pytest.mark.parametrize("kind", ["dali", "resident", "reference"])
def test_an_index_of_fewer_samples_is_refused_when_opened(copy: Path, kind: str, tmp_path: Path) -> None:
    index = copy / "train-00000.idx"
    _, *lines = index.read_text(encoding="ascii").splitlines()
    index.write_text("\n".join([f"v1.2 {len(lines) - 1}", *lines[1:]]), encoding="ascii")
    restate(copy, of_first_shard("index_sha256", sha256(index)))
    config = LoaderConfig(variant=copy, split="train", batch=4, train=False, kind=kind, cache=tmp_path / "cache")
    with pytest.raises(InputError, match=r"train-00000\.idx lists 9 samples, not 10"):
        open_loader(config)


def test_an_index_with_an_endless_word_takes_no_memory(tmp_path: Path) -> None:
    line = " ".join(f"{member} 512 10 a.{member}" for member in ("jpg", "cls", "row", "json"))
    words = "\n".join(["v1.2 20001", *[line] * 20_000, line.replace("512", "5" * 3_000_000)])
    (tmp_path / "train-00000.idx").write_text(words, encoding="ascii")
    (tmp_path / "train-00000.tar").write_bytes(b"")
    with pytest.raises(InputError, match="a line of more than 1024 letters"):
        ShardReader(tmp_path, "train-00000")


@pytest.mark.parametrize("key", ["../../../../outside", "/etc/passwd", "a.b", "a\nb", ""])
def test_a_key_that_is_no_plain_name_is_refused(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.records.writer.KEY", re.compile(".*", re.DOTALL))
    write_shard(tmp_path, "train-00000", "train", [Sample(key, FACE, 0, 0)])
    index = tmp_path / "train-00000.idx"  # in which a line's break would be one
    index.write_bytes(index.read_bytes().replace(key.encode(), b"plain") if key else index.read_bytes())
    with ShardReader(tmp_path, "train-00000") as reader, pytest.raises(InputError, match="is not a plain name"):
        reader.read(0)


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (Path.unlink, r"manifest\.parquet is missing"),
        (lambda path: path.write_bytes(b"PAR1"), r"is not as it was written"),
    ],
    ids=["missing", "cut"],
)
def test_a_manifest_that_is_not_there_or_cut_is_one_sentence(
    copy: Path, spoil: Callable[[Path], object], what: str
) -> None:
    spoil(copy / "manifest.parquet")
    (fault,) = find_faults(copy)
    assert re.search(what, fault)


def test_a_table_that_is_cut_is_one_sentence(copy: Path) -> None:
    (copy / "manifest.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"manifest\.parquet is damaged"):
        read_manifest(copy)


def first_kept(name: str, value: object) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Another value in one row."""
    first = (pl.col("status") == "kept") & (pl.col("position") == 0) & (pl.col("split") == "train")
    return lambda table: table.with_columns(pl.when(first).then(pl.lit(value)).otherwise(name).alias(name))


def relist(folder: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Another manifest, with its checksum stated."""
    path = folder / "manifest.parquet"
    change(pl.read_parquet(path)).write_parquet(path)
    restate(folder, lambda stated: stated.update(manifest_sha256=sha256(path)))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (first_kept("shard", "../../../elsewhere"), r"the shard ../../../elsewhere of split train"),
        (first_kept("shard", "test-00000"), r"the shard test-00000 of split train"),
        (first_kept("shard", None), r"kept samples without shard"),
        (first_kept("split", "../dev"), r"the shard train-00000 of split ../dev"),
        (first_kept("position", 99), r"the positions of train-0000"),
        (first_kept("position", 1), r"the positions of train-0000"),
        (first_kept("position", None), r"kept samples without position"),
        (first_kept("row", None), r"kept samples without row"),
        (first_kept("label", None), r"kept samples without label"),
        (lambda table: table.drop("label"), r"it has no column label of whole numbers"),
        (lambda table: table.cast({"label": pl.Float64}), r"it has no column label of whole numbers"),
        (lambda table: table.cast({"row": pl.String}), r"it has no column row of whole numbers"),
        (lambda table: table.drop("status"), r"it has no column status of strings"),
        (lambda table: table.with_columns(shard=1), r"it has no column shard of strings"),
    ],
)
def test_a_manifest_of_what_no_writer_lists_is_refused(
    copy: Path, change: Callable[[pl.DataFrame], pl.DataFrame], why: str
) -> None:
    relist(copy, change)
    with pytest.raises(InputError, match=rf"manifest\.parquet is damaged \({why}"):
        read_manifest(copy)
    (fault,) = find_faults(copy)
    assert re.search(why, fault)


def test_other_counts_than_the_manifest_lists_are_refused(copy: Path) -> None:
    restate(copy, lambda stated: stated["counts"]["val"].update(circle=stated["counts"]["val"]["circle"] + 1))
    with pytest.raises(InputError, match=r"manifest\.parquet lists other numbers of samples by class than dataset"):
        refuse_damaged(copy, read_info(copy))
    assert "other numbers of samples by class" in find_faults(copy)[-1]


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_of_no_class_is_refused(copy: Path, label: int) -> None:
    relist(copy, first_kept("label", label))
    with pytest.raises(InputError, match=r"manifest\.parquet lists labels that are not of the 3 classes"):
        refuse_damaged(copy, read_info(copy))
    assert "lists labels that are not of the 3 classes" in find_faults(copy)[-1]


def png_of_16_bits() -> bytes:
    return bytes(cv2.imencode(".png", np.full((16, 16), 40_000, np.uint16))[1])


def of_any_size(side_px: int) -> bytes:
    """A JPEG whose header says that it has this side."""
    at = FACE.index(b"\xff\xc0") + 5
    return FACE[:at] + side_px.to_bytes(2, "big") * 2 + FACE[at + 4 :]


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", png_of_16_bits(), of_any_size(65500)])
def test_what_is_no_jpeg_or_of_a_size_beyond_measure_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="JPEG image"):
        decode_jpeg(data)


@pytest.mark.parametrize("member", ["cls", "row", "json"], ids=["label", "row", "key"])
def test_verify_finds_samples_that_have_changed_places_with_their_checksums(copy: Path, member: str) -> None:
    with ShardReader(copy, "train-00001") as reader:
        one, other = reader.member(4, member), reader.member(5, member)
    overwrite(copy, "train-00001", 4, **{member: other})
    overwrite(copy, "train-00001", 5, **{member: one})
    refuse_damaged(copy, read_info(copy))  # for which checksums are enough
    assert find_faults(copy) == ["train-00001 holds other keys, labels or rows than the manifest (10 and 10)"]


@pytest.mark.parametrize(
    ("jpeg", "why"),
    [
        (b"\xff\xd8\xff", "the JPEG image cannot be decoded"),
        (FACE, "an image of (16, 16, 1) where (32, 32, 1) is stated"),
    ],
    ids=["undecodable", "of another size"],
)
def test_verify_finds_an_image_that_is_none_of_ours_with_its_checksum(copy: Path, jpeg: bytes, why: str) -> None:
    overwrite(copy, "train-00001", 4, jpg=jpeg)
    refuse_damaged(copy, read_info(copy))
    (fault,) = find_faults(copy)
    assert fault.startswith(f"{copy / 'train-00001.tar'}, sample 4 (key_0016): {why}")
