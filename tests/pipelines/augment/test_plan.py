"""Batches are planned together, and come out as if each were alone."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.augment import online
from pipelines.augment.draws import Drawn, draw
from pipelines.augment.online import OnlinePolicy
from pipelines.augment.policy import STRONG, Policy
from tests.pipelines.augment.conftest import ROWS


class Recorded:
    """The rows that a policy draws for, call by call."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[NDArray[np.int64]] = []
        monkeypatch.setattr(online, "draw", self)

    def __call__(self, policy: Policy, seed: int, epoch: int, rows: NDArray[np.int64], *, skip: Any) -> list[Drawn]:
        self.rows.append(rows)
        return draw(policy, seed, epoch, rows, skip=skip)


@pytest.mark.parametrize(("backend", "shares_passes"), [(None, False), ("eager", False), ("eager", True)])
def test_batches_planned_together_come_out_as_each_alone_to_the_bit(
    batch: Tensor, backend: str | None, shares_passes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first by itself, then as they were foretold, up to the last, short one."""
    monkeypatch.setattr(online, "WHOLE_ON", {"cpu"} if shares_passes else set())
    drawn_for = Recorded(monkeypatch)
    together, alone = (OnlinePolicy(STRONG, 0, compile_backend=backend) for _ in range(2))
    for start in range(0, 48, 10):
        rows, img = ROWS[start : start + 10], batch[start : start + 10]
        out = together(img, rows, 1, coming_N=ROWS[start + 10 :])
        assert torch.equal(out, alone(img, rows, 1))
    assert [len(rows) for rows in drawn_for.rows] == [10, 10, 30, 10, 10, 10, 8, 8]


def test_what_comes_otherwise_than_foretold_is_drawn_anew(batch: Tensor) -> None:
    policy = OnlinePolicy(STRONG, 0)
    for start in (0, 8):
        policy(batch[start : start + 8], ROWS[start : start + 8], 0, coming_N=ROWS[start + 8 :])
    for part, epoch in (
        (slice(16, 24), 1),
        (slice(24, 32), 0),
        (slice(8, 16), 1),
        (slice(16, 20), 1),
        (slice(20, 28), 1),
    ):
        out = policy(batch[part], ROWS[part], epoch, coming_N=ROWS[part.stop :])
        assert torch.equal(out, OnlinePolicy(STRONG, 0)(batch[part], ROWS[part], epoch))
    small = batch[28:36, :, :30]
    assert torch.equal(policy(small, ROWS[28:36], 1), OnlinePolicy(STRONG, 0)(small, ROWS[28:36], 1))


def test_a_plan_for_bytes_is_none_for_floats(batch: Tensor) -> None:
    """A compiled warp takes other matrices of the former."""
    policy, other = (OnlinePolicy(STRONG, 0, compile_backend="eager") for _ in range(2))
    for start in (0, 8):
        policy(batch[start : start + 8], ROWS[start : start + 8], 0, coming_N=ROWS[start + 8 :])
    floats = batch[16:24] / 255
    assert torch.equal(policy(floats, ROWS[16:24], 0), other(floats, ROWS[16:24], 0))


@pytest.mark.parametrize(("batch_size", "drawn"), [(20, [20, 40, 20]), (50, [50, 50, 50, 50])])
def test_only_so_many_images_are_planned_for_at_once(
    batch_size: int, drawn: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online, "PLANNED_IMAGES", 45)
    drawn_for = Recorded(monkeypatch)
    policy, rows = OnlinePolicy(STRONG, 0), np.arange(4 * batch_size)
    for start in range(0, len(rows), batch_size):
        end = start + batch_size
        policy(torch.zeros(batch_size, 1, 8, 8), rows[start:end], 0, coming_N=rows[end:])
    assert [len(each) for each in drawn_for.rows] == drawn
