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

from pipelines.augment.philox import BLOCK, uniforms
from pipelines.augment.policy import Group, Operation, Policy

Floats = NDArray[np.float64]

PLANNED_IMAGES: Final = 4096
"""Images planned for at once, where it is known which come: each takes a ninth of the time that one of 64 takes, and
three quarters of one of 1,024."""
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
    batch, decisions = len(rows_B), len(table.stream_D)
    decisive_BD4 = uniforms(
        seed, epoch, rows_B.repeat(decisions), np.tile(table.stream_D, batch), np.tile(table.block_D, batch)
    ).reshape(batch, decisions, BLOCK)
    chosen_BO = decisive_BD4[:, table.decides_O, table.word_O]
    takes_BO = decisive_BD4[:, table.group_O, 0] < table.probability_O
    takes_BO &= (table.start_O <= chosen_BO) & (chosen_BO < table.end_O)
    place_N, index_N = np.nonzero(takes_BO.T)  # parameters are drawn of what acts, and of nothing else
    blocks_N = table.blocks_O[place_N]
    end_N = np.cumsum(blocks_N)
    row_M, stream_M = (part_N.repeat(blocks_N) for part_N in (rows_B[index_N], table.stream_O[place_N]))
    block_M = np.arange(len(row_M)) - (end_N - blocks_N).repeat(blocks_N)
    uniforms_M4 = uniforms(seed, epoch, row_M, stream_M, block_M)
    counts_O = np.count_nonzero(takes_BO, axis=0)
    indices = np.split(index_N, np.cumsum(counts_O))  # and nothing behind the last
    blocks = np.split(uniforms_M4, np.cumsum(counts_O * table.blocks_O))
    return [
        Drawn(act.operation, act.group, index_n, act.params(uniforms_m4.reshape(len(index_n), -1)))
        for act, index_n, uniforms_m4 in zip(table.acts, indices, blocks, strict=False)
        if len(index_n)
    ]


class _Act(NamedTuple):
    """An operation of a group, and when it acts: where the group's number `decides` is from `start` to `end`.

    A parameter is `low + span * uniform`, and one of the last, the keys, a whole number.
    """

    operation: Operation
    group: Group
    decides: int
    start: float
    end: float
    low_K: Floats
    span_K: Floats

    def params(self, uniforms_nU: Floats) -> Floats:
        """Of the images whose numbers these are; the first ones are used."""
        params_nK = self.low_K + self.span_K * uniforms_nU[:, : len(self.low_K)]
        if self.operation.keys:
            keys = params_nK[:, -self.operation.keys :]
            np.floor(keys, out=keys)
        return params_nK


@dataclass(frozen=True, slots=True)
class _Table:
    """A policy as arrays over its operations `O`, and over the blocks `D` of numbers that decide which of them act.

    A group's first number decides whether it acts; the second on the branch, or each next one on an operation of its
    own. `group_O` is the block of the first, `decides_O` and `word_O` are block and place of the other. `blocks_O` is
    how many blocks hold an operation's parameters.
    """

    acts: list[_Act]
    stream_D: NDArray[np.int64]
    block_D: NDArray[np.int64]
    group_O: NDArray[np.int64]
    decides_O: NDArray[np.int64]
    word_O: NDArray[np.int64]
    probability_O: Floats
    start_O: Floats
    end_O: Floats
    stream_O: NDArray[np.int64]
    blocks_O: NDArray[np.int64]

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, policy: Policy, skip: frozenset[str]) -> Self:
        """The table of a policy without the operations to skip."""
        acts = [act for group in policy.groups for act in _acts(group) if act.operation.name not in skip]
        blocks = [
            (group.stream, block)
            for group in policy.groups
            for block in range(1 + max((act.decides // BLOCK for act in acts if act.group is group), default=-1))
        ]
        first = [blocks.index((act.group.stream, 0)) for act in acts]
        decides_O = np.array([act.decides for act in acts], dtype=np.int64)
        return cls(
            acts=acts,
            stream_D=np.array([stream for stream, _ in blocks], dtype=np.int64),
            block_D=np.array([block for _, block in blocks], dtype=np.int64),
            group_O=np.array(first, dtype=np.int64),
            decides_O=np.array(first, dtype=np.int64) + decides_O // BLOCK,
            word_O=decides_O % BLOCK,
            probability_O=np.array([act.group.probability for act in acts]),
            start_O=np.array([act.start for act in acts]),
            end_O=np.array([act.end for act in acts]),
            stream_O=np.array([act.operation.stream for act in acts], dtype=np.int64),
            blocks_O=np.array([-(-len(act.low_K) // BLOCK) for act in acts], dtype=np.int64),
        )


def _acts(group: Group) -> list[_Act]:
    """Each operation of a group."""
    chances = [operation.chance for operation in group.operations]
    if group.applies == "all":
        decisions = [(1 + place, 0.0, chance) for place, chance in enumerate(chances)]
    else:
        ends = [*accumulate(chances[:-1]), 1.0]  # rounding must leave no gap at the top
        decisions = [(1, start, end) for start, end in zip([0.0, *ends[:-1]], ends, strict=True)]
    return [
        _Act(operation, group, *decision, *_limits(operation))
        for operation, decision in zip(group.operations, decisions, strict=True)
    ]


def _limits(operation: Operation) -> tuple[Floats, Floats]:
    """The lowest values of an operation's parameters, and how far the others lie above."""
    ranges = [(drawn.low, drawn.high - drawn.low) for drawn in operation.ranges] + [(0.0, _KEY_LEVELS)] * operation.keys
    low_K, span_K = np.array(ranges, dtype=np.float64).reshape(-1, 2).T
    return low_K, span_K
