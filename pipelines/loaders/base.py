"""What every loader is: its settings, its batches, and the one function that opens it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from pipelines.augment import Policy
from pipelines.errors import InputError
from pipelines.progress import Track, untracked
from pipelines.records import SPLITS, DatasetInfo, is_local, read_info, refuse_damaged

LOADERS: Final = ("auto", "dali", "resident", "reference", "ffcv")
PLACES: Final = ("auto", "device", "pinned", "mapped")
VERIFY: Final = ("once", "full")
CACHE: Final = Path("data/cache")
MIB: Final = 2**20
PASS_BITS: Final = 40
"""Rows are below two to this."""
ROOM: Final = 0.5
"""Share of the free memory, or of the disk, that `auto` lets decoded images take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoaderConfig:
    """Where the samples come from and how they are dealt out.

    `train` shuffles and, with `drop_last`, drops a short last batch (unless it is the only one); otherwise every row
    comes exactly once, in stored order, and the last batch may be short. `batch` is images per step and rank. `workers`
    are decoding threads (dali, ffcv, and resident's first use) or processes (reference; 0 decodes in this process).
    `cache` is where resident and ffcv keep decoded images, `place` where resident holds them (see there). `verify` full
    hashes all files again that were hashed before in this process. `policy` is the online policy that the batches will
    meet: a loader may draw some of its operations itself, and says which (`Loader.drawn`).
    """

    variant: Path
    split: str
    batch: int
    train: bool
    drop_last: bool = True
    seed: int = 0
    kind: str = "dali"
    device: str = "cpu"
    rank: int = 0
    world_size: int = 1
    workers: int = 2
    cache: Path = CACHE
    place: str = "auto"
    verify: str = "once"
    policy: "Policy | None" = None

    def __post_init__(self) -> None:
        """Refuse impossible settings here rather than in the first batch."""
        choices = {"kind": ("loader", LOADERS), "place": ("place", PLACES), "verify": ("check", VERIFY)}
        for name, (noun, known) in (choices | {"split": ("split", SPLITS)}).items():
            if getattr(self, name) not in known:
                raise InputError(f"no {noun} {getattr(self, name)!r}: choose one of {', '.join(known)}")
        if self.batch < 1:
            raise InputError(f"a batch of {self.batch} images is impossible: it must be at least 1")
        if self.workers < 0:
            raise InputError(f"{self.workers} workers are impossible: it must be 0 or more")
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank {self.rank} is not one of {self.world_size}")


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

    def __init__(self, config: LoaderConfig, info: DatasetInfo, share: "Share") -> None:
        self.config: Final = config
        self.info: Final = info
        self._share: Final = share
        self._iterations = 0
        self.set_epoch(0)

    def set_epoch(self, epoch: int, *, consumed: int = 0, drawn_for: Pass | None = None) -> None:
        """Choose the epoch (and so the order) of the next iteration, which starts after `consumed` batches.

        `drawn_for` is what the loader's own draws belong to, where that is not this epoch and its rows.

        Raises:
            ValueError: an epoch has fewer batches.
        """
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


def open_loader(config: LoaderConfig, track: Track = untracked) -> Loader:
    """Open the loader that `config.kind` names; `auto` is `choose_loader`'s choice.

    `track` is told of checking the files, and of the decoding that a resident loader's first use takes.

    Raises:
        InputError: the variant is not a finished record folder, its bytes have changed since they were written, it is
            in an object store, or the split (or this rank's part) has no samples.
    """
    info = read_variant(config)
    refuse_changed(config, info, track)
    kind = choose_loader(config)[0] if config.kind == "auto" else config.kind
    if kind == "resident":
        from pipelines.loaders.resident import ResidentLoader

        return ResidentLoader(config, info, track)
    if kind == "reference":
        from pipelines.loaders.reference import ReferenceLoader

        return ReferenceLoader(config, info)
    if kind == "ffcv":
        from pipelines.loaders.ffcv import FfcvLoader

        return FfcvLoader(config, info)
    from pipelines.loaders.dali import DaliLoader

    return DaliLoader(config, info)


def read_variant(config: LoaderConfig) -> DatasetInfo:
    """The variant's `dataset.json`, if there is something in it for this split and every rank.

    Raises:
        InputError: as `open_loader`.
    """
    if not is_local(config.variant):
        raise InputError(
            f"{config.variant} is not on this machine: copy the folder to a disk to train and test from it"
        )
    info = read_info(config.variant)
    samples = info.samples(config.split)
    if samples < config.world_size:
        what = "nothing of its dataset could be kept there" if not samples else "start fewer of them"
        raise InputError(
            f"the {config.split} split of {config.variant} has {samples} samples for {config.world_size} process(es): "
            f"{what}"
        )
    return info


def refuse_changed(config: LoaderConfig, info: DatasetInfo, track: Track = untracked) -> None:
    """Check the files of the split, once more or for the first time, as `config.verify` says.

    Raises:
        InputError: one of them is not as it was written; names it.
    """
    refuse_damaged(config.variant, info, config.split, full=config.verify == "full", track=track)


def choose_loader(*configs: LoaderConfig) -> tuple[str, str]:
    """What `auto` takes for variants, and why: resident if their decoded splits have room in memory and on the disk.

    The answer is the same for all splits of the variants, so that a run has one loader.
    """
    from pipelines.loaders.cache import decoded_bytes, room_bytes

    need = sum(decoded_bytes(info, split) for info in map(read_variant, configs) for split in SPLITS)
    memory, disk = ROOM * psutil.virtual_memory().available, ROOM * room_bytes(*configs)
    sizes = f"its {need / MIB:,.0f} MiB of decoded images"
    if need > memory:
        return "dali", f"{sizes} are more than half of the free memory"
    if need > disk:
        return "dali", f"{sizes} are more than half of the room in {configs[0].cache}"
    return "resident", f"{sizes} fit in memory"


@dataclass(frozen=True, slots=True)
class Share:
    """One rank's part of `samples`, and the batches it makes of it."""

    first: int
    samples: int
    batches: int

    @classmethod
    def of(cls, config: LoaderConfig, info: DatasetInfo) -> Self:
        """This rank's part of the split that `config` names."""
        return cls.of_samples(config, info.samples(config.split))

    @classmethod
    def of_samples(cls, config: LoaderConfig, samples: int) -> Self:
        """Contiguous parts of the order; in training all ranks take as many steps as the smallest part allows."""
        first, end = (samples * (config.rank + i) // config.world_size for i in (0, 1))
        if not config.train:
            return cls(first, end - first, -(-(end - first) // config.batch))
        smallest = samples // config.world_size
        full = smallest // config.batch
        if full and (config.drop_last or smallest % config.batch == 0):
            return cls(first, full * config.batch, full)
        return cls(first, smallest, -(-smallest // config.batch))


def epoch_order(config: LoaderConfig, share: Share, samples: int, epoch: int) -> NDArray[np.int64]:
    """The places, in stored order, of all samples that this rank takes in an epoch, in its order (int64)."""
    order = np.arange(samples)
    if config.train:
        order = epoch_rng(config.seed, epoch, purpose=0).permutation(order)
    return order[share.first : share.first + share.samples]


def epoch_rng(seed: int, epoch: int, purpose: int) -> np.random.Generator:
    """The generator of one epoch's order; `purpose` keeps independent uses of one (seed, epoch) apart."""
    return np.random.default_rng((seed, epoch, purpose))
