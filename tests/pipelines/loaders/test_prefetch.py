"""Ahead of the consumer: the same batches in the same order, errors where they belong, no thread left."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipelines.loaders import Batch, LoaderConfig, open_loader, prefetched
from pipelines.loaders.prefetch import DEPTH, NAME

CPU = torch.device("cpu")


def as_float(batch: Batch) -> Batch:
    return replace(batch, img_BCHW=batch.img_BCHW.float())


@pytest.fixture
def batches(records: Path, tmp_path: Path) -> Iterator[list[Batch]]:
    config = LoaderConfig(variant=records, split="train", batch=4, train=True, kind="resident", cache=tmp_path)
    with open_loader(config) as loader:
        yield list(loader)
    assert NAME not in {thread.name for thread in threading.enumerate()}


def test_batches_are_the_same_in_the_same_order(batches: list[Batch]) -> None:
    found = list(prefetched(batches, as_float, CPU))
    assert [batch.host_rows_B.tolist() for batch in found] == [batch.host_rows_B.tolist() for batch in batches]
    assert all(torch.equal(a.img_BCHW, b.img_BCHW.float()) for a, b in zip(found, batches, strict=True))
    assert [batch.state for batch in found] == [batch.state for batch in batches]


def test_an_error_is_raised_where_the_batch_is_asked_for(batches: list[Batch]) -> None:
    def fail_at_third(batch: Batch) -> Batch:
        if batch.state.batches == 3:
            raise RuntimeError("the third")
        return batch

    found = prefetched(batches, fail_at_third, CPU)
    assert [next(found).state.batches, next(found).state.batches] == [1, 2]
    with pytest.raises(RuntimeError, match="the third"):
        next(found)


def test_it_is_never_further_ahead_than_promised_and_stops_when_closed(batches: list[Batch]) -> None:
    made: list[int] = []
    found = prefetched(batches, lambda batch: made.append(batch.state.batches) or batch, CPU)
    next(found)
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        assert len(made) <= 1 + DEPTH + 1  # one is handed over, one waits for room
        time.sleep(0.01)
    found.close()
    assert len(made) < len(batches)


def test_a_consumer_that_fails_leaves_no_thread(batches: list[Batch]) -> None:
    def fail_at_once() -> None:
        with closing(prefetched(batches, as_float, CPU)) as ready:
            for batch in ready:
                raise KeyboardInterrupt(batch.state)

    with pytest.raises(KeyboardInterrupt):
        fail_at_once()
    assert NAME not in {thread.name for thread in threading.enumerate()}


def test_an_iteration_that_cannot_begin_is_an_error_not_a_wait() -> None:
    class Closed:
        def __iter__(self) -> Iterator[Batch]:
            raise ValueError("the loader is closed")

    with pytest.raises(ValueError, match="closed"):
        list(prefetched(Closed(), as_float, CPU))
