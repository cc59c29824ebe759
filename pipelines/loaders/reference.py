"""Plain PyTorch: a `Dataset` and a `DataLoader`, decoding with OpenCV. The yardstick, and the path for macOS."""

import signal
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from pipelines.errors import InputError
from pipelines.loaders.base import Batch, Loader, LoaderState
from pipelines.loaders.config import LoaderConfig
from pipelines.loaders.opening import refuse_changed
from pipelines.loaders.order import Share, epoch_order
from pipelines.records import DatasetInfo, SplitReader, refuse_undecodable


class DecodedImages(Dataset[tuple[torch.Tensor, int, int]]):
    """The samples of a split by place: (uint8 C x H x W, label, manifest row)."""

    def __init__(self, images: SplitReader) -> None:
        self._images = images

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int, int]:
        sample, img_HWC = self._images.read(place), self._images.decode(place)
        return torch.from_numpy(img_HWC).permute(2, 0, 1), sample.label, sample.row


def _ignore_interrupts(_worker: int) -> None:
    """A terminal's Ctrl-C goes to every process: the loader's own ends the others, when it has done with them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class ReferenceLoader(Loader):
    """A global shuffle per (seed, epoch), dealt to ranks in contiguous parts."""

    def __init__(self, config: LoaderConfig, info: DatasetInfo) -> None:
        super().__init__(config, info, Share.of(config, info))
        self._images = SplitReader(config.variant, info, config.split)
        self._batches: list[list[int]] = []
        workers = min(config.workers, len(self))
        self._loader: DataLoader[Any] | None = DataLoader(
            DecodedImages(self._images),
            batch_sampler=self._batches,  # filled anew each epoch: the workers take seconds to start, and stay
            num_workers=workers,
            persistent_workers=workers > 0,
            multiprocessing_context="forkserver" if workers else None,
            worker_init_fn=_ignore_interrupts,
            generator=torch.Generator(),  # or each epoch would draw from the global one, on which dropout depends
        )

    def _epoch(self) -> Iterator[Batch]:
        config, state = self.config, self._state
        refuse_changed(self.config, self.info)  # something may have changed since the last epoch
        if self._loader is None:
            raise ValueError("the loader is closed")
        order = epoch_order(config, self._share, len(self._images), state.epoch).tolist()
        self._batches[:] = [order[i * config.batch : (i + 1) * config.batch] for i in range(state.batches, len(self))]
        for step, (img_BCHW, *small) in enumerate(self._told(self._loader), start=state.batches):
            # Copies: what comes from a worker holds a file open for as long as somebody keeps the labels.
            label_B, rows_B = (each.clone() for each in small)
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
        self._images.close()
