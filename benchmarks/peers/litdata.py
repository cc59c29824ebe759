"""LitData over its own chunks, of JPEG files or of decoded pixels."""

import os
from functools import partial
from pathlib import Path
from typing import Any, Final

import litdata
import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.opencv import decode
from benchmarks.peers.protocol import Contender, Job, converted, read_records, serve
from benchmarks.peers.stages import Collate, Warped, epochs, finish_for, loader_options

CHUNK_BYTES: Final = "64MB"
Sample = tuple[Any, int]


def encoded(item: tuple[bytes, int]) -> Sample:
    """The sample of format jpeg."""
    return item


def pixels(item: tuple[bytes, int]) -> Sample:
    """The sample of format raw."""
    return decode(item[0]), item[1]


def as_it_is(img_HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image of a raw sample."""
    return img_HW


CLEARED: Final = {"DATA_OPTIMIZER_CACHE_FOLDER": "chunks", "DATA_OPTIMIZER_DATA_CACHE_FOLDER": "data"}
"""By their variables, folders that `litdata.optimize` removes when it begins: else those of the same names in /tmp."""
SAMPLES: Final = {"jpeg": encoded, "raw": pixels}
TO_IMAGE: Final = {"jpeg": decode, "raw": as_it_is}


def _write(job: Job, folder: Path) -> None:
    records = read_records(job)
    os.environ.update({variable: str(folder.parent / name) for variable, name in CLEARED.items()})
    items = [(bytes(view), label) for view, label in zip(records.views(), records.labels.tolist(), strict=True)]
    litdata.optimize(
        SAMPLES[job.format],
        items,
        output_dir=str(folder),
        chunk_bytes=CHUNK_BYTES,
        num_workers=job.workers,
        verbose=False,
    )


def prepare(job: Job) -> Contender:
    """The loader over the chunks; they are permuted, and every chunk's samples in full.

    With LitData's default for `batch_decode` a full shuffle makes 256 samples of raw pixels for each one it takes.
    """
    folder = converted(job, f"litdata-{job.format}", partial(_write, job))
    dataset = litdata.StreamingDataset(str(folder), shuffle=True, item_shuffle_window="full", batch_decode=0)
    loader = litdata.StreamingDataLoader(
        dataset,
        batch_size=job.batch,
        collate_fn=Collate(TO_IMAGE[job.format], finish_for(job.mode, Warped)),
        **loader_options(job),
    )
    return Contender(batches=epochs(loader))


if __name__ == "__main__":
    serve(prepare, formats=tuple(SAMPLES), libraries=("litdata", "torch", "opencv-python-headless"))
