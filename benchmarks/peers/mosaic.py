"""MosaicML Streaming over its own MDS shards, of JPEG files or of decoded pixels."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from streaming import MDSWriter, StreamingDataset
from streaming.base.util import clean_stale_shared_memory
from torch import Tensor

from benchmarks.peers.opencv import decode
from benchmarks.peers.protocol import Contender, Job, converted, read_records, serve
from benchmarks.peers.stages import Collate, Warped, epochs, finish_for, make_loader


def as_it_is(img_HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image of a raw sample."""
    return img_HW


def as_bytes(view: memoryview) -> bytes:
    """The JPEG file of a sample."""
    return bytes(view)


COLUMN: Final[dict[str, Callable[[int], str]]] = {
    "jpeg": lambda _size_px: "bytes",
    "raw": lambda size_px: f"ndarray:uint8:{size_px},{size_px}",
}
STORED: Final[dict[str, Callable[[memoryview], Any]]] = {"jpeg": as_bytes, "raw": decode}
TO_IMAGE: Final[dict[str, Callable[[Any], Any]]] = {"jpeg": decode, "raw": as_it_is}


def _write(job: Job, folder: Path) -> None:
    records = read_records(job)
    columns = {"image": COLUMN[job.format](records.size_px), "label": "int"}
    with MDSWriter(out=str(folder), columns=columns) as writer:
        for view, label in zip(records.views(), records.labels.tolist(), strict=True):
            writer.write({"image": STORED[job.format](view), "label": label})


class Collated:
    """Streaming's samples are dicts; `Collate` wants pairs."""

    def __init__(self, collate: Collate) -> None:
        self._collate = collate

    def __call__(self, samples: Sequence[dict[str, Any]]) -> tuple[Tensor, Tensor]:
        """A batch of these samples."""
        return self._collate([(sample["image"], sample["label"]) for sample in samples])


def prepare(job: Job) -> Contender:
    """The loader over the shards, in Streaming's own deterministic order."""
    folder = converted(job, f"mds-{job.format}", partial(_write, job))
    clean_stale_shared_memory()  # what a run that was killed has left
    dataset = StreamingDataset(local=str(folder), shuffle=True, batch_size=job.batch)
    collate = Collated(Collate(TO_IMAGE[job.format], finish_for(job.mode, Warped)))
    loader = make_loader(dataset, job, collate_fn=collate)
    return Contender(batches=epochs(loader))


if __name__ == "__main__":
    serve(prepare, formats=tuple(STORED), libraries=("mosaicml-streaming", "torch", "opencv-python-headless"))
