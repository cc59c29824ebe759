"""Who gets which operation with which parameters: one vectorised step on the host, independent of the batch.

The branch of every image is known here, before any pixel is touched, so the device is never asked.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipelines.augment.philox import uniforms
from pipelines.augment.policy import Group, Operation, Policy

_KEY_LEVELS: Final = 2**24
"""Keys of an operation's own randomness are whole numbers below this, which float32 holds exactly."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """The images of a batch on which one operation acts.

    `index_n` int64, ascending places in the batch; `params_nK` float64, a row for each: the operation's ranges in
    their order, then its keys (whole numbers in 0..2**24-1).
    """

    operation: Operation
    group: Group
    index_n: NDArray[np.int64]
    params_nK: NDArray[np.float64]


def draw(
    policy: Policy, seed: int, epoch: int, rows_B: NDArray[np.int64], *, skip: Collection[str] = ()
) -> list[Drawn]:
    """Draw a policy for a batch; each row's part is a pure function of (seed, epoch, row, operation).

    Args:
        policy: the table.
        seed: 0..2**32 - 1.
        epoch: 0..2**32 - 1.
        rows_B: int64 [B], rows of the manifest.
        skip: operations that are not to act; the draws of the others stay as they are.

    Returns:
        One entry per operation that acts on at least one image, in the policy's order.
    """
    chosen = [
        (group, operation, np.flatnonzero(takes_B))
        for group, takes_BO in _takes(policy, seed, epoch, rows_B)
        for operation, takes_B in zip(group.operations, takes_BO.T, strict=True)
        if operation.name not in skip and takes_B.any()
    ]
    if not chosen:
        return []
    counts = [len(index_n) for _, _, index_n in chosen]
    uniforms_NK = uniforms(
        seed,
        epoch,
        rows_B[np.concatenate([index_n for _, _, index_n in chosen])],
        np.repeat([operation.stream for _, operation, _ in chosen], counts),
        max(len(operation.ranges) + operation.keys for operation in policy.operations),
    )
    parts = np.split(uniforms_NK, np.cumsum(counts)[:-1])
    return [
        Drawn(operation, group, index_n, _parameters(operation, uniforms_nK))
        for (group, operation, index_n), uniforms_nK in zip(chosen, parts, strict=True)
    ]


def _takes(policy: Policy, seed: int, epoch: int, rows_B: NDArray[np.int64]) -> list[tuple[Group, NDArray[np.bool_]]]:
    """For each group, bool [B, O]: which of its operations each row takes."""
    streams_G = np.array([group.stream for group in policy.groups])
    widest = max(len(group.operations) for group in policy.groups)
    uniforms_BGU = uniforms(seed, epoch, rows_B[:, None], streams_G, 1 + widest)
    return [(group, _group_takes(group, uniforms_BGU[:, place])) for place, group in enumerate(policy.groups)]


def _group_takes(group: Group, uniforms_BU: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The first draw decides on the group, the second on the branch, or each next one on an operation of its own."""
    chances_O = np.array([operation.chance for operation in group.operations])
    acts_B1 = uniforms_BU[:, :1] < group.probability
    if group.applies == "all":
        takes_BO: NDArray[np.bool_] = uniforms_BU[:, 1 : 1 + len(chances_O)] < chances_O
    else:
        bounds_O = np.cumsum(chances_O)
        bounds_O[-1] = 1.0  # rounding must leave no gap at the top
        branch_B = np.searchsorted(bounds_O, uniforms_BU[:, 1], side="right")
        takes_BO = branch_B[:, None] == np.arange(len(chances_O))
    return acts_B1 & takes_BO


def _parameters(operation: Operation, uniforms_nK: NDArray[np.float64]) -> NDArray[np.float64]:
    low_R = np.array([drawn.low for drawn in operation.ranges])
    high_R = np.array([drawn.high for drawn in operation.ranges])
    num_ranges = len(low_R)
    values_nR = low_R + (high_R - low_R) * uniforms_nK[:, :num_ranges]
    keys_nK = np.floor(uniforms_nK[:, num_ranges : num_ranges + operation.keys] * _KEY_LEVELS)
    return np.concatenate([values_nR, keys_nK], axis=1)
