"""What is written is what is read: by us, by DALI's own indexer, by webdataset."""

import errno
import hashlib
import json
import os
import pickle
import re
import shutil
import string
import subprocess
import sys
import tarfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.errors import InputError
from pipelines.records import (
    Sample,
    ShardReader,
    SplitReader,
    atomic_folder,
    decode_jpeg,
    describe,
    encode_jpeg,
    file_lock,
    find_faults,
    index_path,
    parse_place,
    read_info,
    read_labels,
    read_manifest,
    refuse_damaged,
    shard_name,
    tar_path,
    write_atomically,
    write_info,
    write_shard,
)
from pipelines.records.format import KEY, MEMBERS
from pipelines.records.reader import read_index
from pipelines.records.writer import tar_header
from tests.conftest import make_records

INDEX_LINE = "jpg 512 9 a.jpg cls 1536 1 a.cls row 2560 8 a.row json 3584 20 a.json"
PLAIN = f"{string.ascii_letters}{string.digits}_=-"
GRAY = np.arange(64, dtype=np.uint8).reshape(8, 8) * 3


def test_a_shard_reads_back_as_it_was_written(tmp_path: Path) -> None:
    samples = [Sample(f"k{i}", encode_jpeg(GRAY), i % 7, -5 + 2**40 * i, {"box": [1.5, 2]}) for i in range(5)]
    info = write_shard(tmp_path, "train-00000", "train", samples)
    with ShardReader(tmp_path, "train-00000") as reader:
        assert list(reader) == samples
    assert info.samples == 5
    assert info.tar_sha256 == hashlib.sha256((tmp_path / "train-00000.tar").read_bytes()).hexdigest()
    pixels = np.concatenate([decode_jpeg(sample.jpeg).ravel() for sample in samples]).astype(int)
    assert (info.pixel_sum, info.pixel_square_sum) == ([pixels.sum()], [(pixels**2).sum()])


def test_a_split_reads_as_its_shards_one_behind_the_other(records: Path) -> None:
    info = read_info(records)
    stored = [sample for shard in info.split_shards("train") for sample in ShardReader(records, shard.name)]
    images = SplitReader(records, info, "train")
    assert len(images) == len(stored) == 47
    copy = pickle.loads(pickle.dumps(images))
    places = np.array([46, 0, 9, 10, 31, 0])
    found = images.jpegs(places)
    for at, jpeg in zip(places.tolist(), found, strict=True):
        assert jpeg.tobytes() == stored[at].jpeg
        assert images.read(at) == copy.read(at) == stored[at]
        assert np.array_equal(images.decode(at)[:, :, 0], decode_jpeg(stored[at].jpeg))
    label_N, row_N = read_labels(records, "train")
    assert label_N.tolist() == [sample.label for sample in stored]
    assert row_N.tolist() == [sample.row for sample in stored]
    images.close()
    assert len(SplitReader(records, info, "none")) == 0


NO_LINE = st.text(st.characters(codec="ascii", exclude_characters=" \n"), min_size=1)


@given(st.lists(st.just(INDEX_LINE) | NO_LINE, min_size=1), st.integers(-1, 1))
def test_what_is_no_index_is_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], more: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.idx"
    text = "\n".join([f"v1.2 {len(lines) + more}", *lines])
    if more == 0 and set(lines) == {INDEX_LINE}:
        text += f"\n{INDEX_LINE.replace('cls', 'txt')}"
    path.write_bytes(text.encode())
    with pytest.raises(InputError, match=re.escape(f"{path} ")):
        read_index(path)


def test_an_index_of_nothing_is_read(tmp_path: Path) -> None:
    path = tmp_path / "empty.idx"
    path.write_text("v1.2 0\n")
    assert [len(span) for span in read_index(path).values()] == [0] * len(MEMBERS)


def test_our_index_is_the_one_dali_would_write(records: Path, tmp_path: Path) -> None:
    wds2idx = Path(sys.executable).with_name("wds2idx")
    for shard in read_info(records).shards:
        made = tmp_path / f"{shard.name}.idx"
        subprocess.run([wds2idx, tar_path(records, shard.name), made], check=True, capture_output=True)
        assert made.read_bytes() == index_path(records, shard.name).read_bytes()


def test_the_webdataset_package_gives_the_manifests_samples(records: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of webdataset's own imports
        import webdataset

        info = read_info(records)
        urls = [str(tar_path(records, shard.name)) for shard in info.shards]
        found = [
            (s["__key__"], int(s["cls"]), int.from_bytes(s["row"], "little", signed=True), json.loads(s["json"])["key"])
            for s in webdataset.WebDataset(urls, shardshuffle=False)
        ]
    shard_order = {shard.name: i for i, shard in enumerate(info.shards)}
    kept = read_manifest(records).filter(pl.col("status") == "kept")
    kept = kept.with_columns(order=pl.col("shard").replace_strict(shard_order)).sort("order", "position")
    assert found == list(kept.select("key", "label", "row", pl.col("key").alias("again")).iter_rows())


@given(st.text(max_size=20) | st.text(PLAIN, max_size=100))
@example("a" * 90)
@example("a" * 91)
def test_a_plain_name_is_a_key_and_nothing_else_is(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    folder, sample = tmp_path_factory.getbasetemp(), Sample(key, encode_jpeg(GRAY), 0, 0)
    if set(key) <= set(PLAIN) and 0 < len(key) <= 90:
        write_shard(folder, "train-00000", "train", [sample])
        with ShardReader(folder, "train-00000") as reader:
            assert list(reader) == [sample]
    else:
        with pytest.raises(ValueError, match="not a plain name"):
            write_shard(folder, "train-00000", "train", [sample])


@pytest.mark.parametrize(
    ("sample", "complaint"),
    [
        (Sample("twice", encode_jpeg(GRAY), 0, 0), "used twice"),
        (Sample("k", encode_jpeg(GRAY), 10, 0), "not one digit"),
        (Sample("k", b"not a jpeg", 0, 0), "not a JPEG"),
        (Sample("k", b"", 0, 0), "not a JPEG"),
    ],
)
def test_what_would_stop_a_reader_is_never_written(tmp_path: Path, sample: Sample, complaint: str) -> None:
    first = Sample("twice", encode_jpeg(GRAY), 0, 0)
    with pytest.raises(ValueError, match=complaint):
        write_shard(tmp_path, "train-00000", "train", [first, sample])
    assert list(tmp_path.iterdir()) == []


@given(key=st.from_regex(KEY, fullmatch=True), ext=st.sampled_from(MEMBERS), size=st.integers(0, 8**11 - 1))
def test_a_header_is_the_one_that_tarfile_writes(key: str, ext: str, size: int) -> None:
    header = tarfile.TarInfo(f"{key}.{ext}")
    header.size = size
    assert tar_header(f"{key}.{ext}".encode(), size) == header.tobuf(tarfile.USTAR_FORMAT)


def test_jpeg_is_baseline_and_keeps_gray_and_colour() -> None:
    rgb = np.zeros((32, 32, 3), np.uint8)
    rgb[..., 0] = 200
    assert b"\xff\xc0" in encode_jpeg(rgb)  # the baseline frame marker; progressive is FF C2
    assert b"\xff\xc2" not in encode_jpeg(rgb)
    assert np.abs(decode_jpeg(encode_jpeg(rgb)).astype(int) - rgb).max() <= 4
    assert decode_jpeg(encode_jpeg(GRAY)).shape == (8, 8)


def test_checking_tells_of_every_file(records: Path) -> None:
    """Some gigabytes on a slow disk take longer than one waits without a bar."""
    told = []

    @contextmanager
    def listening(_title: str, *, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        done: list[int] = []
        yield done.append
        told.append((sum(done), total, unit))

    info = read_info(records)
    refuse_damaged(records, info, track=listening)
    refuse_damaged(records, info, "val", track=listening)
    files = 1 + 2 * len(info.shards), 1 + 2 * len(info.split_shards("val"))
    assert told == [(count, count, "files") for count in files]


def test_sound_records_have_no_faults(records: Path) -> None:
    assert find_faults(records) == []


def spoil_bytes(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "spoil", "fault"),
    [
        ("train-00001.tar", spoil_bytes, r"train-00001\.tar is not as it was written"),
        ("train-00001.idx", spoil_bytes, r"train-00001\.idx is not as it was written"),
        ("train-00000.tar", Path.unlink, r"train-00000\.tar or its index is missing"),
        ("manifest.parquet", spoil_bytes, r"manifest\.parquet is not as it was written"),
        ("manifest.parquet", Path.unlink, r"manifest\.parquet is missing"),
        ("dataset.json", Path.unlink, r"no finished records"),
        ("dataset.json", lambda path: path.write_text('{"shards": 3}'), r"dataset\.json is damaged"),
    ],
)
def test_verify_names_what_is_wrong(records: Path, tmp_path: Path, name: str, spoil: object, fault: str) -> None:
    copy = shutil.copytree(records, tmp_path / "copy")
    spoil(copy / name)  # type: ignore[operator]
    (found,) = find_faults(copy)
    with pytest.raises(InputError, match=fault):
        raise InputError(found)


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["gone", "empty"])
def test_a_shard_that_cannot_be_mapped_is_named(records: Path, tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    copy = shutil.copytree(records, tmp_path / "copy")
    spoil(copy / "train-00001.tar")
    with pytest.raises(InputError, match=r"train-00001\.tar cannot be read \(.*: remove the folder"):
        ShardReader(copy, "train-00001")


def test_a_shard_of_another_run_is_found(records: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(records, tmp_path / "copy")
    other = make_records(tmp_path / "other", per_split={"val": 2, "train": 47})
    for name in ("train-00000.tar", "train-00000.idx"):
        shutil.copyfile(other / name, copy / name)
    assert any("train-00000" in fault for fault in find_faults(copy))


def test_statistics_are_those_of_the_training_pixels(records: Path) -> None:
    info = read_info(records)
    images = []
    for shard in info.split_shards("train"):
        with ShardReader(records, shard.name) as reader:
            images += [decode_jpeg(sample.jpeg) for sample in reader]
    pixels = np.stack(images) / 255
    assert info.pixel_mean == [pytest.approx(pixels.mean(), abs=1e-6)]
    assert info.pixel_std == [pytest.approx(pixels.std(), abs=1e-6)]
    assert sum(sum(by_class.values()) for by_class in info.counts.values()) == 47 + 11 + 23


def test_an_empty_shard_does_not_say_how_many_channels_there_are(tmp_path: Path) -> None:
    face = encode_jpeg(np.full((16, 16, 3), 90, np.uint8))
    shards = [
        write_shard(tmp_path, f"val-0000{i}", "val", faces) for i, faces in enumerate(([], [Sample("k", face, 0, 0)]))
    ]
    place = {"split": "val", "status": "kept", "reason": None, "shard": "val-00001", "position": 0}
    pl.DataFrame([{"row": 0, "key": "k", "label": 0, **place}]).write_parquet(tmp_path / "manifest.parquet")
    made = {
        "dataset": "made",
        "variant": "raw",
        "classes": ("happy",),
        "size_px": 16,
        "settings": {},
        "code_version": "1",
    }
    write_info(tmp_path, describe(tmp_path, shards, **made))
    assert read_info(tmp_path).channels == 3
    assert find_faults(tmp_path) == []


def test_a_split_has_as_many_shards_as_their_names_have_digits_for() -> None:
    assert shard_name("val", 99_999) == "val-99999"
    with pytest.raises(InputError, match=r"more than 100,000 shards: take a larger SHARD_ROWS="):
        shard_name("val", 100_000)


def test_addresses_that_are_paths_of_this_machine(tmp_path: Path) -> None:
    assert [parse_place(f"{scheme}{tmp_path}") for scheme in ("", "file://", "local://")] == [tmp_path] * 3
    with pytest.raises(InputError, match="~nobody-of-this-name/x cannot be opened"):
        parse_place("~nobody-of-this-name/x")


@pytest.mark.parametrize(("number", "goes_on"), [(errno.ENOLCK, True), (errno.ENOTSUP, True), (errno.EIO, False)])
def test_a_disk_without_locks_keeps_nobody_out(
    number: int, goes_on: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(_descriptor: int, _how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    refused = nullcontext() if goes_on else pytest.raises(OSError, match=os.strerror(number))
    with refused, file_lock(tmp_path / ".lock"):
        (tmp_path / "done").touch()
    assert (tmp_path / "done").exists() == goes_on


def test_what_a_killed_process_left_goes_at_the_next_write(tmp_path: Path) -> None:
    left, live, other = (tmp_path / name for name in (".a[1].pth.12.tmp", ".a[1].pth.13.tmp", ".b.pth.12.tmp"))
    for path in (left, live, other):
        path.write_bytes(b"half")
    for path in (left, other):
        os.utime(path, (0, 0))
    write_atomically(tmp_path / "a[1].pth", b"new")
    assert {path.name for path in tmp_path.iterdir()} == {"a[1].pth", live.name, other.name}


def test_a_full_disk_leaves_the_old_file_and_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "dataset.json"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*dataset\.json") as caught:
        write_atomically(path, b"new")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


KILLED = """
import os, pathlib, signal, sys
from pipelines.records import atomic_folder
with atomic_folder(pathlib.Path(sys.argv[1])) as folder:
    (folder / "half").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_folder_is_replaced_whole_and_what_a_killed_process_left_goes_with_the_next(tmp_path: Path) -> None:
    out, mine = tmp_path / "faces[1]", tmp_path / ".faces[1]-mine"
    mine.mkdir()
    subprocess.run([sys.executable, "-c", KILLED, str(out)], check=False)
    (killed,) = tmp_path.glob(".faces*.unfinished")
    for content in ("old", "new"):
        with atomic_folder(out) as folder, atomic_folder(out) as meanwhile:
            assert not killed.exists()
            (folder / "words").write_text(content)
            (meanwhile / "words").write_text("of another process")
    assert (out / "words").read_text() == "new"
    assert {path.name for path in tmp_path.iterdir()} == {out.name, mine.name}
