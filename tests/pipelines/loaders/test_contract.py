"""What every loader promises, asked of each of them alike."""

import ctypes
import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import pytest
import torch

from pipelines.errors import InputError
from pipelines.loaders import Batch, LoaderConfig, open_loader
from pipelines.records import encode_jpeg, read_manifest
from tests.conftest import LOADERS_HERE, LOADERS_ON_CUDA, ON_CUDA, assert_same_tail, make_records, overwrite

pytestmark = pytest.mark.parametrize("kind", [*LOADERS_HERE, *LOADERS_ON_CUDA])
KEYS = {4: "key_0016", 6: "key_0018", 7: "key_0019"}
"""Of samples of the second shard, by their positions: after every seventh a row was dropped."""


@pytest.fixture(autouse=True)
def _several_runs(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """DALI decodes several batches at once: few enough that these small epochs take several runs."""
    if kind.startswith("dali"):
        monkeypatch.setattr("pipelines.loaders.dali.IMAGES_AT_ONCE", 16)


def config(records: Path, kind: str, **changes: object) -> LoaderConfig:
    cache = records.parent / "cache"
    device = "cuda" if kind.endswith(ON_CUDA) else "cpu"
    kind = kind.removesuffix(ON_CUDA)
    start = LoaderConfig(variant=records, split="train", batch=8, train=True, seed=3, kind=kind, workers=0, cache=cache)
    return replace(start, device=device, **changes)


def batches(config: LoaderConfig, epoch: int = 0) -> list[Batch]:
    with open_loader(config) as loader:
        loader.set_epoch(epoch)
        found = list(loader)
        assert len(found) == len(loader)
        return found


def rows(found: list[Batch]) -> list[int]:
    return [row for batch in found for row in batch.host_rows_B.tolist()]


def kept(records: Path, split: str) -> pl.DataFrame:
    return read_manifest(records).filter((pl.col("split") == split) & (pl.col("status") == "kept"))


def test_training_gives_each_row_at_most_once_and_drops_only_the_short_batch(records: Path, kind: str) -> None:
    found = rows(batches(config(records, kind)))
    assert len(found) == len(set(found)) == 40  # 47 rows, batches of 8
    assert set(found) <= set(kept(records, "train")["row"])


def test_evaluation_gives_each_row_exactly_once_in_stored_order(records: Path, kind: str) -> None:
    found = batches(config(records, kind, split="test", train=False))
    assert [len(batch) for batch in found] == [8, 8, 7]
    assert rows(found) == kept(records, "test").sort("shard", "position")["row"].to_list()


def test_a_batch_may_be_larger_than_can_be_held(records: Path, kind: str) -> None:
    (found,) = batches(config(records, kind, batch=10**12))
    assert sorted(rows([found])) == kept(records, "train")["row"].to_list()


def test_what_was_iterated_for_inference_can_be_trained_on(records: Path, kind: str) -> None:
    with open_loader(config(records, kind)) as loader:
        with torch.inference_mode():
            before = rows(list(loader))
        assert rows(list(loader)) == before


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("train", [True, False])
def test_ranks_are_disjoint_and_cover(records: Path, kind: str, world_size: int, train: bool) -> None:
    parts = [
        batches(config(records, kind, train=train, batch=5, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    found = [row for part in parts for row in rows(part)]
    assert len(found) == len(set(found))
    if train:
        assert len({len(part) for part in parts}) == 1  # all ranks take the same number of steps
    else:
        assert set(found) == set(kept(records, "train")["row"])


def test_order_repeats_by_seed_and_differs_by_epoch_and_seed(records: Path, kind: str) -> None:
    first = rows(batches(config(records, kind)))
    assert first == rows(batches(config(records, kind)))
    assert first != rows(batches(config(records, kind), epoch=1))
    assert first != rows(batches(config(records, kind, seed=4)))
    assert first != sorted(first)


def test_labels_are_those_of_the_manifest_on_host_and_device(records: Path, kind: str) -> None:
    label_of = dict(kept(records, "train").select("row", "label").iter_rows())
    for batch in batches(config(records, kind)):
        assert batch.label_B.tolist() == [label_of[row] for row in batch.host_rows_B.tolist()]
        assert batch.rows_B.tolist() == batch.host_rows_B.tolist()
        assert batch.img_BCHW.shape == (8, 1, 32, 32)
        assert str(batch.img_BCHW.dtype) == "torch.uint8"
        on_cuda = [tensor.is_cuda for tensor in (batch.img_BCHW, batch.label_B, batch.rows_B)]
        assert on_cuda == [kind.endswith(ON_CUDA)] * 3


def test_starting_after_some_batches_gives_the_identical_tail(records: Path, kind: str) -> None:
    assert_same_tail(partial(open_loader, config(records, kind)), epoch=2)


def test_an_epoch_after_one_that_was_resumed_has_the_same_pixels(records: Path, kind: str) -> None:
    """A decoder of a GPU takes no more at once than it was first given, here little: the rest came from another."""
    plain = batches(config(records, kind), epoch=2)
    with open_loader(config(records, kind)) as loader:
        loader.set_epoch(1, consumed=len(loader) - 1)
        assert len(list(loader)) == 1
        loader.set_epoch(2)
        found = list(loader)
    assert all(torch.equal(mine.img_BCHW, theirs.img_BCHW) for mine, theirs in zip(found, plain, strict=True))


@pytest.mark.parametrize("consumed", [-1, 6])
def test_more_than_an_epoch_has_cannot_have_been_consumed(records: Path, kind: str, consumed: int) -> None:
    with (
        open_loader(config(records, kind)) as loader,
        pytest.raises(ValueError, match=f"{consumed} batches of 5 cannot have been consumed"),
    ):
        loader.set_epoch(0, consumed=consumed)


def test_an_iteration_gives_its_own_epoch_or_an_error_where_another_has_begun(records: Path, kind: str) -> None:
    with open_loader(config(records, kind)) as loader:
        loader.set_epoch(0)
        first = iter(loader)
        early = [next(first), next(first)]
        loader.set_epoch(1)
        second = iter(loader)
        begun = [next(second)]
        if kind.removesuffix(ON_CUDA) in {"auto", "resident"}:
            assert rows([*early, *first]) == rows(batches(config(records, kind), epoch=0))
        else:
            with pytest.raises(ValueError, match="another iteration of this loader has begun"):
                next(first)
        assert rows([*begun, *second]) == rows(batches(config(records, kind), epoch=1))


def test_labels_that_are_kept_hold_no_file_open(records: Path, kind: str) -> None:
    with open_loader(config(records, kind, batch=1, workers=2)) as loader:
        found, files = [], []
        for batch in loader:
            found.append((batch.label_B, batch.host_rows_B))
            files.append(psutil.Process().num_fds())
    assert max(files[10:]) <= min(files[10:]) + 12  # four batches are on their way, of three tensors each
    assert len(files) > 10 + 2 * 12  # one file that is kept of each would be more


def test_what_is_told_of_the_rows_to_come_is_true(records: Path, kind: str) -> None:
    whole = batches(config(records, kind, drop_last=False), epoch=1)
    told = [batch.coming_N.tolist() if batch.coming_N is not None else [] for batch in whole]
    for place, coming in enumerate(told):
        assert coming == rows(whole[place + 1 :])[: len(coming)]
    of_epoch, of_run, nothing = [39, 31, 23, 15, 7, 0], [8, 0, 8, 0, 7, 0], [0] * 6
    follow = {"resident": of_epoch, "auto": of_epoch, "dali": of_run}.get(kind.removesuffix(ON_CUDA), nothing)
    assert [len(coming) for coming in told] == follow


def test_batches_stay_valid_after_the_loader_has_gone_on(records: Path, kind: str) -> None:
    once = config(records, kind, split="test", train=False)
    with open_loader(once) as loader:
        kept_copies = [(batch, batch.img_BCHW.clone()) for batch in loader]
    assert all(torch.equal(batch.img_BCHW, copy) for batch, copy in kept_copies)


def test_fewer_rows_than_a_batch_still_make_one(records: Path, kind: str) -> None:
    assert [len(batch) for batch in batches(config(records, kind, batch=100))] == [47]
    assert [len(batch) for batch in batches(config(records, kind, batch=100, train=False))] == [47]


def test_one_class_is_enough(tmp_path: Path, kind: str) -> None:
    made = make_records(tmp_path / "squares", per_split={"train": 20}, labels=[1])
    for train, sizes in ((True, [8, 8]), (False, [8, 8, 4])):
        found = batches(config(made, kind, train=train))
        assert [batch.label_B.tolist() for batch in found] == [[1] * size for size in sizes]


def test_an_epoch_draws_nothing_from_torchs_generator(records: Path, kind: str) -> None:
    """Or what dropout draws would depend on the loader, and on where a training went on."""
    torch.manual_seed(3)
    before = torch.get_rng_state()
    batches(config(records, kind))
    assert torch.equal(torch.get_rng_state(), before)


def test_an_epoch_below_the_first_is_refused(records: Path, kind: str) -> None:
    with open_loader(config(records, kind)) as loader, pytest.raises(ValueError, match="there is no epoch -1"):
        loader.set_epoch(-1)


def test_a_gpu_that_is_not_there_is_refused(records: Path, kind: str) -> None:
    with pytest.raises(InputError, match="there is no GPU cuda:99 here"):
        open_loader(replace(config(records, kind), device="cuda:99"))


def test_a_closed_loader_says_so(records: Path, kind: str) -> None:
    with open_loader(config(records, kind)) as loader:
        next(iter(loader))
    with pytest.raises(ValueError, match="the loader is closed"):
        next(iter(loader))


def test_an_empty_split_is_refused_before_the_first_batch(tmp_path: Path, kind: str) -> None:
    made = make_records(tmp_path / "no-val", per_split={"train": 8})
    with pytest.raises(InputError, match=r"val split .* has 0 samples"):
        open_loader(config(made, kind, split="val"))


def test_a_shard_cut_short_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    made = make_records(tmp_path / "cut", per_split={"train": 20})
    tar = made / "train-00001.tar"
    tar.write_bytes(tar.read_bytes()[:-1024])
    with pytest.raises(InputError, match=r"train-00001\.tar"):
        open_loader(config(made, kind))


def change(tar: Path) -> None:
    """The last byte, which nobody reads; in its place: a file that is cut short while it is mapped ends the process."""
    with tar.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\1")


def change_unseen(tar: Path) -> None:
    """And the file's time is what it was."""
    state = tar.stat()
    change(tar)
    os.utime(tar, ns=(state.st_atime_ns, state.st_mtime_ns))


@pytest.mark.parametrize(
    ("spoil", "verify"),
    [(change, "once"), (Path.unlink, "once"), (change_unseen, "full")],
    ids=["changes", "vanishes", "changes but for its time"],
)
def test_a_shard_that_is_another_between_epochs_is_refused_by_name(
    tmp_path: Path, kind: str, spoil: Callable[[Path], object], verify: str
) -> None:
    made = make_records(tmp_path / "made", per_split={"train": 20})
    with open_loader(config(made, kind, verify=verify)) as loader:
        assert len(list(loader)) == 2
        spoil(made / "train-00001.tar")
        loader.set_epoch(1)
        if kind.removesuffix(ON_CUDA) in {"auto", "resident", "ffcv"}:  # decoded before: shards are not read again
            assert len(list(loader)) == 2
        else:
            with pytest.raises(InputError, match=r"train-00001\.tar"):
                list(loader)


def test_verify_full_hashes_what_was_hashed_before(tmp_path: Path, kind: str) -> None:
    made = make_records(tmp_path / "made", per_split={"train": 20})
    assert len(batches(config(made, kind))) == 2
    change_unseen(made / "train-00001.tar")
    assert len(batches(config(made, kind))) == 2
    with pytest.raises(InputError, match=r"train-00001\.tar"):
        open_loader(config(made, kind, verify="full"))


@pytest.mark.parametrize("position", [4, 7], ids=["in DALI's first run", "in its second"])
def test_an_image_that_cannot_be_decoded_is_named(tmp_path: Path, kind: str, position: int) -> None:
    made = make_records(tmp_path / "broken", per_split={"train": 20})
    overwrite(made, "train-00001", position, jpg=encode_jpeg(np.zeros((32, 32), np.uint8))[:60])
    with (
        pytest.raises(InputError, match=rf"^[^\n]*train-00001\.tar, sample {position} \({KEYS[position]}\)[^\n]*$"),
        open_loader(config(made, kind, train=False, workers=2)) as one,
    ):
        list(one)


@pytest.mark.parametrize("positions", [[4], range(6, 10)], ids=["one", "all of DALI's second run"])
def test_an_image_of_another_size_is_named(tmp_path: Path, kind: str, positions: Sequence[int]) -> None:
    made = make_records(tmp_path / "mixed", per_split={"train": 20})
    for position in positions:
        overwrite(made, "train-00001", position, jpg=encode_jpeg(np.zeros((16, 32), np.uint8)))
    named = rf"train-00001\.tar, sample {positions[0]} \({KEYS[positions[0]]}\): an image of \(16, 32, 1\)"
    with (
        pytest.raises(InputError, match=named),
        open_loader(config(made, kind, train=False, workers=2)) as one,
    ):
        list(one)


def test_opening_and_closing_leaves_no_memory_and_no_handle(records: Path, kind: str) -> None:
    """What the C library keeps of freed memory comes and goes by 20 MiB, so it is asked to give that back first."""
    process, libc = psutil.Process(), ctypes.CDLL("libc.so.6")

    def open_and_close(times: int) -> tuple[int, int]:
        for _ in range(times):
            with open_loader(config(records, kind)) as loader:
                next(iter(loader))
        gc.collect()
        libc.malloc_trim(0)
        return process.memory_info().rss, process.num_fds()

    open_and_close(20)
    rounds = [open_and_close(30) for _ in range(6)]
    (rss_before, rss_after), (files_before, files_after) = (
        (min(part[:3]), min(part[3:])) for part in zip(*rounds, strict=True)
    )
    assert files_after <= files_before
    assert rss_after - rss_before < 4 * 2**20
