"""Decodes JPEGs straight from the mapped shards in an NVIDIA DALI pipeline: on the GPU (`mixed`), or by CPU operators.

One pipeline serves all epochs. An external source tells it what to decode, in the order of every other loader; nobody
copies what it reads. DALI's own reader of such shards keeps an order of its own: it would have to be built anew for
each epoch, and be run through what was consumed before a resume. Labels and rows, the manifest's, never meet DALI.

On a GPU the pipeline does the mirror and the random resized crop of an online policy, by the policy's own draws. Half
of the images are decoded by the GPU's own JPEG decoder and half by its cores, which differ by a gray level: an image's
row says which, so that it is the same image in any run, rank or resume.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from nvidia.dali import OperatorConcurrency, fn, pipeline_def, types
from nvidia.dali.tensors import TensorCPU, TensorListCPU
from torch.utils.dlpack import from_dlpack

from pipelines.augment.draws import draw
from pipelines.augment.geometry import in_pixels, sampling_matrices
from pipelines.augment.policy import DRAWN_BY_DALI, Policy
from pipelines.buffers import current_stream, upload
from pipelines.loaders.base import Batch, Loader, LoaderState, Pass
from pipelines.loaders.config import LoaderConfig
from pipelines.loaders.opening import refuse_changed
from pipelines.loaders.order import Share, epoch_order
from pipelines.records import DatasetInfo, SplitReader, read_labels, refuse_undecodable

IMAGES_AT_ONCE: Final = 768
"""Images that one run of the pipeline decodes: a run has a cost of its own, so that fewer at a time are slower."""
RUNS_AHEAD: Final = 2
"""Runs under way while one is consumed."""
DRAWS_ON: Final = {"cuda"}
"""Devices where the pipeline augments; on a CPU DALI has less than half the policy's speed (benchmarks.augment)."""
TWO_DECODERS_ON: Final = {"cuda"}
"""Devices where a row is decoded by one of two decoders (`by_own_decoder`)."""
IMAGE_TYPES: Final = {1: types.GRAY, 3: types.RGB}
HASH_FACTOR: Final = 2654435761
"""Times a row, it makes the row's bits of use for choosing: Knuth's multiplicative hash, 2**32 / the golden ratio."""
HASH_BIT: Final = 16


@dataclass(frozen=True, slots=True)
class _Run:
    """What one run of the pipeline decodes: the images at these places, which are whole batches from `step` on."""

    drawn_for: Pass
    epoch: int
    step: int
    place_n: NDArray[np.int64]


class _Source:
    """What DALI asks for the inputs of its next run: it has those of one, then none until it is given others."""

    inputs: tuple[Any, ...] | None = None

    def __call__(self) -> tuple[Any, ...]:
        inputs, self.inputs = self.inputs, None
        if inputs is None:
            raise StopIteration
        return inputs


class DaliLoader(Loader):
    """The default loader, in the order of the reference loader."""

    def __init__(self, config: LoaderConfig, info: DatasetInfo) -> None:
        super().__init__(config, info, Share.of(config, info))
        self._device = torch.device(config.device)
        self._shape = (info.size_px, info.size_px, info.channels)
        self._label_N, self._row_N = read_labels(config.variant, config.split)
        self._images: SplitReader | None = SplitReader(config.variant, info, config.split)
        self._batches_at_once = min(max(1, IMAGES_AT_ONCE // config.batch), len(self))
        self._source = _Source()
        self._pipeline: Any = None
        self._under_way: deque[tuple[Any, ...]] = deque()  # inputs of runs, which DALI reads where they are
        known = {operation.name for operation in config.policy.operations} if config.policy else set()
        if config.train and self._device.type in DRAWS_ON and known >= DRAWN_BY_DALI:
            self.drawn = DRAWN_BY_DALI

    def _epoch(self) -> Iterator[Batch]:
        epoch, consumed = self._state.epoch, self._state.batches
        refuse_changed(self.config, self.info)  # something may have changed since the last epoch
        self._forget()  # what an iteration that was left in the middle had asked for
        runs = list(self._runs(epoch, consumed))
        coming = iter(runs)
        for run in runs:
            yield from self._batches(run, self._decoded(coming))

    def close(self) -> None:
        """Free what the loader holds."""
        self._end()
        if self._images is not None:
            self._images.close()
        self._images = None

    def _runs(self, epoch: int, consumed: int) -> Iterator[_Run]:
        """The rest of an epoch in runs."""
        size = self.config.batch
        order = epoch_order(self.config, self._share, len(self._row_N), epoch)
        for step in range(consumed, len(self), self._batches_at_once):
            yield _Run(self._drawn_for, epoch, step, order[step * size : (step + self._batches_at_once) * size])

    def _decoded(self, coming: Iterator[_Run]) -> torch.Tensor:
        """The images of the next run, [n, H, W, C] in memory of DALI's, with those after it under way.

        Raises:
            InputError: one of them cannot be decoded, or is of another size; names it.
        """
        try:
            self._ask(coming)
            if not self._under_way:
                raise ValueError("the loader is closed")
            stream = current_stream(self._device)  # without which it would wait for the GPU
            (images,) = self._pipeline.share_outputs(stream)
            self._pipeline.release_outputs()  # these stay valid as long as they are held
            self._under_way.popleft()
            img_nHWC = from_dlpack(images.as_tensor())
            if img_nHWC.shape[1:] != self._shape:
                raise RuntimeError(f"images of {tuple(img_nHWC.shape[1:])} where {self._shape} is stated")
            self._ask(coming)
        except BaseException as error:
            self._end()  # it does nothing more after a failure; after an interruption nobody knows what it gives next
            if isinstance(error, RuntimeError):  # DALI does not say which sample
                refuse_undecodable(self.config.variant, self.info, self.config.split)
            raise
        return img_nHWC

    def _ask(self, coming: Iterator[_Run]) -> None:
        """Give DALI runs until it has enough."""
        while len(self._under_way) < RUNS_AHEAD and (run := next(coming, None)) is not None:
            inputs = self._inputs(run)
            if self._pipeline is None:
                self._pipeline = self._built()
            self._source.inputs = inputs
            self._under_way.append(inputs)
            self._pipeline.reset()  # it has been told that there is nothing more
            self._pipeline.schedule_run()

    def _forget(self) -> None:
        """Wait for the runs under way, which read from the maps, and drop what they give."""
        self._under_way.clear()
        try:
            while self._pipeline is not None:
                self._pipeline.share_outputs()
                self._pipeline.release_outputs()
        except StopIteration:
            return  # there are no more
        except RuntimeError:  # what is wrong with an image is said when its time comes
            self._pipeline = None

    def _end(self) -> None:
        self._forget()
        self._pipeline = None

    def _inputs(self, run: _Run) -> tuple[Any, ...]:
        """The JPEGs of a run; on a GPU who decodes each of them; and, where DALI draws, their matrices."""
        if self._images is None:
            raise ValueError("the loader is closed")
        each = [TensorCPU(jpeg) for jpeg in self._images.jpegs(run.place_n)]
        # As one of DALI's own lists: of an array in a plain list it asks what it may be, which takes twice as long.
        jpegs = TensorListCPU(each, contiguous=False)  # type: ignore[call-overload]  # its stub is older than it
        row_n = self._row_N[run.place_n]
        decoders = (by_own_decoder(row_n),) if self._device.type in TWO_DECODERS_ON else ()
        if self.config.policy is None or not self.drawn:
            return jpegs, *decoders
        epoch, key_n = run.drawn_for.epoch, run.drawn_for.keys(row_n)
        matrices = warp_matrices(self.config.policy, self.config.seed, epoch, key_n, self.info.size_px)
        return jpegs, *decoders, matrices

    def _built(self) -> Any:
        config = self.config
        on_gpu, by_two = self._device.type == "cuda", self._device.type in TWO_DECODERS_ON
        size = self.most_images * self._batches_at_once
        pipeline = _pipeline(
            source=self._source,
            image_type=IMAGE_TYPES[self.info.channels],
            device="mixed" if on_gpu else "cpu",
            by_two=by_two,
            warps=bool(self.drawn),
            batch_size=size,
            prefetch_queue_depth=RUNS_AHEAD,
            num_threads=max(1, config.workers),
            device_id=(self._device.index or 0) if on_gpu else None,
            concurrency=OperatorConcurrency.FULL,  # both decoders of a GPU at once
        )
        pipeline.build()
        if by_two:
            self._show_largest(pipeline, size)
        return pipeline

    def _show_largest(self, pipeline: Any, size: int) -> None:
        """Let the GPU's own decoder have a run of `size` images: what later exceeds its first run, it leaves to others.

        nvImageCodec keeps as its `assigned_batch_size_` what the first run had.
        """
        jpegs, by_own, *matrices = self._inputs(_Run(Pass(0), 0, 0, np.zeros(size, np.int64)))
        by_own[:] = True
        self._source.inputs = jpegs, by_own, *matrices  # all are held until DALI has read them
        pipeline.schedule_run()
        pipeline.share_outputs()
        pipeline.release_outputs()

    def _batches(self, run: _Run, img_nHWC: torch.Tensor) -> Iterator[Batch]:
        size = self.config.batch
        host_row_n = self._row_N[run.place_n]
        img_nCHW = img_nHWC.permute(0, 3, 1, 2)
        label_n, row_n = upload(self._label_N[run.place_n], self._device), upload(host_row_n, self._device)
        for start in range(0, len(host_row_n), size):
            part = slice(start, start + size)
            state = LoaderState(run.epoch, run.step + start // size + 1)
            coming_n = host_row_n[part.stop :]
            yield Batch(img_nCHW[part], label_n[part], row_n[part], host_row_n[part], state, coming_N=coming_n)


def warp_matrices(policy: Policy, seed: int, epoch: int, key_n: NDArray[np.int64], size_px: int) -> NDArray[np.float32]:
    """The part of each image's geometry that DALI does, by the policy's own draws.

    Returns:
        float32 [n, 2, 3], from output to input, in pixels from the image's corner, as `fn.warp_affine` has it.
    """
    others = [operation.name for operation in policy.operations if operation.name not in DRAWN_BY_DALI]
    drawn = draw(policy, seed, epoch, key_n, skip=others)
    matrix_n33 = in_pixels(sampling_matrices(drawn, len(key_n), size_px, size_px), size_px, size_px)
    matrix_n23 = matrix_n33[:, :2]
    matrix_n23[:, :, 2] += 0.5 - 0.5 * matrix_n23[:, :, :2].sum(2)
    return matrix_n23.astype(np.float32, order="C")  # DALI takes nothing else


def by_own_decoder(row_n: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the GPU's own decoder is to decode these rows, bool [n]: half of them, whatever pattern they have."""
    return (row_n * HASH_FACTOR >> HASH_BIT & 1).astype(np.bool_)


@pipeline_def(enable_conditionals=True)  # type: ignore[untyped-decorator]  # DALI's has no types
def _pipeline(*, source: _Source, image_type: Any, device: str, by_two: bool, warps: bool) -> Any:
    jpeg, *more = fn.external_source(
        source=source,
        num_outputs=1 + by_two + warps,
        no_copy=True,
        dtype=[types.UINT8, *[types.BOOL] * by_two, *[types.FLOAT] * warps],
        ndim=[1, *[0] * by_two, *[2] * warps],
    )
    # As it is stored, whatever a camera says of its orientation: so do the other decoders.
    options = {"device": device, "output_type": image_type, "adjust_orientation": False}
    if by_two:
        if more[0]:
            img = fn.decoders.image(jpeg, hw_decoder_load=1.0, **options)
        else:
            img = fn.decoders.image(jpeg, hw_decoder_load=0.0, **options)
    else:
        img = fn.decoders.image(jpeg, **options)
    return fn.warp_affine(img, matrix=more[-1], interp_type=types.INTERP_LINEAR) if warps else img
