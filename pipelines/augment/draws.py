"""Who gets which operation with which parameters: one vectorised step on the host, independent of the batch.

The branch of every image is known here, before any pixel is touched, so the device is never asked.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pipelines.augment.philox import uniforms
from pipelines.augment.policy import Group, Operation, Policy

Floats = NDArray[np.float64]

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
    params_nK: Floats


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
    table = _Table.of(policy, frozenset(skip))
    uniforms_BSU = uniforms(seed, epoch, rows_B[:, None], table.streams_S, table.numbers)
    decisive_BO = uniforms_BSU[:, table.group_O, table.decides_O]
    takes_BO = uniforms_BSU[:, table.group_O, 0] < table.probability_O
    takes_BO &= (table.start_O <= decisive_BO) & (decisive_BO < table.end_O)
    params_BOK = table.low_OK + table.span_OK * uniforms_BSU[:, len(policy.groups) :, : table.low_OK.shape[1]]
    np.floor(params_BOK, out=params_BOK, where=table.is_key_OK)
    indices = map(np.flatnonzero, takes_BO.T)
    return [
        Drawn(act.operation, act.group, index_n, params_BOK[index_n, place, : _numbers(act.operation)])
        for place, (act, index_n) in enumerate(zip(table.acts, indices, strict=True))
        if len(index_n)
    ]


def _numbers(operation: Operation) -> int:
    """How many parameters an operation has."""
    return len(operation.ranges) + operation.keys


class _Act(NamedTuple):
    """An operation of a group, and when it acts: where the group's number `decides` is from `start` to `end`."""

    operation: Operation
    group: Group
    group_place: int
    decides: int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class _Table:
    """A policy as arrays over its operations `O`, each with `K` parameters at most.

    Drawn are `numbers` for each stream `S`: first the groups, then the operations. A group's first number decides
    whether it acts; the second on the branch, or each next one on an operation of its own. An operation's numbers are
    its parameters.
    """

    acts: list[_Act]
    streams_S: NDArray[np.int64]
    numbers: int
    group_O: NDArray[np.int64]
    probability_O: Floats
    decides_O: NDArray[np.int64]
    start_O: Floats
    end_O: Floats
    low_OK: Floats
    span_OK: Floats
    is_key_OK: NDArray[np.bool_]

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, policy: Policy, skip: frozenset[str]) -> Self:
        """The table of a policy without the operations to skip."""
        acts = [
            act
            for place, group in enumerate(policy.groups)
            for act in _acts(group, place)
            if act.operation.name not in skip
        ]
        most = max((_numbers(act.operation) for act in acts), default=0)
        low_OK, span_OK = np.zeros((2, len(acts), most))
        is_key_OK = np.zeros((len(acts), most), dtype=bool)
        for place, act in enumerate(acts):
            ranges = act.operation.ranges
            low_OK[place, : len(ranges)] = [drawn.low for drawn in ranges]
            span_OK[place, : len(ranges)] = [drawn.high - drawn.low for drawn in ranges]
            is_key_OK[place, len(ranges) : _numbers(act.operation)] = True
        span_OK[is_key_OK] = _KEY_LEVELS
        streams = [group.stream for group in policy.groups] + [act.operation.stream for act in acts]
        return cls(
            acts=acts,
            streams_S=np.array(streams),
            numbers=max(most, 1 + max(len(group.operations) for group in policy.groups)),
            group_O=np.array([act.group_place for act in acts], dtype=np.int64),
            probability_O=np.array([act.group.probability for act in acts]),
            decides_O=np.array([act.decides for act in acts], dtype=np.int64),
            start_O=np.array([act.start for act in acts]),
            end_O=np.array([act.end for act in acts]),
            low_OK=low_OK,
            span_OK=span_OK,
            is_key_OK=is_key_OK,
        )


def _acts(group: Group, group_place: int) -> list[_Act]:
    """Each operation of a group."""
    chances = [operation.chance for operation in group.operations]
    if group.applies == "all":
        decisions = [(1 + place, 0.0, chance) for place, chance in enumerate(chances)]
    else:
        ends = [*accumulate(chances[:-1]), 1.0]  # rounding must leave no gap at the top
        decisions = [(1, start, end) for start, end in zip([0.0, *ends[:-1]], ends, strict=True)]
    return [
        _Act(operation, group, group_place, *decision)
        for operation, decision in zip(group.operations, decisions, strict=True)
    ]
