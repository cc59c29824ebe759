"""In which steps a policy's operations act on pixels: each on the images that drew it, or several in one pass over all.

On a GPU a batch is soon done, and telling it what to do is what takes time. There a compiler makes one function of the
whole policy (`whole`): the operations that look at a pixel alone are done in few passes, in which every image goes
through all of them and keeps what it drew.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.augment.compiled_warp import Act, compiled, warp_bytes
from pipelines.augment.draws import Drawn
from pipelines.augment.operations import OPERATIONS, UNROLLED, per_image
from pipelines.augment.policy import Operation, Policy
from pipelines.augment.warp import WHITE, chunks

POINTWISE: Final = frozenset({"brightness_contrast", "gamma", "illumination", "gaussian_noise", "erasing", "grid"})
"""Operations whose result at a pixel depends on this pixel and its place alone."""
CONVOLUTIONS: Final = frozenset({"gaussian_blur", "motion_blur"})
"""A CPU has them as fast from torch's own convolution as from a compiler, or faster: step by step they stay eager."""


@dataclass(frozen=True, slots=True)
class Step:
    """Operations that act at once, in place: on images [B, C, H, W], by `params`, and places of those that drew one."""

    operations: tuple[Operation, ...]
    act: Callable[[Tensor, Tensor, Tensor], None]
    is_pass: bool

    def params(self, drawn: Mapping[str, Drawn], images: int) -> NDArray[np.float64]:
        """[n, K] of the images that drew a single operation.

        [images, R] of a pass: for each of its operations 1 where an image takes it, and the parameters; else 0.
        """
        if not self.is_pass:
            (operation,) = self.operations
            return drawn[operation.name].params_nK if operation.name in drawn else np.empty((0, operation.parameters))
        columns = [1 + operation.parameters for operation in self.operations]
        params_NR = np.zeros((images, sum(columns)))
        for operation, end in zip(self.operations, np.cumsum(columns).tolist(), strict=True):
            if (one := drawn.get(operation.name)) is not None:
                first = end - operation.parameters
                params_NR[one.index_n, first - 1] = 1
                params_NR[one.index_n, first:end] = one.params_nK
        return params_NR

    def takers(self, drawn: Mapping[str, Drawn]) -> NDArray[np.int64]:
        """The places of the images that drew one of its operations, ascending."""
        indices = [drawn[operation.name].index_n for operation in self.operations if operation.name in drawn]
        return np.sort(np.concatenate([np.empty(0, np.int64), *indices]))


def single_steps(policy: Policy, skip: Collection[str], compile_backend: str | None) -> list[Step]:
    """Each operation by itself."""

    def act(name: str) -> Act:
        alone = OPERATIONS[name]
        return alone if compile_backend is None or name in CONVOLUTIONS else compiled(alone, compile_backend)

    return [
        Step((operation,), partial(_in_chunks, act(operation.name)), is_pass=False)
        for operation in _on_pixels(policy.operations, skip)
    ]


def fused_steps(policy: Policy, skip: Collection[str]) -> list[Step]:
    """As few passes as the order of the groups allows; the branches of one group act on different images."""
    steps: list[list[Operation]] = []

    def joins() -> bool:
        return bool(steps) and steps[-1][-1].name in POINTWISE

    for group in policy.groups:
        operations = _on_pixels(group.operations, skip)
        if group.applies == "one":
            first = joins()
            operations.sort(key=lambda operation: (operation.name in POINTWISE) != first)
        for operation in operations:
            if operation.name in POINTWISE and joins():
                steps[-1].append(operation)
            else:
                steps.append([operation])
    return [
        Step(tuple(step), _together(step), is_pass=True)
        if step[0].name in POINTWISE
        else Step(tuple(step), _on_takers(UNROLLED[step[0].name]), is_pass=False)
        for step in steps
    ]


def whole(steps: Sequence[Step]) -> Act:
    """A policy as one function for a compiler.

    Returns:
        A function of uint8 images [B, C, H, W]; float32 memory of that shape, written; what `warp_bytes` takes, or None
        where there is no geometry; and the parameters and the places for each step, alike in number for all batches.
    """

    def act(
        img_BCHW: Tensor,
        out: Tensor,
        warp: Sequence[Tensor] | None,
        params: Sequence[Tensor],
        indices: Sequence[Tensor],
    ) -> None:
        changed_BCHW = img_BCHW / WHITE if warp is None else warp_bytes(img_BCHW, *warp)
        for step, params_nK, index_n in zip(steps, params, indices, strict=True):
            step.act(changed_BCHW, params_nK, index_n)
        out.copy_(changed_BCHW)

    return act


def _on_pixels(operations: Sequence[Operation], skip: Collection[str]) -> list[Operation]:
    return [operation for operation in operations if operation.name in OPERATIONS and operation.name not in skip]


def _in_chunks(act: Act, img_BCHW: Tensor, params_nK: Tensor, index_n: Tensor) -> None:
    """A single operation on the images at `index_n`."""
    for part in chunks(img_BCHW, len(index_n)):
        params = params_nK[part].unbind(1)
        if len(index_n) == len(img_BCHW):
            img_BCHW[part] = act(img_BCHW[part], *params)
        else:
            img_BCHW.index_copy_(0, index_n[part], act(img_BCHW.index_select(0, index_n[part]), *params))


def _on_takers(operation: Act) -> Callable[[Tensor, Tensor, Tensor], None]:
    """The same for a compiler; of what is only there for the number's sake, the first parameter is 0."""

    def act(img_BCHW: Tensor, params_nK: Tensor, index_n: Tensor) -> None:
        takes_n, *params = params_nK.unbind(1)
        before_nCHW = img_BCHW.index_select(0, index_n)
        changed_nCHW = torch.where(per_image(takes_n) != 0, operation(before_nCHW, *params), before_nCHW)
        img_BCHW.index_copy_(0, index_n, changed_nCHW)

    return act


def _together(operations: Sequence[Operation]) -> Callable[[Tensor, Tensor, Tensor], None]:
    """The pass of some operations over all images."""

    def act(img_BCHW: Tensor, params_BR: Tensor, _index_n: Tensor) -> None:
        changed_BCHW, columns = img_BCHW, iter(params_BR.unbind(1))
        for operation in operations:
            takes_B = next(columns)
            params = [next(columns) for _ in range(operation.parameters)]
            acted_BCHW = UNROLLED[operation.name](changed_BCHW, *params)
            changed_BCHW = torch.where(per_image(takes_B) != 0, acted_BCHW, changed_BCHW)
        img_BCHW.copy_(changed_BCHW)

    return act
