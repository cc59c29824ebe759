"""Batches made ready while the step before them runs: by a thread, and on a CUDA device on a stream of its own."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any, Final

import torch

from pipelines.loaders.base import Batch, concatenated

DEPTH: Final = 2
"""Batches made ready and not yet asked for."""
TOGETHER: Final = {"cuda": 256 * 224 * 224}
"""By device, pixels of several batches that are made ready at once: 256 images of 224 px.

On a GPU it takes as many launches for many images as for few, and the training step's own launches wait for Python
meanwhile.
"""
MOST_TOGETHER: Final = 8
"""Batches made ready at once, however small: the first is not there before the last."""
NAME: Final = "prefetch"

Prepare = Callable[[Batch], torch.Tensor]


def prefetched(batches: Iterable[Batch], prepare: Prepare, device: torch.device) -> Generator[Batch]:
    """The batches with the images that `prepare` makes of theirs, some ahead; what either raises is raised here.

    Neither is used by another thread meanwhile. The thread ends when the iteration does, or is closed: close it where
    the consumer may fail (`contextlib.closing`), as the exception keeps an open iteration alive. On a GPU `prepare`
    is given several batches of one epoch as one, and must make images of its own: torch cannot know when memory that
    DALI lent it is free again.
    """
    ready: queue.Queue[Any] = queue.Queue(DEPTH)
    stop = threading.Event()
    side = _side_stream(device) if device.type == "cuda" else None
    if side is not None:
        side.wait_stream(torch.cuda.current_stream(device))  # which may still be filling what the batches are made of
    groups = _groups(batches, TOGETHER.get(device.type, 0))
    thread = threading.Thread(target=_fill, args=(groups, prepare, side, ready, stop), name=NAME, daemon=True)
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
    groups: Generator[list[Batch]],
    prepare: Prepare,
    side: torch.cuda.Stream | None,
    ready: queue.Queue[Any],
    stop: threading.Event,
) -> None:
    try:
        with torch.cuda.stream(side) if side is not None else nullcontext():
            for group in groups:
                made = _made(group, prepare)
                done = None if side is None else side.record_event()
                for batch in made:
                    ready.put((batch, done))
                    if stop.is_set():
                        return
        ready.put(None)
    except BaseException as error:  # raised again where the batch was asked for
        ready.put(error)
    finally:
        groups.close()  # a generator frees what it holds in the thread that ran it


def _groups(batches: Iterable[Batch], pixels: int) -> Generator[list[Batch]]:
    """Batches that follow each other, as many as have no more pixels than that, but at least one.

    An epoch that is resumed has the groups of one that is not: an image's last bits may depend on those beside it.
    """
    source = iter(batches)
    try:
        while (batch := next(source, None)) is not None:
            batch_px = batch.img_BCHW[:, 0].numel()  # the last of an epoch may be short, none is longer
            together = min(max(1, pixels // batch_px), MOST_TOGETHER)
            place = (batch.state.batches - 1) % together
            yield [batch, *islice(source, together - 1 - place)]
    finally:
        if (close := getattr(source, "close", None)) is not None:
            close()


def _made(group: Sequence[Batch], prepare: Prepare) -> list[Batch]:
    """The batches of a group with images prepared together."""
    last = group[-1]
    whole = last if len(group) == 1 else replace(concatenated(group, last.state), coming_N=last.coming_N)
    parts = torch.split(prepare(whole), [len(batch) for batch in group])
    return [replace(batch, img_BCHW=img_BCHW) for batch, img_BCHW in zip(group, parts, strict=True)]


def _hand_over(batch: Batch, done: torch.cuda.Event, stream: torch.cuda.Stream) -> None:
    """Let `stream` wait for the batch, and the allocator know that it is used there."""
    stream.wait_event(done)
    for tensor in (batch.img_BCHW, batch.label_B, batch.rows_B):
        tensor.record_stream(stream)
