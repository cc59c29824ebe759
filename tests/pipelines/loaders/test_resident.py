"""Decoded once, whoever asks first; held where there is room; never half, never stale."""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from pipelines.errors import InputError
from pipelines.loaders import LoaderConfig, cache, choose_loader, open_loader, opening, settled
from pipelines.loaders.cache import PIXELS, cache_file, decoded_bytes, decoded_split
from pipelines.loaders.resident import PLACES, choose_place
from pipelines.progress import untracked
from pipelines.records import ShardReader, decode_jpeg, read_info, sha256
from tests.conftest import make_records, on_small_disk


def config(records: Path, cache: Path, **changes: object) -> LoaderConfig:
    start = LoaderConfig(variant=records, split="test", batch=8, train=False, kind="resident", cache=cache)
    return replace(start, **changes)


@pytest.mark.parametrize("place", ["mapped", "device"])
def test_images_are_exactly_those_that_the_decoder_gives(records: Path, tmp_path: Path, place: str) -> None:
    readers = [ShardReader(records, shard.name) for shard in read_info(records).split_shards("test")]
    decoded = [decode_jpeg(sample.jpeg) for reader in readers for sample in reader]
    with open_loader(config(records, tmp_path, place=place)) as loader:
        found = torch.cat([batch.img_BCHW for batch in loader])
    assert np.array_equal(found[:, 0].numpy(), decoded)


def test_the_order_is_the_reference_loaders(records: Path, tmp_path: Path) -> None:
    ours = config(records, tmp_path, split="train", train=True, seed=5)
    with open_loader(ours) as one, open_loader(replace(ours, kind="reference", workers=0)) as other:
        for epoch in (0, 1):
            one.set_epoch(epoch)
            other.set_epoch(epoch)
            for a, b in zip(one, other, strict=True):
                assert a.host_rows_B.tolist() == b.host_rows_B.tolist()
                assert torch.equal(a.img_BCHW, b.img_BCHW)


def test_two_iterations_at_once_share_no_memory(records: Path, tmp_path: Path) -> None:
    with open_loader(config(records, tmp_path)) as loader:
        alone = [batch.img_BCHW.clone() for batch in loader]
        for expected, one, other in zip(alone, loader, loader, strict=True):
            assert torch.equal(one.img_BCHW, expected)
            assert torch.equal(other.img_BCHW, expected)


def test_it_is_decoded_once_and_again_when_damaged(records: Path, tmp_path: Path) -> None:
    settings = config(records, tmp_path)
    path = decoded_split(settings, read_info(records), untracked).path
    whole, made = sha256(path), path.stat().st_mtime_ns
    decoded_split(settings, read_info(records), untracked)
    assert path.stat().st_mtime_ns == made
    damaged = bytearray(path.read_bytes())
    damaged[100] ^= 255
    path.write_bytes(damaged)
    assert sha256(decoded_split(settings, read_info(records), untracked).path) == whole
    path.with_name("test.u8.json").write_text(json.dumps({"bytes": 1}))
    path.unlink()
    assert sha256(decoded_split(settings, read_info(records), untracked).path) == whole
    assert sorted(each.name for each in path.parent.iterdir()) == ["test.u8", "test.u8.json", "test.u8.lock"]


def test_all_that_may_take_long_has_a_bar_that_comes_to_its_end(records: Path, tmp_path: Path) -> None:
    ended: list[str] = []

    @contextmanager
    def track(title: str, *, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        counts: list[int] = []
        yield counts.append
        assert sum(counts) == total
        ended.append(f"{title}, {unit}")

    once = [
        "Checking made preprocessed, files",
        "Decoding made preprocessed test, images",
        "Checking test.u8 in the cache, MiB",
    ]
    open_loader(config(records, tmp_path, verify="full"), track).close()
    assert ended == once
    open_loader(config(records, tmp_path, verify="full"), track).close()
    assert ended[len(once) :] == [once[0], once[2]]


@pytest.mark.parametrize("more", [-1, 1])
def test_a_cache_of_another_size_is_made_again_whatever_it_says(records: Path, tmp_path: Path, more: int) -> None:
    settings = config(records, tmp_path, split="test")
    path = decoded_split(settings, read_info(records), untracked).path
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[:-1] if more < 0 else whole + b"0")
    stated = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    path.with_name(f"{path.name}.json").write_text(json.dumps(stated))
    assert decoded_split(settings, read_info(records), untracked).path.read_bytes() == whole


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_records_that_are_made_anew_while_they_are_decoded_leave_no_cache_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    made, settings = tmp_path / "made", config(tmp_path / "made", tmp_path / "cache", split="train")
    make_records(made, per_split={"train": 12})
    info = read_info(made)

    def make_anew() -> None:
        shutil.rmtree(made)
        make_records(made, per_split={"train": 18}, size_px=16)

    decode_all = cache._decode_all

    def decode_and_make_anew(*arguments: Any) -> None:
        decode_all(*arguments)
        make_anew()

    if when == "before":
        make_anew()
    else:
        monkeypatch.setattr(cache, "_decode_all", decode_and_make_anew)
    with pytest.raises(InputError, match="made was made anew while it was opened: start again"):
        decoded_split(settings, info, untracked)
    assert not list(settings.cache.rglob("*.u8"))
    monkeypatch.undo()
    assert decoded_split(settings, read_info(made), untracked).img_NCHW.shape == (18, 1, 16, 16)


def test_verify_full_hashes_what_was_hashed_before(records: Path, tmp_path: Path) -> None:
    """A change that keeps size and time is seen by `full` alone."""
    settings = config(records, tmp_path)
    path = decoded_split(settings, read_info(records), untracked).path
    decoded_split(settings, read_info(records), untracked)
    before, state = sha256(path), path.stat()
    damaged = bytearray(path.read_bytes())
    damaged[100] ^= 255
    path.write_bytes(damaged)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    decoded_split(settings, read_info(records), untracked)
    assert sha256(path) != before
    decoded_split(replace(settings, verify="full"), read_info(records), untracked)
    assert sha256(path) == before


def _open(settings: LoaderConfig, together: Barrier, answers: SimpleQueue[tuple[str, int]]) -> None:
    decoded: list[int] = []

    @contextmanager
    def slowly(_title: str, *, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        time.sleep(1)  # until the other one has looked, too
        yield decoded.append if unit == "images" else [total].append

    together.wait(timeout=100)
    path = decoded_split(settings, read_info(settings.variant), slowly).path
    answers.put((sha256(path), sum(decoded)))


def test_two_processes_at_once_decode_once(records: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    together, answers = context.Barrier(2), context.SimpleQueue()
    settings = config(records, tmp_path, split="train")
    processes = [context.Process(target=_open, args=(settings, together, answers), daemon=True) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=100)
    assert [process.exitcode for process in processes] == [0, 0]
    (one, by_one), (other, by_other) = (answers.get() for _ in processes)
    assert one == other
    assert sorted([by_one, by_other]) == [0, 47]


FULL_DISK = """
import shutil, sys
from pathlib import Path
from pipelines.errors import InputError
from pipelines.loaders import LoaderConfig, cache, open_loader
records, disk = map(Path, sys.argv[1:])
config = LoaderConfig(variant=records, split="train", batch=8, train=True, kind="resident", cache=disk)
for usage in (shutil.disk_usage, lambda _path, usage=shutil.disk_usage("/"): usage):
    cache.shutil.disk_usage = usage
    try:
        open_loader(config)
    except InputError as error:
        print(error)
"""
UNSAID = """
import sys
from pathlib import Path
from pipelines.loaders import LoaderConfig, open_loader
records, disk = map(Path, sys.argv[1:])
config = LoaderConfig(variant=records, split="train", batch=8, train=True, kind="resident", cache=disk)
open_loader(config).close()
(said,) = disk.rglob("train.u8.json")
said.unlink()
open_loader(config).close()
"""


def with_cache_on_small_disk(text: str, size: str, folder: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run a script with records of 90 KiB decoded, and a disk of that size for their cache."""
    large = make_records(folder / "large", per_split={"train": 90})
    script, disk = folder / "script.py", folder / "disk"
    script.write_text(text, encoding="utf-8")
    return on_small_disk(disk, size, f"PYTHONPATH=. {sys.executable} {script} {large} {disk}")


def test_a_cache_that_does_not_say_it_is_whole_leaves_room_for_the_next(tmp_path: Path) -> None:
    """As after a kill between its last two steps, on a disk that has no room for two."""
    done, left = with_cache_on_small_disk(UNSAID, "128k", tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in left.rglob("train.u8*")) == ["train.u8", "train.u8.json", "train.u8.lock"]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    """It is found at once; where that is kept from it, in the middle of writing."""
    done, left = with_cache_on_small_disk(FULL_DISK, "64k", tmp_path)
    errors = done.stdout.splitlines()
    assert len(errors) == 2, done.stderr
    assert all("No space left on device" in line and "CACHE=" in line for line in errors)
    assert [path.suffix for path in left.rglob("*") if path.is_file()] == [".lock"]


def test_auto_takes_what_fits_and_says_why(records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = config(records, tmp_path, kind="auto")
    kind, why = choose_loader(settings)
    assert kind == "resident"
    assert "fit in memory" in why
    enough_for_one = 2.1 * sum(decoded_bytes(read_info(records), split) for split in ("train", "val", "test"))
    with monkeypatch.context() as little:
        little.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=enough_for_one))
        assert [choose_loader(settings)[0], choose_loader(settings, settings)[0]] == ["resident", "dali"]
    monkeypatch.setattr("pipelines.loaders.opening.room_bytes", lambda *_configs: 1000)
    assert choose_loader(settings) == (
        "dali",
        f"its 0 MiB of decoded images are more than half of the room in {tmp_path}",
    )
    monkeypatch.setattr(opening, "ROOM", 0.0)
    assert "free memory" in choose_loader(settings)[1]


def test_auto_needs_a_cache_that_it_can_write_or_that_is_whole(records: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    nowhere = config(records, tmp_path / "file", kind="auto")
    assert choose_loader(nowhere) == (
        "dali",
        f"its 0 MiB of decoded images are more than half of the room in {tmp_path / 'file'}",
    )
    with open_loader(nowhere) as loader:
        assert loader.config.kind == "dali"
        assert sum(len(batch) for batch in loader) == 23


def test_auto_says_what_it_takes_and_is_nothing_else_afterwards(records: Path, tmp_path: Path) -> None:
    said: list[str] = []
    asked = config(records, tmp_path, kind="auto")
    assert settled([asked, asked], said.append) == [replace(asked, kind="resident")] * 2
    assert said == ["loader: resident, as its 0 MiB of decoded images fit in memory"]
    assert settled([replace(asked, kind="dali")], said.append) == [replace(asked, kind="dali")]
    assert len(said) == 1
    with open_loader(asked) as loader:
        assert loader.config.kind == "resident"


def test_where_images_are_held_on_a_cpu() -> None:
    cpu = torch.device("cpu")
    assert choose_place("auto", cpu, 10) == "mapped"
    assert choose_place("device", cpu, 10) == "device"


def test_a_place_that_cannot_be_is_refused_before_anything_is_decoded(records: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="PLACE=pinned is for a GPU"):
        open_loader(config(records, tmp_path, place="pinned"))
    assert not list(tmp_path.iterdir())


def test_what_killed_processes_left_goes_with_the_next_that_decodes(records: Path, tmp_path: Path) -> None:
    settings = config(records, tmp_path)
    left = cache_file(settings, PIXELS).with_name(".test.u8.12.tmp")
    left.parent.mkdir()
    left.write_bytes(b"half")
    decoded_split(settings, read_info(records), untracked)
    assert sorted(path.name for path in left.parent.iterdir()) == ["test.u8", "test.u8.json", "test.u8.lock"]


def test_each_process_has_pinned_memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (100, 100))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    asked = ((50, 1), (50, 8), (51, 1), (51, 10), (65, 4))  # torch takes 64 for 51, and 128 for 65
    found = [choose_place("auto", torch.device("cuda"), size, processes) for size, processes in asked]
    assert found == ["device", "device", "pinned", "mapped", "mapped"]


def test_a_place_without_room_is_one_sentence(records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_images: torch.Tensor, _device: torch.device) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB\nand more lines")

    monkeypatch.setitem(PLACES, "device", full)
    with pytest.raises(InputError, match=r"no room in PLACE=device \(CUDA out of memory.*3 GiB\): take PLACE=mapped"):
        open_loader(config(records, tmp_path, place="device"))


def test_a_whole_cache_opens_where_nothing_can_be_written(records: Path, tmp_path: Path) -> None:
    settings = config(records, tmp_path)
    path = decoded_split(settings, read_info(records), untracked).path
    path.with_name("test.u8.lock").unlink()
    path.parent.chmod(0o500)
    decoded_split(settings, read_info(records), untracked)
    assert sorted(each.name for each in path.parent.iterdir()) == ["test.u8", "test.u8.json"]


def test_a_cache_is_found_by_the_records_checksum(records: Path, tmp_path: Path) -> None:
    other = make_records(tmp_path / "other", per_split={"test": 5})
    assert cache_file(config(records, tmp_path), PIXELS) != cache_file(config(other, tmp_path), PIXELS)
