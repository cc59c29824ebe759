"""Streams shards through an NVIDIA DALI pipeline: JPEGs decoded on the GPU (`mixed`), or by its CPU operators.

Samples were shuffled over all shards when written. Every training epoch permutes the shards by (seed, epoch), which
the reader's own `shuffle_after_epoch` did not do by seed when tried, and shuffles again in a buffer. The pipeline is
therefore built anew each epoch, in a thread meanwhile, and set to work while the last images of the epoch before are
decoded; in evaluation, whose order stays, it is kept. Labels and rows travel as raw bytes and never visit Python one by
one.

On a GPU the pipeline draws the mirror and the random resized crop of an online policy itself, from the policy's own
ranges; the draws follow (seed, epoch) and the place in the order, so a resumed epoch repeats them.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from nvidia.dali import fn, pipeline_def, types
from torch.utils.dlpack import from_dlpack

from pipelines.augment.policy import DRAWN_BY_DALI, Policy
from pipelines.buffers import upload
from pipelines.loaders.base import Batch, Loader, LoaderConfig, LoaderState, Share, epoch_rng
from pipelines.records import DatasetInfo, index_path, refuse_undecodable, tar_path

SHUFFLE_BUFFER: Final = 1024
IMAGES_AT_ONCE: Final = 256
"""Images that one run of the pipeline decodes: a run has a cost of its own, a third of a millisecond on a CPU."""
RUNS_AHEAD: Final = 2
"""Runs under way while one is consumed. They end with the epoch: DALI itself would go on into another."""
BUILT_EARLY_ON: Final = {"cuda"}
"""Devices where the next epoch's pipeline is built from the epoch's beginning on: on an H200 short epochs took four
times as long as those of a pipeline that is kept. On a CPU it is built in milliseconds, at the end."""
DRAWS_ON: Final = {"cuda"}
"""Devices where the pipeline augments; on a CPU DALI has less than half the policy's speed (benchmarks.augment)."""
IMAGE_TYPES: Final = {1: types.GRAY, 3: types.RGB}


@dataclass(slots=True)
class _Coming:
    """A pipeline that is being built for an epoch."""

    epoch: int
    built: Future[Any]
    _is_at_work: bool = False

    def at_work(self) -> Any:
        """The pipeline, waited for, with its queue being filled.

        Raises:
            RuntimeError: it could not be built.
        """
        pipeline = self.built.result()
        if not self._is_at_work:
            pipeline.schedule_run()  # the first call schedules as many runs as the queue is deep
            self._is_at_work = True
        return pipeline


class DaliLoader(Loader):
    """The default loader. Rows are dealt to ranks by DALI's own reader, in contiguous parts of the epoch's order."""

    def __init__(self, config: LoaderConfig, info: DatasetInfo) -> None:
        super().__init__(config, info, Share.of(config, info))
        self._device = torch.device(config.device)
        self._shards = [shard for shard in info.split_shards(config.split) if shard.samples]
        self._batches_at_once = min(max(1, IMAGES_AT_ONCE // config.batch), len(self))
        self._coming: _Coming | None = None
        self._kept: Any = None
        self._builder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dali-builder")
        known = {operation.name for operation in config.policy.operations} if config.policy else set()
        if config.train and self._device.type in DRAWS_ON and known >= DRAWN_BY_DALI:
            self.drawn = DRAWN_BY_DALI

    def __iter__(self) -> Iterator[Batch]:
        epoch, consumed = self._state.epoch, self._state.batches
        self.refuse_damaged()  # something may have changed since the last epoch
        pipeline = self._started(epoch)
        stream = torch.cuda.current_stream(self._device) if self._device.type == "cuda" else None
        runs = self._runs()
        last_under_way = max(0, runs - RUNS_AHEAD)
        build_next = 0 if self._device.type in BUILT_EARLY_ON else last_under_way
        for run in range(runs):
            try:
                outputs = pipeline.share_outputs(stream)  # without a stream it would wait for the GPU
                pipeline.release_outputs()  # these stay valid as long as they are held
                if run + RUNS_AHEAD < runs:
                    pipeline.schedule_run()
            except RuntimeError:  # DALI does not say which sample
                refuse_undecodable(self.config.variant, self.info, self.config.split)
                raise
            if self.config.train and run == build_next:
                self._coming = _Coming(epoch + 1, self._builder.submit(self._build, epoch + 1))
            if self._coming is not None and run == last_under_way:
                with suppress(RuntimeError):  # what is wrong with the files is said when that epoch begins
                    self._coming.at_work()
            first = run * self._batches_at_once
            if first + self._batches_at_once > consumed:
                yield from self._batches(outputs, epoch, first, consumed)
        if not self.config.train and self.config.world_size == 1:  # else DALI pads a rank's part to the largest
            self._kept = pipeline

    def close(self) -> None:
        """End what was begun of a next epoch; any other pipeline lives as long as its iteration."""
        self._builder.shutdown()
        self._coming = self._kept = None

    def _runs(self) -> int:
        """Runs of the pipeline in an epoch."""
        return -(-len(self) // self._batches_at_once)

    def _started(self, epoch: int) -> Any:
        """A pipeline at work on the epoch."""
        if (kept := self._kept) is not None:  # it has come back to its beginning
            self._kept = None
            for _ in range(min(RUNS_AHEAD, self._runs())):
                kept.schedule_run()
            return kept
        coming, self._coming = self._coming, None
        if coming is not None and coming.epoch == epoch:
            with suppress(RuntimeError):  # what is wrong with the files is said below
                return coming.at_work()
        return _Coming(epoch, self._builder.submit(self._build, epoch)).at_work()

    def _build(self, epoch: int) -> Any:
        """A new pipeline for an epoch, not yet at work."""
        config = self.config
        order = np.arange(len(self._shards))
        if config.train:
            order = epoch_rng(config.seed, epoch, purpose=0).permutation(order)
        names = [self._shards[i].name for i in order]
        on_gpu = self._device.type == "cuda"
        pipeline = _pipeline(
            tars=[str(tar_path(config.variant, name)) for name in names],
            indexes=[str(index_path(config.variant, name)) for name in names],
            shuffle=config.train,
            rank=config.rank,
            world_size=config.world_size,
            image_type=IMAGE_TYPES[self.info.channels],
            on_gpu=on_gpu,
            size_px=self.info.size_px,
            policy=config.policy if self.drawn else None,
            batch_size=config.batch * self._batches_at_once,
            prefetch_queue_depth=min(RUNS_AHEAD, self._runs()),
            num_threads=max(1, config.workers),
            device_id=(self._device.index or 0) if on_gpu else None,
            seed=int(epoch_rng(config.seed, epoch, purpose=1).integers(2**31)),
        )
        pipeline.build()
        return pipeline

    def _batches(self, outputs: tuple[Any, Any, Any], epoch: int, first: int, consumed: int) -> Iterator[Batch]:
        """Deal out what one run of the pipeline gave, from batch `first` on, less what was consumed and the padding.

        torch shares the images' memory with DALI.
        """
        size = self.config.batch
        img_NCHW = from_dlpack(outputs[0].as_tensor()).permute(0, 3, 1, 2)
        host_label_N = np.asarray(outputs[1].as_tensor()).reshape(-1).astype(np.int64) - ord("0")
        host_row_N = np.asarray(outputs[2].as_tensor()).view("<i8").reshape(-1).astype(np.int64)
        label_N, row_N = upload(host_label_N, self._device), upload(host_row_N, self._device)
        for step in range(max(first, consumed), min(first + self._batches_at_once, len(self))):
            start = (step - first) * size
            part = slice(start, start + min(size, self._share.samples - step * size))
            state = LoaderState(epoch, step + 1)
            yield Batch(img_NCHW[part], label_N[part], row_N[part], host_row_N[part], state)


@pipeline_def  # type: ignore[untyped-decorator]
def _pipeline(
    *,
    tars: list[str],
    indexes: list[str],
    shuffle: bool,
    rank: int,
    world_size: int,
    image_type: Any,
    on_gpu: bool,
    size_px: int,
    policy: Policy | None,
) -> tuple[Any, Any, Any]:
    members: Any = fn.readers.webdataset(
        paths=tars,
        index_paths=indexes,
        ext=["jpg", "cls", "row"],
        missing_component_behavior="error",
        random_shuffle=shuffle,
        initial_fill=SHUFFLE_BUFFER,
        shard_id=rank,
        num_shards=world_size,
        pad_last_batch=True,
        name="records",
    )
    jpeg, label, row = members
    img = fn.decoders.image(jpeg, device="mixed" if on_gpu else "cpu", output_type=image_type)
    return img if policy is None else _warped(img, policy, size_px), label, row


def _warped(img: Any, policy: Policy, size_px: int) -> Any:
    """Mirror, zoom and shift each image about its centre, by the policy's ranges; edges are extended."""
    group = next(group for group in policy.groups if group.name == "geometry")
    operations = {operation.name: operation for operation in group.operations}
    acts = fn.random.coin_flip(probability=group.probability)

    def takes(name: str) -> Any:
        """1.0 where an image takes the operation, else 0.0."""
        return acts * fn.random.coin_flip(probability=operations[name].chance) * 1.0

    def drawn(name: str, neutral: float) -> list[Any]:
        """A value for each range of the operation, `neutral` where an image does not take it."""
        taken = takes(name)
        ranges = [[drawn.low, drawn.high] for drawn in operations[name].ranges]
        return [neutral + taken * (fn.random.uniform(range=limits) - neutral) for limits in ranges]

    (zoom,) = drawn("scale", 1.0)
    mirror = 1.0 - 2.0 * takes("flip")
    shift_px = fn.stack(*drawn("translation", 0.0)) * size_px
    matrix = fn.transforms.scale(scale=fn.stack(mirror * zoom, zoom), center=[size_px / 2] * 2)
    matrix = fn.transforms.translation(matrix, offset=shift_px)
    return fn.warp_affine(img, matrix=matrix, inverse_map=False, interp_type=types.INTERP_LINEAR)
