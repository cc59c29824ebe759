"""Which samples a rank takes in an epoch, and in which order: the same in every loader."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipelines.loaders.config import LoaderConfig
from pipelines.records import DatasetInfo


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
