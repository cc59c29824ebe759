"""fastfer's loading and augmentation in this process, along something that grows: data, batches or workers."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Final

import torch

from benchmarks.harness import TURN_S, in_turn, said, timed
from benchmarks.images import bench_records
from benchmarks.peers.ours import prepare
from benchmarks.peers.protocol import Contender, Job, Mode
from benchmarks.schema import Axis, Case
from benchmarks.watch import device

LOADERS: Final = {"fastfer, resident": "resident", "fastfer, dali": "dali"}
POLICY: Final = {"fastfer": "policy"}
HOW: Final = {
    "decode": "Records to uint8 batches in whole shuffled epochs after the first; the files in the page cache.",
    "augment": "Flip, rotation, scale, contrast and brightness, eager, on decoded images in memory.",
}


@dataclass(frozen=True, slots=True)
class Curve:
    """What grows (`axis`: images, batch or workers), and the contenders with their formats of `peers.ours`."""

    title: str
    axis: str
    mode: Mode
    contenders: Mapping[str, str]

    @property
    def ours(self) -> str:
        """The first one."""
        return next(iter(self.contenders))


CURVES: Final = (
    Curve("Loading", "images", "decode", LOADERS),
    Curve("Loading", "batch", "decode", LOADERS),
    Curve("Loading", "workers", "decode", LOADERS),
    Curve("Augmentation", "batch", "augment", POLICY),
    Curve("Augmentation", "workers", "augment", POLICY),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A place of a curve."""

    images: int
    batch: int
    workers: int


class Epochs:
    """A contender whose turn is as many epochs as it had in a second before, one at least."""

    def __init__(self, contender: Contender) -> None:
        self._contender, self._numbers = contender, count()
        self._epoch()  # the first one starts threads and fills caches
        self._count, seconds = 0, 0.0
        while seconds < TURN_S:
            seconds += timed(self._epoch)[1]
            self._count += 1

    def run(self) -> int:
        """One turn; returns the images."""
        return sum(self._epoch() for _ in range(self._count))

    def _epoch(self) -> int:
        return sum(len(images) for images, _ in self._contender.batches(next(self._numbers)))


def stage_case(curve: Curve, place: Place, data: Path, *, repeats: int) -> Case:
    """All contenders of a curve in turn, at one place of it."""
    source = bench_records(data, place.images)
    job = Job(
        source=source,
        work=source.parent / "peers",
        batch=place.batch,
        workers=place.workers,
        mode=curve.mode,
        format="",
        device=device().type,
    )
    contenders: dict[str, Epochs] = {}
    failed: dict[str, str] = {}
    with ExitStack() as opened:
        opened.callback(torch.set_num_threads, torch.get_num_threads())
        for name, kind in curve.contenders.items():
            try:
                contender = prepare(replace(job, format=kind))
                opened.callback(contender.close)
                contenders[name] = Epochs(contender)
            except Exception as error:  # whatever it was, it is this contender's own
                failed[name] = said(name, error)
        turns = in_turn(  # warm already: each has run two epochs
            {name: one.run for name, one in contenders.items()}, repeats=repeats, warm_up=0, watch=True
        )
    return Case(
        title=curve.title,
        unit="images",
        how=HOW[curve.mode],
        ours=curve.ours,
        settings={"images": place.images, "batch": place.batch, "workers": place.workers},
        axis=Axis(name=curve.axis, value=getattr(place, curve.axis)),
        contenders={name: one.entry("ours") for name, one in turns.measured.items()},
        failed=failed | turns.failed,
    )
