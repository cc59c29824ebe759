"""FFCV's own loader over a `.beton` file, for those who have FFCV: the same order and batches as the reference loader.

FFCV 1.0.2 is built by hand and wants older versions of torch and numpy, so it lives in an environment of its own. Its
image field takes no gray, so pixels are stored decoded, as an array field.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.errors import InputError
from pipelines.loaders.base import Batch, Loader, LoaderState
from pipelines.loaders.cache import decoded_bytes, kept_in_cache
from pipelines.loaders.config import LoaderConfig
from pipelines.loaders.order import Share, epoch_order
from pipelines.progress import Track
from pipelines.records import DatasetInfo, SplitReader, refuse_undecodable

BETON: Final = ".beton"
PAGE_BYTES: Final = 2**23
"""Samples are laid out in pages of 8 MiB, so a file is a little larger than its pixels."""


def require_ffcv() -> None:
    """Raise an error that says how to install FFCV if it cannot be imported.

    Raises:
        InputError: it cannot.
    """
    try:
        import ffcv  # noqa: F401
    except ImportError:
        raise InputError(
            "this needs the package ffcv 1.0.2, which is built by hand in an environment of its own "
            "(make peers NAMES=ffcv makes one in .peers/): run it there, or take another loader or format"
        ) from None


class FfcvLoader(Loader):
    """Batches of FFCV's `Loader`, which is told this epoch's order; they are copied out of its ring of buffers."""

    def __init__(self, config: LoaderConfig, info: DatasetInfo, track: Track) -> None:
        require_ffcv()
        from ffcv.fields.decoders import IntDecoder, NDArrayDecoder
        from ffcv.loader import Loader as Ffcv
        from ffcv.loader import OrderOption
        from ffcv.transforms import ToTensor

        super().__init__(config, info, Share.of(config, info))
        path = kept_in_cache(
            config,
            info,
            BETON,
            need_bytes=decoded_bytes(info, config.split) + PAGE_BYTES,
            is_exact=False,
            write=lambda temporary: write_beton(temporary, config.variant, info, config.split),
            track=track,
        )
        number = [IntDecoder(), ToTensor()]
        self._samples = info.samples(config.split)
        self._ffcv: Any = Ffcv(
            str(path),
            batch_size=self.most_images,
            num_workers=max(1, config.workers),
            os_cache=True,
            order=OrderOption.SEQUENTIAL,
            drop_last=False,
            pipelines={"image": [NDArrayDecoder(), ToTensor()], "label": number, "row": number},
        )

    def _epoch(self) -> Iterator[Batch]:
        epoch, consumed = self._state.epoch, self._state.batches
        order = epoch_order(self.config, self._share, self._samples, epoch)[consumed * self.config.batch :]
        if not len(order):
            return
        if self._ffcv is None:
            raise ValueError("the loader is closed")
        self._ffcv.indices = self._ffcv.traversal_order.indices = order
        for step, (img_BCHW, label_B1, row_B1) in enumerate(self._ffcv, start=consumed):
            host_rows_B = row_B1.flatten().numpy().copy()
            yield Batch(
                img_BCHW=img_BCHW.clone().to(self.config.device),
                label_B=label_B1.flatten().clone().to(self.config.device),
                rows_B=torch.from_numpy(host_rows_B).to(self.config.device),
                host_rows_B=host_rows_B,
                state=LoaderState(epoch, step + 1),
            )

    def close(self) -> None:
        """Let go of the file and the threads."""
        self._ffcv = None


class _Decoded:
    """A split as FFCV's writer wants it: indexed, decoded; opened anew in each of its processes."""

    def __init__(self, images: SplitReader) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, place: int) -> tuple[NDArray[np.uint8], int, int]:
        sample, img_HWC = self._images.read(place), self._images.decode(place)
        return np.ascontiguousarray(img_HWC.transpose(2, 0, 1)), sample.label, sample.row


def write_beton(path: Path, variant: Path, info: DatasetInfo, split: str) -> int:
    """Write a split's samples in stored order with the fields image (uint8 `C x H x W`), label and row; their number.

    Raises:
        InputError: FFCV is not installed, or an image cannot be decoded.
    """
    require_ffcv()
    from ffcv.fields import IntField, NDArrayField
    from ffcv.writer import DatasetWriter

    refuse_undecodable(variant, info, split)  # ffcv's writer would wait for a failed sample for ever
    samples = _Decoded(SplitReader(variant, info, split))
    image = NDArrayField(np.dtype("uint8"), (info.channels, info.size_px, info.size_px))
    writer = DatasetWriter(str(path), {"image": image, "label": IntField(), "row": IntField()}, num_workers=1)
    writer.from_indexed_dataset(samples, shuffle_indices=False)
    return len(samples)
