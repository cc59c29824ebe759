"""Plain PyTorch: a `Dataset` and a `DataLoader`, decoding with OpenCV. The yardstick, and the path for macOS."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pipelines.errors import InputError
from pipelines.loaders.base import Batch, Loader, LoaderConfig, LoaderState, Share, epoch_order
from pipelines.records import DatasetInfo, ShardReader, refuse_undecodable


class ShardedImages(Dataset[tuple[torch.Tensor, int, int]]):
    """All samples of one split, by position: (uint8 C x H x W, label, manifest row)."""

    def __init__(self, config: LoaderConfig, info: DatasetInfo) -> None:
        shards = [shard for shard in info.split_shards(config.split) if shard.samples]
        self.info = info
        self.readers = [ShardReader(config.variant, shard.name) for shard in shards]
        self.ends = np.cumsum([shard.samples for shard in shards])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, int]:
        shard = int(np.searchsorted(self.ends, index, side="right"))
        reader = self.readers[shard]
        position = index - int(self.ends[shard]) + len(reader)
        sample, img_HWC = reader.read(position), reader.decode(position, self.info)
        return torch.from_numpy(img_HWC).permute(2, 0, 1), sample.label, sample.row


class ReferenceLoader(Loader):
    """A global shuffle per (seed, epoch), dealt to ranks in contiguous parts."""

    def __init__(self, config: LoaderConfig, info: DatasetInfo) -> None:
        super().__init__(config, info, Share.of(config, info))
        self._images = ShardedImages(config, info)
        self._batches: list[list[int]] = []
        workers = min(config.workers, len(self))
        self._loader: DataLoader[Any] | None = DataLoader(
            self._images,
            batch_sampler=self._batches,  # filled anew each epoch: the workers take seconds to start, and stay
            num_workers=workers,
            persistent_workers=workers > 0,
            multiprocessing_context="forkserver" if workers else None,
            generator=torch.Generator(),  # or each epoch would draw from the global one, on which dropout depends
        )

    def __iter__(self) -> Iterator[Batch]:
        config, state = self.config, self._state
        self.refuse_damaged()  # something may have changed since the last epoch
        if self._loader is None:
            raise ValueError("the loader is closed")
        order = epoch_order(config, self._share, len(self._images), state.epoch).tolist()
        self._batches[:] = [order[i * config.batch : (i + 1) * config.batch] for i in range(state.batches, len(self))]
        for step, (img_BCHW, label_B, rows_B) in enumerate(self._told(self._loader), start=state.batches):
            yield Batch(
                img_BCHW=img_BCHW.to(config.device),
                label_B=label_B.to(config.device),
                rows_B=rows_B.to(config.device),
                host_rows_B=rows_B.numpy(),
                state=LoaderState(state.epoch, step + 1),
            )

    def _told(self, loader: Iterable[list[torch.Tensor]]) -> Iterator[list[torch.Tensor]]:
        try:
            yield from loader
        except InputError:  # a worker's comes wrapped in its traceback
            refuse_undecodable(self.config.variant, self.info, self.config.split)
            raise

    def close(self) -> None:
        """End the workers, and let go of the shards."""
        self._loader = None
        for reader in self._images.readers:
            reader.close()
