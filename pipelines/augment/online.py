"""The online policy: batches on the device in, augmented float batches out, each image with draws of its own.

uint8 0..255 or float 0..1 [B, C, H, W] in, float32 0..1 of the same shape out. A branch runs on the images that drew it
and on no others, but for the passes of a GPU (`passes`); who drew it comes from the host, so nothing waits for the
device. The same code runs on CPU and GPU: on a CPU in chunks of a few images, whose intermediate results stay in the
cache.
"""

from collections import deque
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.augment.compiled_warp import CompiledWarper
from pipelines.augment.draws import PLANNED_IMAGES, draw
from pipelines.augment.execution import Execution, Stepwise, Whole
from pipelines.augment.passes import single_steps
from pipelines.augment.plan import Plan
from pipelines.augment.policy import Policy
from pipelines.augment.warp import Warper
from pipelines.buffers import Buffers, current_stream

LONGEST: Final = 2
"""Times the shorter side, that the longer may be: so far the warp mirrors and the blurs find pixels to mirror."""
SHORTEST_PX: Final = 2
WHOLE_ON: Final = {"cuda"}
"""Devices where a policy is compiled as a whole; a CPU would compute what no image has drawn."""


class OnlinePolicy:
    """A policy ready to act on batches; it keeps scratch memory, so each thread needs its own."""

    def __init__(
        self, policy: Policy, seed: int, *, skip: Collection[str] = (), compile_backend: str | None = None
    ) -> None:
        """Nothing is drawn yet.

        Args:
            policy: the table, such as STRONG.
            seed: 0..2**32 - 1.
            skip: operations drawn elsewhere, such as DRAWN_BY_DALI; the draws of the others stay as they are.
            compile_backend: torch.compile's, such as "inductor"; None is eager. Images of bytes on a GPU then meet the
                whole policy as one function; others the warp and each step, told eagerly which images take it.

        Raises:
            ValueError: `skip` names no operation.
        """
        unknown = set(skip) - {operation.name for operation in policy.operations}
        if unknown:
            raise ValueError(f"policy {policy.name} has no operation {', '.join(sorted(unknown))} to skip")
        self.policy: Final = policy
        self.seed: Final = seed
        self.skip: Final = frozenset(skip)

        steps = single_steps(policy, self.skip, compile_backend)
        self._execution = Stepwise(Warper(), steps)
        self._byte_execution: Execution = self._execution
        self._byte_execution_of_gpu: Execution = self._execution
        if compile_backend is not None:
            self._byte_execution = Stepwise(CompiledWarper(compile_backend), steps)
            self._byte_execution_of_gpu = Whole(policy, self.skip, compile_backend)
        self._buffers: Buffers | None = None
        self._planned: deque[tuple[NDArray[np.int64], Plan]] = deque()
        self._planned_for: tuple[object, ...] = ()

    @torch.no_grad()
    def __call__(
        self,
        img_BCHW: Tensor,
        rows_B: NDArray[np.int64],
        epoch: int,
        *,
        coming_N: NDArray[np.int64] | None = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Augment a batch; the result of an image is a function of (seed, epoch, its row, its pixels).

        To some 2e-7 of white, on which images beside it have an influence.

        Args:
            img_BCHW: uint8 0..255 or float 0..1, on any device, of at least 2 x 2 px; left as it is.
            rows_B: int64 [B] on the host (numpy), each image's row in the manifest.
            epoch: 0..2**32 - 1.
            coming_N: int64 [N] on the host, rows that will most likely follow in this epoch, in batches of this size:
                it takes less time to draw for them now. Nothing else depends on it.
            out: float32 [B, C, H, W], contiguous, on the same device to write into; made anew when not given.

        Returns:
            float32 [B, C, H, W] 0..1 on the same device.

        Raises:
            ValueError: images, rows or `out` are not as above, there are none, or one side of the images is more than
                `LONGEST` times the other.
        """
        _refuse_images(img_BCHW)
        _refuse_rows(rows_B, len(img_BCHW))
        if out is None:
            out = self._fresh(img_BCHW)
        elif (out.shape, out.dtype, out.device) != (img_BCHW.shape, torch.float32, img_BCHW.device):
            raise ValueError(f"out is {_what(out)}: it must be as the images, {_what(img_BCHW)}, but float32")
        elif not out.is_contiguous():
            raise ValueError("out must be contiguous")
        plan = self._plan(img_BCHW, rows_B, epoch, coming_N)
        self._execution_of(img_BCHW)(img_BCHW, plan, out)
        return out

    def _plan(
        self, img_BCHW: Tensor, rows_B: NDArray[np.int64], epoch: int, coming_N: NDArray[np.int64] | None
    ) -> Plan:
        """The plan made for these images before, or else now, with those of the batches to come."""
        device = img_BCHW.device
        planned_for = epoch, img_BCHW.shape, img_BCHW.dtype, device, current_stream(device)
        goes_on = self._planned_for == planned_for
        if goes_on and self._planned:
            rows_b, plan = self._planned.popleft()
            if np.array_equal(rows_b, rows_B):
                return plan
        batch = len(rows_B)
        rows_N = rows_B
        if coming_N is not None and goes_on:  # the first of an epoch shall be ready soon
            more = min(len(coming_N), max(0, PLANNED_IMAGES - batch)) // batch * batch
            rows_N = np.concatenate([rows_B, coming_N[:more]])
        drawn = draw(self.policy, self.seed, epoch, rows_N, skip=self.skip)
        made = self._execution_of(img_BCHW).plans(drawn, len(rows_N), img_BCHW)
        self._planned = deque(zip(rows_N.reshape(-1, batch), made, strict=True))
        self._planned_for = planned_for
        return self._planned.popleft()[1]

    def _execution_of(self, img_BCHW: Tensor) -> Execution:
        if img_BCHW.dtype != torch.uint8:
            return self._execution
        return self._byte_execution_of_gpu if img_BCHW.device.type in WHOLE_ON else self._byte_execution

    def _fresh(self, like_BCHW: Tensor) -> Tensor:
        """Float32 memory of this shape that nobody holds."""
        if like_BCHW.device.type != "cpu":
            return torch.empty(like_BCHW.shape, device=like_BCHW.device)
        if (
            self._buffers is None
            or self._buffers.shape[1:] != like_BCHW.shape[1:]
            or len(like_BCHW) > self._buffers.shape[0]
        ):
            self._buffers = Buffers(tuple(like_BCHW.shape), np.float32)
        return self._buffers.take()[: len(like_BCHW)]


def _refuse_images(img_BCHW: Tensor) -> None:
    shorter_px, longer_px = sorted(img_BCHW.shape[-2:])
    if img_BCHW.dtype != torch.uint8 and not img_BCHW.is_floating_point():
        raise ValueError(f"images are uint8 or floats, not {img_BCHW.dtype}")
    if not len(img_BCHW) or shorter_px < SHORTEST_PX or longer_px > LONGEST * shorter_px:
        raise ValueError(
            f"images {tuple(img_BCHW.shape)}: there must be one, of at least {SHORTEST_PX} x {SHORTEST_PX} px, and no "
            f"side more than {LONGEST} times the other"
        )


def _refuse_rows(rows_B: NDArray[np.int64], images: int) -> None:
    if not isinstance(rows_B, np.ndarray) or rows_B.dtype != np.int64 or rows_B.shape != (images,):
        what = f"{type(rows_B).__name__} of {rows_B.dtype} {tuple(rows_B.shape)}"
        raise ValueError(f"{images} images need as many rows, as numpy's int64 on the host: this is {what}")


def _what(tensor: Tensor) -> str:
    return f"{tensor.dtype} {tuple(tensor.shape)} on {tensor.device}"


def normalise(
    img_BCHW: Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Standardise for the network: (img - mean) / std, channels last.

    Args:
        img_BCHW: uint8 0..255 or float 0..1.
        mean: of each channel, in 0..1.
        std: of each channel, in 0..1.
        dtype: of the result; the arithmetic is float32.

    Returns:
        [B, C, H, W] of `dtype` in channels-last memory.
    """
    levels = 255.0 if img_BCHW.dtype == torch.uint8 else 1.0
    gain_1C11, shift_1C11 = _gain_and_shift(tuple(mean), tuple(std), levels, img_BCHW.device)
    out = torch.empty_like(img_BCHW, dtype=dtype, memory_format=torch.channels_last)
    return torch.addcmul(shift_1C11, img_BCHW, gain_1C11, out=out)


@lru_cache(maxsize=16)
def _gain_and_shift(
    mean: tuple[float, ...], std: tuple[float, ...], levels: float, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Kept, because making them on a GPU waits for it."""
    mean_1C11 = torch.tensor(mean, dtype=torch.float64).view(1, -1, 1, 1)
    std_1C11 = torch.tensor(std, dtype=torch.float64).view(1, -1, 1, 1)
    gain_1C11, shift_1C11 = 1 / (levels * std_1C11), -mean_1C11 / std_1C11
    return gain_1C11.to(device, torch.float32), shift_1C11.to(device, torch.float32)
