"""DALI over our own tar shards, as its documentation writes it: by its CPU operators, or on a GPU."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import nvidia.dali.fn as fn
from nvidia.dali import pipeline_def, types
from nvidia.dali.plugin.base_iterator import LastBatchPolicy
from nvidia.dali.plugin.pytorch import DALIGenericIterator

from benchmarks.peers.protocol import (
    BRIGHTNESS,
    CONTRAST,
    FLIP_PROBABILITY,
    ROTATION_DEGREES,
    SCALE,
    Batch,
    Contender,
    Job,
    Records,
    read_records,
    serve,
)

SHUFFLE_BUFFER: Final = 1024
READER: Final = "reader"
ZERO_DIGIT: Final = ord("0")


def augmented(img_HWC: Any, size_px: int) -> Any:
    """One warp, one gain, and the step that mirrors, scales and converts: uint8 `HWC` to float32 `CHW` in 0..1.

    Outside the image DALI repeats its border.
    """
    centre = (size_px / 2, size_px / 2)
    factor = fn.random.uniform(range=SCALE)
    matrix = fn.transforms.rotation(angle=fn.random.uniform(range=ROTATION_DEGREES), center=centre)
    matrix = fn.transforms.scale(matrix, scale=fn.stack(factor, factor), center=centre)
    img_HWC = fn.warp_affine(img_HWC, matrix, inverse_map=False, interp_type=types.INTERP_LINEAR)
    img_HWC = fn.brightness_contrast(
        img_HWC,
        brightness_shift=fn.random.uniform(range=BRIGHTNESS),
        contrast=fn.random.uniform(range=CONTRAST),
        contrast_center=0.0,
    )
    mirror = fn.random.coin_flip(probability=FLIP_PROBABILITY)
    return fn.crop_mirror_normalize(img_HWC, std=[255.0], output_layout="CHW", mirror=mirror)


def as_chw(img_HWC: Any) -> Any:
    """With one channel only the shape changes."""
    return fn.reshape(img_HWC, rel_shape=[-1, 1, 1], src_dims=[-1, 0, 1], layout="CHW")


def device_id(job: Job) -> int | None:
    """The GPU of a pipeline, as DALI wants it."""
    return None if job.device == "cpu" else 0


@pipeline_def  # type: ignore[untyped-decorator]
def read_and_decode(records: Records, *, augment: bool, on_gpu: bool) -> tuple[Any, Any]:
    """JPEG and label from the shards, through a shuffle buffer; on a GPU images are decoded there (`mixed`)."""
    members: Any = fn.readers.webdataset(
        paths=[str(tar) for tar in records.tars],
        index_paths=[str(index) for index in records.indexes],
        ext=["jpg", "cls"],
        missing_component_behavior="error",
        random_shuffle=True,
        initial_fill=SHUFFLE_BUFFER,
        pad_last_batch=True,
        name=READER,
    )
    jpeg, label = members
    img_HWC = fn.decoders.image(jpeg, device="mixed" if on_gpu else "cpu", output_type=types.GRAY)
    return augmented(img_HWC, records.size_px) if augment else as_chw(img_HWC), label - ZERO_DIGIT


def epochs(iterator: Any) -> Callable[[int], Iterator[Batch]]:
    """The epochs of a DALI iterator: one that is finished must be reset before the next."""

    def batches(_epoch: int) -> Iterator[Batch]:
        for (outputs,) in iterator:
            yield outputs["images"], outputs["labels"]
        iterator.reset()

    return batches


def prepare(job: Job) -> Contender:
    """The pipeline, built."""
    pipeline = read_and_decode(
        read_records(job),
        augment=job.mode == "augment",
        on_gpu=job.device != "cpu",
        batch_size=job.batch,
        num_threads=job.workers,
        device_id=device_id(job),
    )
    iterator = DALIGenericIterator(
        pipeline,
        ["images", "labels"],
        reader_name=READER,
        last_batch_policy=LastBatchPolicy.PARTIAL,
        prepare_first_batch=False,
    )
    return Contender(batches=epochs(iterator))


if __name__ == "__main__":
    serve(prepare, formats=("tar",), libraries=("nvidia-dali-cuda120", "torch"))
