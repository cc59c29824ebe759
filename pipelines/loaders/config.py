"""A loader's settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipelines.augment import Policy
from pipelines.errors import InputError
from pipelines.records import SPLITS

LOADERS: Final = ("auto", "dali", "resident", "reference", "ffcv")
PLACES: Final = ("auto", "device", "pinned", "mapped")
VERIFY: Final = ("once", "full")
CACHE: Final = Path("data/cache")


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
    policy: Policy | None = None

    def __post_init__(self) -> None:
        """Refuse impossible settings here rather than in the first batch."""
        choices = {"kind": ("loader", LOADERS), "place": ("place", PLACES), "verify": ("check", VERIFY)}
        for name, (noun, known) in (choices | {"split": ("split", SPLITS)}).items():
            if getattr(self, name) not in known:
                raise InputError(f"no {noun} {getattr(self, name)!r}: choose one of {', '.join(known)}")
        for name in ("batch", "seed", "workers"):
            if not isinstance(number := getattr(self, name), int):
                raise InputError(f"{name} {number!r} is impossible: it must be a whole number")
        if self.batch < 1:
            raise InputError(f"a batch of {self.batch} images is impossible: it must be at least 1")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"the seed {self.seed} is impossible: it must be in 0..2**32-1")
        if self.workers < 0:
            raise InputError(f"{self.workers} workers are impossible: it must be 0 or more")
        for name in ("variant", "cache"):
            if isinstance(path := getattr(self, name), str):
                raise TypeError(f"{name} is the text {path!r}, where a path is wanted")
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank {self.rank} is not one of {self.world_size}")
