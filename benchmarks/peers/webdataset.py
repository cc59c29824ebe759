"""WebDataset over our own tar shards, shuffled again in a buffer: OpenCV decodes, albumentations augments."""

from typing import Final

import webdataset as wds

from benchmarks.peers.albumented import Albumented
from benchmarks.peers.opencv import decode
from benchmarks.peers.protocol import Contender, Job, read_records, serve
from benchmarks.peers.stages import Collate, epochs, finish_for, loader_options

SHUFFLE_BUFFER: Final = 1024
"""Samples still encoded, 16 MB in each worker."""


def prepare(job: Job) -> Contender:
    """Each worker reads its own shards, shuffles, and makes whole batches, as WebDataset's documentation advises."""
    records = read_records(job)
    dataset = (
        wds.WebDataset([str(tar) for tar in records.tars], shardshuffle=len(records.tars), select_files=_is_wanted)
        .shuffle(SHUFFLE_BUFFER)
        .to_tuple("jpg", "cls")
        .map_tuple(_same, int)
        .batched(job.batch, collation_fn=Collate(decode, finish_for(job.mode, Albumented)), partial=True)
    )
    loader = wds.WebLoader(dataset, batch_size=None, **loader_options(job))
    return Contender(batches=epochs(loader))


def _is_wanted(name: str) -> bool:
    return name.endswith((".jpg", ".cls"))


def _same(data: bytes) -> bytes:
    return data


if __name__ == "__main__":
    serve(prepare, formats=("tar",), libraries=("webdataset", "torch", "opencv-python-headless", "albumentations"))
