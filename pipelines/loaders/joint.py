"""Several variants as one: every batch a random mixture of their images, the joint training of a study.

Each part keeps its own loader (of any kind) and hands over as many images as a batch's mixture asks for. Rows index
the parts' manifests laid one behind the other: `offsets` says where each begins. Which part each place of an epoch
belongs to is drawn once from (seed, epoch), so the mixture of a batch varies as it would in one shuffled set.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipelines.augment.draws import PLANNED_IMAGES
from pipelines.errors import InputError
from pipelines.loaders.base import Batch, Loader, LoaderState, Pass, concatenated
from pipelines.loaders.config import LoaderConfig
from pipelines.loaders.opening import open_loader, settled
from pipelines.loaders.order import Share, epoch_rng
from pipelines.progress import Track, untracked
from pipelines.records import merge_infos, read_manifest

PASSES: Final = 2**10
"""Passes over a part that one epoch may hold."""
PASS_STRIDE: Final = 2**22
"""A part's epoch of pass k is the epoch + k times this."""
NOTHING: Final[NDArray[np.int64]] = np.empty(0, np.int64)


def open_joint(
    parts: Sequence[LoaderConfig], *, mixture: Sequence[float] | None = None, track: Track = untracked
) -> Loader:
    """Open a loader over several variants; all settings but `variant` are those of the first part.

    Args:
        parts: one for each variant.
        mixture: the share of the images that comes from each part, as positive numbers: a part that is smaller than
            its share comes again within an epoch. By default, and in evaluation, every part is taken once.
        track: as in `open_loader`.

    Raises:
        InputError: the variants differ in classes, channels or size, the mixture does not fit, or as `open_loader`.
        ValueError: there is no part.
    """
    return JointLoader(parts, mixture, track)


@dataclass(slots=True)
class _Stream:
    """Images of one part, as many at a time as one likes, pass after pass; `offset` is added to its rows.

    `coming` are the draw keys of what follows `held` in the pass, as far as the loader tells.
    """

    loader: Loader
    offset: int
    samples: int
    batches: Iterator[Batch] | None = field(default=None, init=False)
    held: Batch | None = field(default=None, init=False)
    coming: NDArray[np.int64] = field(default_factory=lambda: NOTHING, init=False)
    epoch: int = field(default=0, init=False)
    done: int = field(default=0, init=False)

    def start(self, epoch: int, given: int) -> None:
        """Go to where `given` images of this epoch were handed over."""
        self.epoch, self.done, self.held, self.batches, self.coming = epoch, given, None, None, NOTHING

    def take(self, count: int) -> Iterator[Batch]:
        """The next `count` images, in batches as they come."""
        while count:
            held = self._next() if self.held is None else self.held
            now, later = min(count, len(held)), len(held) - min(count, len(held))
            yield _cut(held, slice(0, now))
            self.held = _cut(held, slice(now, now + later)) if later else None
            self.done += now
            count -= now

    def ahead(self) -> NDArray[np.int64]:
        """The draw keys of the next images, as far as they are known."""
        return self.coming if self.held is None else np.concatenate([self.held.draw_keys_B, self.coming])

    def _next(self) -> Batch:
        number, within = divmod(self.done, self.samples)
        size = self.loader.config.batch
        drawn_for = Pass(self.epoch, number, self.offset)
        if self.batches is None or within == 0:
            epoch = self.epoch + number * PASS_STRIDE
            self.loader.set_epoch(epoch, consumed=within // size, drawn_for=drawn_for)
            self.batches = iter(self.loader)
        batch = next(self.batches)
        self.coming = NOTHING if batch.coming_N is None else drawn_for.keys(batch.coming_N[:PLANNED_IMAGES])
        passed = within % size  # only where an epoch is taken up in the middle
        moved = replace(
            batch,
            rows_B=batch.rows_B + self.offset,
            host_rows_B=batch.host_rows_B + self.offset,
            keys_B=drawn_for.keys(batch.host_rows_B),
        )
        return _cut(moved, slice(passed, len(moved)))


class JointLoader(Loader):
    """Mixes the batches of several loaders. `info` describes all variants together."""

    def __init__(self, parts: Sequence[LoaderConfig], mixture: Sequence[float] | None, track: Track) -> None:
        if not parts:
            raise ValueError("a joint loader needs a part")
        configs = settled([replace(parts[0], variant=part.variant, drop_last=False) for part in parts])
        with ExitStack() as opened:
            loaders = [opened.enter_context(open_loader(config, track)) for config in configs]
            info = merge_infos([loader.info for loader in loaders])
            samples = [Share.of(loader.config, loader.info).samples for loader in loaders]
            self._wanted = wanted_images(samples, mixture if parts[0].train else None)
            self._opened = opened.pop_all()
        alone = replace(parts[0], rank=0, world_size=1)  # the parts are dealt out already
        super().__init__(parts[0], info, Share.of_samples(alone, int(self._wanted.sum())))
        self.drawn = loaders[0].drawn
        heights = [len(read_manifest(config.variant)) for config in configs]
        self.offsets: Final = [0, *np.cumsum(heights)[:-1].tolist()]
        self._streams = [_Stream(*one) for one in zip(loaders, self.offsets, samples, strict=True)]

    def _epoch(self) -> Iterator[Batch]:
        epoch, consumed = self._state.epoch, self._state.batches
        part_of_N = np.repeat(np.arange(len(self._streams)), self._wanted)
        if self.config.train:
            part_of_N = epoch_rng(self.config.seed, epoch, purpose=2).permutation(part_of_N)
        size = self.config.batch
        for stream, given in zip(self._streams, self._counts(part_of_N[: consumed * size]), strict=True):
            stream.start(epoch, given)
        starts = range(consumed * size, samples := self._share.samples, size)
        counts = [self._counts(part_of_N[start : min(start + size, samples)]) for start in starts]
        coming = NOTHING
        for place, of_batch in enumerate(counts):
            pieces = [
                piece for stream, count in zip(self._streams, of_batch, strict=True) for piece in stream.take(count)
            ]
            batch = concatenated(pieces, LoaderState(epoch, consumed + place + 1))
            if self.config.policy is not None:
                coming = coming[len(batch) :]
                if len(coming) < PLANNED_IMAGES // 2:  # not for every batch, as it takes longer than the batch itself
                    coming = self._coming(counts[place + 1 : place + 1 + PLANNED_IMAGES // size])
                batch = replace(batch, coming_N=coming)
            yield batch

    def _coming(self, counts: Sequence[Sequence[int]]) -> NDArray[np.int64]:
        """The draw keys of the batches that follow, of so many images of each part, as far as all parts know theirs."""
        ahead = [stream.ahead() for stream in self._streams]
        found = [NOTHING]
        starts = [0] * len(ahead)
        for of_batch in counts:
            ends = [start + count for start, count in zip(starts, of_batch, strict=True)]
            if any(end > len(keys) for keys, end in zip(ahead, ends, strict=True)):
                break
            found += [keys[start:end] for keys, start, end in zip(ahead, starts, ends, strict=True)]
            starts = ends
        return np.concatenate(found)

    def _counts(self, part_of_n: NDArray[np.int64]) -> list[int]:
        counts: list[int] = np.bincount(part_of_n, minlength=len(self._streams)).tolist()
        return counts

    def close(self) -> None:
        """Free what the loader holds."""
        for stream in self._streams:
            stream.start(0, 0)  # lets go of what it holds
        self._opened.close()


def wanted_images(samples: Sequence[int], mixture: Sequence[float] | None) -> NDArray[np.int64]:
    """Images of an epoch by part: the fewest that keep to the mixture and leave nothing out.

    Raises:
        InputError: the mixture has another number of parts, a share that is not positive, or is beyond all measure.
    """
    if mixture is None:
        return np.array(samples, np.int64)
    if len(mixture) != len(samples) or not all(0 < share < np.inf for share in mixture):
        raise InputError(f"the mixture {tuple(mixture)} must give a positive share to each of {len(samples)} datasets")
    share_K = np.array(mixture) / np.sum(mixture)
    wanted_K = np.asarray(np.rint(np.max(np.array(samples) / share_K) * share_K), np.int64)
    if (wanted_K > PASSES * np.array(samples)).any():
        raise InputError(
            f"the mixture {tuple(mixture)} would show a dataset over {PASSES} times in an epoch: even it out"
        )
    return wanted_K


def _cut(batch: Batch, part: slice) -> Batch:
    return replace(
        batch,
        img_BCHW=batch.img_BCHW[part],
        label_B=batch.label_B[part],
        rows_B=batch.rows_B[part],
        host_rows_B=batch.host_rows_B[part],
        keys_B=None if batch.keys_B is None else batch.keys_B[part],
    )
