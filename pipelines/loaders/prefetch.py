"""Batches made ready while the step before them runs: by a thread, and on a CUDA device on a stream of its own."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import nullcontext
from functools import cache
from typing import Any, Final

import torch

from pipelines.loaders.base import Batch

DEPTH: Final = 2
"""Batches made ready and not yet asked for."""
NAME: Final = "prefetch"


def prefetched(
    batches: Iterable[Batch], prepare: Callable[[Batch], Batch], device: torch.device, *, depth: int = DEPTH
) -> Generator[Batch]:
    """`map(prepare, batches)`, a few batches ahead of the consumer; what they raise is raised here.

    Neither is used by another thread meanwhile. The thread ends when the iteration does, or is closed: close it where
    the consumer may fail (`contextlib.closing`), as the exception keeps an open iteration alive. On a GPU `prepare`
    must make images of its own: torch cannot know when memory that DALI lent it is free again.
    """
    ready: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()
    side = _side_stream(device) if device.type == "cuda" else None
    if side is not None:
        side.wait_stream(torch.cuda.current_stream(device))  # which may still be filling what the batches are made of
    thread = threading.Thread(target=_fill, args=(batches, prepare, side, ready, stop), name=NAME, daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            batch, done = item
            if side is not None:
                _hand_over(batch, done, torch.cuda.current_stream(device))
            yield batch
    finally:
        stop.set()
        while thread.is_alive():  # it may wait for room
            try:
                ready.get(timeout=0.01)
            except queue.Empty:
                continue
        thread.join()


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """One for each device: the allocator keeps the memory of each stream apart, and never gives it to another."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _fill(
    batches: Iterable[Batch],
    prepare: Callable[[Batch], Batch],
    side: torch.cuda.Stream | None,
    ready: queue.Queue[Any],
    stop: threading.Event,
) -> None:
    source: Iterator[Batch] = iter(())
    try:
        source = iter(batches)
        with torch.cuda.stream(side) if side is not None else nullcontext():
            for batch in source:
                item = prepare(batch)
                ready.put((item, None if side is None else side.record_event()))
                if stop.is_set():
                    break
        ready.put(None)
    except BaseException as error:  # raised again where the batch was asked for
        ready.put(error)
    finally:
        if (close := getattr(source, "close", None)) is not None:
            close()  # a generator frees what it holds in the thread that ran it


def _hand_over(batch: Batch, done: torch.cuda.Event, stream: torch.cuda.Stream) -> None:
    """Let `stream` wait for the batch, and the allocator know that it is used there."""
    stream.wait_event(done)
    for tensor in (batch.img_BCHW, batch.label_B, batch.rows_B):
        tensor.record_stream(stream)
