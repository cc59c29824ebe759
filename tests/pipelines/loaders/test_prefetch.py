"""Ahead of the consumer: the same batches in the same order, errors where they belong, no thread left."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
import torch

from pipelines.loaders import Batch, LoaderConfig, open_loader, prefetch, prefetched
from pipelines.loaders.prefetch import DEPTH, NAME

CPU = torch.device("cpu")
BATCH = 4


def rows(found: list[Batch]) -> list[int]:
    return [row for batch in found for row in batch.host_rows_B.tolist()]


def as_float(batch: Batch) -> torch.Tensor:
    return batch.img_BCHW.float()


@pytest.fixture(params=[1, 3], ids=["one by one", "three at once"], autouse=True)
def together(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Batches, as on a CPU and as on a GPU."""
    monkeypatch.setattr("pipelines.loaders.prefetch.TOGETHER", {"cpu": request.param * BATCH * 32 * 32})
    return int(request.param)


@pytest.fixture
def batches(records: Path, tmp_path: Path) -> Iterator[list[Batch]]:
    config = LoaderConfig(
        variant=records, split="train", batch=BATCH, train=True, drop_last=False, kind="resident", cache=tmp_path
    )
    with open_loader(config) as loader:
        yield list(loader)
    assert NAME not in {thread.name for thread in threading.enumerate()}


def test_batches_are_the_same_in_the_same_order(batches: list[Batch]) -> None:
    found = list(prefetched(batches, as_float, CPU))
    assert rows(found) == rows(batches)
    assert all(torch.equal(a.img_BCHW, b.img_BCHW.float()) for a, b in zip(found, batches, strict=True))
    assert [batch.state for batch in found] == [batch.state for batch in batches]


def test_small_images_do_not_make_one_group_of_an_epoch(batches: list[Batch], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "TOGETHER", {"cpu": 10**9})
    monkeypatch.setattr(prefetch, "MOST_TOGETHER", 2)
    made: list[int] = []

    def count(batch: Batch) -> torch.Tensor:
        made.append(len(batch))
        return as_float(batch)

    assert rows(list(prefetched(batches, count, CPU))) == rows(batches)
    assert made[:-1] == [2 * BATCH] * (len(made) - 1)
    assert len(made) == -(-len(batches) // 2) > 1


def test_an_error_is_raised_where_the_batch_is_asked_for(batches: list[Batch]) -> None:
    def fail_at_fourth(batch: Batch) -> torch.Tensor:
        if batch.state.batches >= 4:
            raise RuntimeError("the fourth")
        return batch.img_BCHW

    found = prefetched(batches, fail_at_fourth, CPU)
    assert [next(found).state.batches for _ in range(3)] == [1, 2, 3]
    with pytest.raises(RuntimeError, match="the fourth"):
        next(found)


def test_it_is_never_further_ahead_than_promised_and_stops_when_closed(batches: list[Batch], together: int) -> None:
    made = 0

    def count(batch: Batch) -> torch.Tensor:
        nonlocal made
        made += len(batch)
        return batch.img_BCHW

    found = prefetched(batches, count, CPU)
    next(found)
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        assert made <= (1 + DEPTH + together) * BATCH  # one batch is handed over, and a group waits for room
        time.sleep(0.01)
    found.close()
    assert made < sum(map(len, batches))


def test_what_is_prepared_together_is_told_as_one_batch(batches: list[Batch], together: int) -> None:
    seen: list[Batch] = []
    list(prefetched(batches, lambda batch: seen.append(batch) or batch.img_BCHW, CPU))
    firsts = range(0, len(batches), together)
    for whole, first in zip(seen, firsts, strict=True):
        group = batches[first : first + together]
        assert whole.draw_keys_B.tolist() == rows(group)
        assert torch.equal(whole.img_BCHW, torch.cat([one.img_BCHW for one in group]))
        assert whole.state == group[-1].state
        assert whole.coming_N is not None
        assert whole.coming_N.tolist() == rows(batches[first + together :])


def test_a_resumed_epoch_prepares_the_same_batches_together(batches: list[Batch]) -> None:
    def groups(found: list[Batch]) -> list[list[int]]:
        seen: list[list[int]] = []
        list(prefetched(found, lambda batch: seen.append(batch.host_rows_B.tolist()) or batch.img_BCHW, CPU))
        return seen

    whole = groups(batches)
    for consumed in range(1, len(batches)):
        gone = rows(batches[:consumed])
        left = ([row for row in group if row not in gone] for group in whole)
        assert groups(batches[consumed:]) == [group for group in left if group]


def test_a_consumer_that_fails_leaves_no_thread(batches: list[Batch]) -> None:
    def fail_at_once() -> None:
        with closing(prefetched(batches, as_float, CPU)) as ready:
            for batch in ready:
                raise KeyboardInterrupt(batch.state)

    with pytest.raises(KeyboardInterrupt):
        fail_at_once()
    assert NAME not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("ends", ["by itself", "early", "by an error"])
def test_a_source_is_closed_by_the_thread_that_ran_it(batches: list[Batch], ends: str) -> None:
    """Even if somebody still holds it: what it has lent must be free before the loader is asked for another epoch."""
    closed_by: list[str] = []

    def lending() -> Iterator[Batch]:
        try:
            yield from batches
        finally:
            closed_by.append(threading.current_thread().name)

    def prepare(batch: Batch) -> torch.Tensor:
        if ends == "by an error" and batch.state.batches >= 3:
            raise RuntimeError("the third")
        return batch.img_BCHW

    source = lending()
    found = prefetched(source, prepare, CPU)
    with closing(found), suppress(RuntimeError):
        for _ in range(2 if ends == "early" else 1000):
            next(found, None)
    assert closed_by == [NAME]


def test_an_iteration_that_cannot_begin_is_an_error_not_a_wait() -> None:
    class Closed:
        def __iter__(self) -> Iterator[Batch]:
            raise ValueError("the loader is closed")

    with pytest.raises(ValueError, match="closed"):
        list(prefetched(Closed(), as_float, CPU))
