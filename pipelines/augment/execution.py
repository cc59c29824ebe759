"""How plans are carried out: step by step, or by a compiler as one function of the whole policy.

Step by step, an operation is done to the images that drew it and to no others, on a CPU in chunks of a few images,
whose intermediate results stay in the cache. On a GPU that would be many launches, each soon done.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, Protocol

import torch
from torch import Tensor

from pipelines.augment.compiled_warp import Act, compiled
from pipelines.augment.draws import Drawn
from pipelines.augment.geometry import MOVES, Floats, in_pixels
from pipelines.augment.passes import Step, fused_steps, whole
from pipelines.augment.plan import Plan, plans
from pipelines.augment.policy import Policy
from pipelines.augment.warp import WHITE, Warper, of_bytes

FIRST_BATCH: Final = 64
"""Images that the whole policy is compiled with; for any other number, too."""
FIRST_TAKERS: Final = 8
"""Of which so many meet the first single operation, one more the second and so on: numbers that happened to be the same
would be compiled as if they always were."""


class Execution(Protocol):
    """Makes plans of its own kind, and carries them out."""

    def plans(self, drawn: Sequence[Drawn], images: int, like_BCHW: Tensor) -> Iterator[Plan]:
        """The plan of one batch after another: see `plan.plans`."""

    def __call__(self, img_BCHW: Tensor, plan: Plan, out: Tensor) -> None:
        """Augment a batch into `out`, float32 0..1."""


class Stepwise:
    """Eager, or each step compiled by itself."""

    def __init__(self, warper: Warper, steps: Sequence[Step]) -> None:
        self._warper, self._steps = warper, steps

    def plans(self, drawn: Sequence[Drawn], images: int, like_BCHW: Tensor) -> Iterator[Plan]:
        """As `Execution`."""
        return plans(drawn, images, like_BCHW, self._warper, self._steps)

    def __call__(self, img_BCHW: Tensor, plan: Plan, out: Tensor) -> None:
        """As `Execution`; images are bytes or floats."""
        if plan.warp is not None:
            self._warper(img_BCHW, plan.warp, out)
        else:
            out.copy_(img_BCHW)
            if img_BCHW.dtype == torch.uint8:
                out.div_(WHITE)
        for step, params, index_n in plan.parts:
            step.act(out, params, index_n)


class Whole:
    """One compiled function, for images of bytes."""

    def __init__(self, policy: Policy, skip: frozenset[str], backend: str) -> None:
        names = {operation.name for operation in policy.operations} - skip
        self._warper = _InPixels(divides="perspective" in names) if names & MOVES.keys() else None
        self._steps, self._act = _compiled(policy, skip, backend)
        self._first = True

    def plans(self, drawn: Sequence[Drawn], images: int, like_BCHW: Tensor) -> Iterator[Plan]:
        """As `Execution`."""
        return plans(drawn, images, like_BCHW, self._warper, self._steps, alike=True)

    def __call__(self, img_BCHW: Tensor, plan: Plan, out: Tensor) -> None:
        """As `Execution`; images are bytes."""
        if self._first:
            self._first = False
            self._compile(img_BCHW, plan)
        self._act(img_BCHW, out, plan.warp, [part.params for part in plan.parts], [part.index_n for part in plan.parts])

    def _compile(self, img_BCHW: Tensor, plan: Plan) -> None:
        """For any number of images: with some that a compiler cannot take for constants or for one another."""

        def like(tensor: Tensor, count: int) -> Tensor:
            """Zeros, as many rows; like parts of a plan they begin anywhere in memory."""
            shape = count, *tensor.shape[1:]
            made = tensor.new_zeros(1 + math.prod(shape))[1:].view(shape)
            torch._dynamo.maybe_mark_dynamic(made, 0)
            return made

        takers = iter(range(FIRST_TAKERS, FIRST_BATCH))
        counts = [FIRST_BATCH if part.step.is_pass else next(takers) for part in plan.parts]
        img = torch.cat([torch.zeros_like(img_BCHW[:1])] * FIRST_BATCH)  # in the memory format of the loader's
        warp = None if plan.warp is None else tuple(like(each, FIRST_BATCH) for each in plan.warp)
        params = [like(part.params, count) for part, count in zip(plan.parts, counts, strict=True)]
        indices = [like(part.index_n, count) for part, count in zip(plan.parts, counts, strict=True)]
        out = torch.empty(img.shape, device=img.device)
        for images in (img, out):
            torch._dynamo.maybe_mark_dynamic(images, 0)
        warnings.filterwarnings("ignore", "TensorFloat32 tensor cores", UserWarning)  # pixels shall not be rounded so
        self._act(img, out, warp, params, indices)


@lru_cache(maxsize=8)
def _compiled(policy: Policy, skip: frozenset[str], backend: str) -> tuple[list[Step], Act]:
    """The steps of a policy, and all as one; kept, since torch compiles a function only so often in a process."""
    steps = fused_steps(policy, skip)
    return steps, compiled(whole(steps), backend)


class _InPixels:
    """The `Geometry` of `warp_bytes`: always two rows, or always three."""

    def __init__(self, *, divides: bool) -> None:
        self._rows = 3 if divides else 2

    def matrices(self, sampling_N33: Floats, height_px: int, width_px: int) -> Floats:
        """As `Geometry`."""
        return in_pixels(sampling_N33, height_px, width_px)[:, : self._rows]

    def prepared(self, matrix_NK3: Tensor, tone_2N: Tensor, _height_px: int) -> tuple[Tensor, ...]:
        """As `Geometry`."""
        return matrix_NK3, *of_bytes(tone_2N)
