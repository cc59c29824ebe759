"""SPDL: threads in one process, each decoding whole batches into their tensor; JPEG read from our mapped tar shards."""

from collections.abc import Iterator
from queue import SimpleQueue
from typing import Final

import cv2
import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from spdl.pipeline import PipelineBuilder
from torch import Tensor

from benchmarks.peers.opencv import recipes, warp_into
from benchmarks.peers.protocol import Batch, Contender, Draws, Job, draw, read_records, serve

SINK_BATCHES: Final = 3
Places = NDArray[np.int64]


class Decoder:
    """From places in the records to a batch. Every call is on its own; the work inside holds no lock of Python's."""

    def __init__(self, job: Job) -> None:
        records = read_records(job)
        self._views, self._labels, self._size_px = records.views(), torch.from_numpy(records.labels), records.size_px
        self.batch = self._decoded if job.mode == "decode" else self._augmented

    def __len__(self) -> int:
        return len(self._views)

    def _decoded(self, item: tuple[Places, Draws]) -> tuple[Tensor, Tensor]:
        places, _ = item
        img_BHWC = torch.empty((len(places), self._size_px, self._size_px, 1), dtype=torch.uint8)
        for place, out_HWC in zip(places.tolist(), img_BHWC.numpy(), strict=True):
            simplejpeg.decode_jpeg(self._views[place], colorspace="GRAY", buffer=out_HWC)
        return img_BHWC.permute(0, 3, 1, 2), self._labels[places]

    def _augmented(self, item: tuple[Places, Draws]) -> tuple[Tensor, Tensor]:
        places, draws = item
        out_BCHW = torch.empty((len(places), 1, self._size_px, self._size_px))
        img_HWC = np.empty((self._size_px, self._size_px, 1), np.uint8)
        for place, recipe, out_CHW in zip(
            places.tolist(), recipes(draws, self._size_px), out_BCHW.numpy(), strict=True
        ):
            simplejpeg.decode_jpeg(self._views[place], colorspace="GRAY", buffer=img_HWC)
            warp_into(img_HWC[..., 0], recipe, out_CHW[0])
        return out_BCHW, self._labels[places]


class Epochs:
    """One pipeline for all epochs, as SPDL advises: to stop one takes it a tenth of a second.

    It would go on with the next epoch by itself; here it waits until that is asked for, so that none is begun early.
    """

    def __init__(self, job: Job) -> None:
        self._decoder, self._batch = Decoder(job), job.batch
        self._asked: SimpleQueue[int | None] = SimpleQueue()
        self._pipeline = (
            PipelineBuilder()
            .add_source(self, continuous=True)
            .pipe(self._decoder.batch, concurrency=job.workers)
            .add_sink(SINK_BATCHES)
            .build(num_threads=job.workers, max_failures=0)
        )
        self._pipeline.start()

    def __iter__(self) -> Iterator[tuple[Places, Draws]]:
        epoch = self._asked.get()
        if epoch is None:
            self._asked.put(None)  # for the next look: the pipeline asks on until it is stopped
            return
        rng = np.random.default_rng(epoch)
        order = rng.permutation(len(self._decoder))
        for first in range(0, len(order), self._batch):
            places = order[first : first + self._batch]
            yield places, draw(rng, len(places))

    def batches(self, epoch: int) -> Iterator[Batch]:
        """The batches of one epoch."""
        self._asked.put(epoch)
        yield from self._pipeline

    def close(self) -> None:
        """Stop the pipeline, which waits for an epoch."""
        self._asked.put(None)
        self._pipeline.stop()


def prepare(job: Job) -> Contender:
    """The pipeline, started."""
    cv2.setNumThreads(1)
    epochs = Epochs(job)
    return Contender(batches=epochs.batches, close=epochs.close)


if __name__ == "__main__":
    serve(prepare, formats=("jpeg",), libraries=("spdl", "simplejpeg", "torch", "opencv-python-headless"))
