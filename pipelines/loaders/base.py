"""What every loader is, and the batches that it gives."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.loaders.config import LoaderConfig
from pipelines.loaders.order import Share
from pipelines.records import DatasetInfo

PASS_BITS: Final = 40
"""Rows are below two to this."""


@dataclass(frozen=True, slots=True)
class LoaderState:
    """How much of an epoch has been consumed: `batches` of epoch `epoch`, on this rank."""

    epoch: int
    batches: int


@dataclass(frozen=True, slots=True)
class Pass:
    """One of the passes over a loader's rows that an epoch of a joint loader holds: what draws belong to.

    `epoch` is the joint loader's, `number` of the pass (0, 1, ...), and `offset` what it adds to the rows.
    """

    epoch: int
    number: int = 0
    offset: int = 0

    def keys(self, row_n: NDArray[np.int64]) -> NDArray[np.int64]:
        """What augmentation draws of these rows belong to: another number in each pass."""
        return row_n + (self.offset + (self.number << PASS_BITS))


@dataclass(frozen=True, slots=True)
class Batch:
    """Images and labels on the device; the manifest rows there (`rows_B`) and on the host (`host_rows_B`).

    `img_BCHW` is uint8 in 0..255, `label_B` and `rows_B` int64. `state` is the loader's after this batch, so that a
    resume counts what was consumed, not what was prefetched. `keys_B` (int64) are what augmentation draws belong to, if
    not the rows (see `Pass`). `coming_N` are `draw_keys_B` of the batches that follow in the epoch, as far as the
    loader tells.
    """

    img_BCHW: torch.Tensor
    label_B: torch.Tensor
    rows_B: torch.Tensor
    host_rows_B: NDArray[np.int64]
    state: LoaderState
    keys_B: NDArray[np.int64] | None = None
    coming_N: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.host_rows_B)

    @property
    def draw_keys_B(self) -> NDArray[np.int64]:
        """What augmentation draws belong to, each of them once in an epoch."""
        return self.host_rows_B if self.keys_B is None else self.keys_B


def concatenated(batches: Sequence[Batch], state: LoaderState) -> Batch:
    """Batches one behind the other as one, after which the loader's state is `state`."""
    has_keys = any(batch.keys_B is not None for batch in batches)
    return Batch(
        img_BCHW=torch.cat([batch.img_BCHW for batch in batches]),
        label_B=torch.cat([batch.label_B for batch in batches]),
        rows_B=torch.cat([batch.rows_B for batch in batches]),
        host_rows_B=np.concatenate([batch.host_rows_B for batch in batches]),
        state=state,
        keys_B=np.concatenate([batch.draw_keys_B for batch in batches]) if has_keys else None,
    )


class Loader(ABC):
    """Iterates one epoch's batches; as a context it frees threads and memory at the end. For one thread at a time.

    An iteration may be left anywhere. But for `resident`'s, it raises a ValueError once another has begun. `drawn`
    names the operations of `config.policy` that the images went through already: the policy's `skip`.
    """

    drawn: frozenset[str] = frozenset()

    def __init__(self, config: LoaderConfig, info: DatasetInfo, share: Share) -> None:
        self.config: Final = config
        self.info: Final = info
        self._share: Final = share
        self._iterations = 0
        self.set_epoch(0)

    def set_epoch(self, epoch: int, *, consumed: int = 0, drawn_for: Pass | None = None) -> None:
        """Choose the epoch (and so the order) of the next iteration, which starts after `consumed` batches.

        `drawn_for` is what the loader's own draws belong to, where that is not this epoch and its rows.

        Raises:
            ValueError: an epoch has fewer batches, or it is below 0.
        """
        if epoch < 0:
            raise ValueError(f"there is no epoch {epoch}: they begin with 0")
        if not 0 <= consumed <= len(self):
            raise ValueError(f"{consumed} batches of {len(self)} cannot have been consumed")
        self._state = LoaderState(epoch, consumed)
        self._drawn_for = Pass(epoch) if drawn_for is None else drawn_for

    def __len__(self) -> int:
        """Batches of one epoch on this rank."""
        return self._share.batches

    @property
    def most_images(self) -> int:
        """Images of its largest batch."""
        return min(self.config.batch, self._share.samples)

    def __iter__(self) -> Iterator[Batch]:
        """Batches of the epoch that was set; they all come from one source, and so end where another iteration begins.

        Raises:
            ValueError: another iteration has begun.
        """
        self._iterations += 1
        mine, batches = self._iterations, self._epoch()
        while True:
            if mine != self._iterations:
                raise ValueError("another iteration of this loader has begun")
            if (batch := next(batches, None)) is None:
                return
            yield batch

    @abstractmethod
    def _epoch(self) -> Iterator[Batch]:
        """Batches of the epoch that was set."""

    @abstractmethod
    def close(self) -> None:
        """Free threads, files and memory."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
