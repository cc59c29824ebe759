"""Plain PyTorch: a `Dataset` and a `DataLoader`, decoding with OpenCV. The yardstick, and the path for macOS."""

from collections.abc import Iterator
from types import TracebackType

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from pipelines.loaders.base import Batch, LoaderConfig, LoaderState, Share, epoch_rng
from pipelines.records import DatasetInfo, ShardReader, decode_jpeg


class ShardedImages(Dataset[tuple[torch.Tensor, int, int]]):
    """All samples of one split, by position: (uint8 C x H x W, label, manifest row)."""

    def __init__(self, config: LoaderConfig, info: DatasetInfo) -> None:
        shards = [shard for shard in info.split_shards(config.split) if shard.samples]
        self.readers = [ShardReader(config.variant, shard.name) for shard in shards]
        self.ends = np.cumsum([shard.samples for shard in shards])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, int]:
        shard = int(np.searchsorted(self.ends, index, side="right"))
        reader = self.readers[shard]
        sample = reader.read(index - int(self.ends[shard]) + len(reader))
        img_HWC = np.atleast_3d(decode_jpeg(sample.jpeg))
        return torch.from_numpy(img_HWC).permute(2, 0, 1), sample.label, sample.row


class ReferenceLoader:
    """A global shuffle per (seed, epoch), dealt to ranks in contiguous parts."""

    def __init__(self, config: LoaderConfig, info: DatasetInfo) -> None:
        self.config, self.info = config, info
        self._images = ShardedImages(config, info)
        self._share = Share.of(config, len(self._images))
        self._state = LoaderState(0, 0)

    def set_epoch(self, epoch: int, *, consumed: int = 0) -> None:
        """Choose the order of the next iteration, which starts after `consumed` batches."""
        self._state = LoaderState(epoch, consumed)

    def __len__(self) -> int:
        return self._share.batches

    def __iter__(self) -> Iterator[Batch]:
        config, state = self.config, self._state
        batches = [order.tolist() for order in self._batches(state.epoch)]
        workers = min(config.workers, len(batches))
        loader = DataLoader(
            self._images,
            batch_sampler=batches[state.batches :],
            num_workers=workers,
            multiprocessing_context="forkserver" if workers else None,
        )
        for step, (img_BCHW, label_B, rows_B) in enumerate(loader, start=state.batches):
            yield Batch(
                img_BCHW=img_BCHW.to(config.device),
                label_B=label_B.to(config.device),
                rows_B=rows_B.to(config.device),
                host_rows_B=rows_B.numpy(),
                state=LoaderState(state.epoch, step + 1),
            )

    def __enter__(self) -> "ReferenceLoader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for reader in self._images.readers:
            reader.close()

    def _batches(self, epoch: int) -> list[NDArray[np.int64]]:
        order = np.arange(len(self._images))
        if self.config.train:
            order = epoch_rng(self.config.seed, epoch, purpose=0).permutation(order)
        share, size = self._share, self.config.batch
        mine = order[share.first : share.first + share.samples]
        return [mine[i * size : (i + 1) * size] for i in range(share.batches)]
