"""In which steps a policy's operations act on pixels: each on the images that drew it, or several in one pass over all.

On a GPU a batch is soon done and its launches are what takes time. There a compiler makes one pass of the operations
that look at a pixel alone: every image goes through all of them, and keeps what it drew.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.augment.draws import Drawn
from pipelines.augment.operations import OPERATIONS
from pipelines.augment.policy import Operation, Policy
from pipelines.augment.warp import Act, compiled

POINTWISE: Final = frozenset({"brightness_contrast", "gamma", "illumination", "gaussian_noise", "erasing", "grid"})
"""Operations whose result at a pixel depends on this pixel and its place alone."""
CONVOLUTIONS: Final = frozenset({"gaussian_blur", "motion_blur"})
"""A CPU has them faster from torch's own convolution than from a compiler."""


@dataclass(frozen=True, slots=True)
class Step:
    """Operations that act at once; `act` takes images, and `params` of a single operation or of a whole pass."""

    operations: tuple[Operation, ...]
    act: Act
    is_pass: bool

    def params(self, drawn: Mapping[str, Drawn], images: int) -> NDArray[np.float64]:
        """[n, K] of the images that drew a single operation.

        [images, R] of a pass: for each of its operations 1 where an image takes it, and the parameters; else 0.
        """
        if not self.is_pass:
            return drawn[self.operations[0].name].params_nK
        columns = [1 + operation.parameters for operation in self.operations]
        params_NR = np.zeros((images, sum(columns)))
        for operation, end in zip(self.operations, np.cumsum(columns).tolist(), strict=True):
            if (one := drawn.get(operation.name)) is not None:
                first = end - operation.parameters
                params_NR[one.index_n, first - 1] = 1
                params_NR[one.index_n, first:end] = one.params_nK
        return params_NR


def single_steps(policy: Policy, skip: Collection[str], compile_backend: str | None) -> list[Step]:
    """Each operation by itself, for a CPU or for eager torch."""
    return [
        _single(operation, None if operation.name in CONVOLUTIONS else compile_backend)
        for operation in _on_pixels(policy.operations, skip)
    ]


def fused_steps(policy: Policy, skip: Collection[str], compile_backend: str) -> list[Step]:
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
        Step(tuple(step), compiled(_together(step), compile_backend), is_pass=True)
        if step[0].name in POINTWISE
        else _single(step[0], compile_backend)
        for step in steps
    ]


def _on_pixels(operations: Sequence[Operation], skip: Collection[str]) -> list[Operation]:
    return [operation for operation in operations if operation.name in OPERATIONS and operation.name not in skip]


def _single(operation: Operation, compile_backend: str | None) -> Step:
    act = OPERATIONS[operation.name]
    if compile_backend is not None:
        act = compiled(act, compile_backend)
    return Step((operation,), act, is_pass=False)


def _together(operations: Sequence[Operation]) -> Callable[[Tensor, Tensor], None]:
    """The pass of some operations over images, in place."""

    def act(img_BCHW: Tensor, params_BR: Tensor) -> None:
        changed_BCHW, columns = img_BCHW, iter(params_BR.unbind(1))
        for operation in operations:
            takes_B111 = (next(columns) != 0)[:, None, None, None]
            params = [next(columns) for _ in range(operation.parameters)]
            changed_BCHW = torch.where(takes_B111, OPERATIONS[operation.name](changed_BCHW, *params), changed_BCHW)
        img_BCHW.copy_(changed_BCHW)

    return act
