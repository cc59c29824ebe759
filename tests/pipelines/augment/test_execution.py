"""Compiled, in shared passes or as a whole: a policy's images are the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters

from pipelines.augment import online
from pipelines.augment.draws import draw
from pipelines.augment.online import OnlinePolicy
from pipelines.augment.operations import OPERATIONS
from pipelines.augment.passes import fused_steps
from pipelines.augment.policy import LIGHT, STRONG, Policy
from tests.pipelines.augment.conftest import ROWS


def test_tone_waits_for_what_comes_before_it(batch: Tensor) -> None:
    """Only where it follows the warp it is done with it."""
    geometry, photometric, *_ = STRONG.groups
    flip, (brightness, gamma, *_) = geometry.operations[0], photometric.operations
    both = replace(
        photometric,
        probability=1.0,
        applies="all",
        operations=(replace(gamma, chance=1.0), replace(brightness, chance=1.0)),
    )
    table = Policy(name="gamma first", groups=(replace(geometry, operations=(replace(flip, chance=1.0),)), both))
    out = OnlinePolicy(table, 0)(batch, ROWS, 0)
    params = {one.operation.name: torch.from_numpy(one.params_nK).float().unbind(1) for one in draw(table, 0, 0, ROWS)}
    expected = batch.flip(3) / 255
    for name in ("gamma", "brightness_contrast"):
        expected = OPERATIONS[name](expected, *params[name])
    torch.testing.assert_close(out, expected, atol=1e-4, rtol=0)


def assert_same_pixels(found: Tensor, expected: Tensor, policy: Policy) -> None:
    """To 1e-5; but where `equalise` acts, a level at the edge of two is rounded to either, and has another rank."""
    difference_B = (found - expected).abs().flatten(1)
    drawn = {one.operation.name: one.index_n for one in draw(policy, 0, 0, ROWS)}
    is_equalised_B = np.isin(np.arange(len(found)), drawn.get("equalise", []))
    assert difference_B[~is_equalised_B].max() <= 1e-5
    if is_equalised_B.any():
        assert (difference_B[is_equalised_B] > 1e-5).float().mean() < 1e-3
        assert difference_B[is_equalised_B].max() < 0.03


def test_compiled_it_gives_the_same(batch: Tensor) -> None:
    compiled = OnlinePolicy(STRONG, 0, compile_backend="aot_eager")(batch, ROWS, 0)
    assert_same_pixels(compiled, OnlinePolicy(STRONG, 0)(batch, ROWS, 0), STRONG)


@pytest.mark.parametrize("channels", [1, 3])
def test_operations_that_share_passes_give_the_same(
    batch: Tensor, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU."""
    monkeypatch.setattr(online, "WHOLE_ON", {"cpu"})
    img = batch.repeat(1, channels, 1, 1)
    for policy in (STRONG, LIGHT):
        fused = OnlinePolicy(policy, 0, compile_backend="aot_eager")(img, ROWS, 0)
        assert_same_pixels(fused, OnlinePolicy(policy, 0)(img, ROWS, 0), policy)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_batches_of_few_images_can_be_done_as_a_whole(
    batch: Tensor, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most operations are drawn by one of them or by none, and yet each is given two."""
    monkeypatch.setattr(online, "WHOLE_ON", {"cpu"})
    policy, found = OnlinePolicy(STRONG, 0, compile_backend="eager"), []
    for start in range(0, 40, batch_size):
        part = slice(start, start + batch_size)
        found.append(policy(batch[part], ROWS[part], 0, coming_N=ROWS[part.stop : 40]))
    torch.testing.assert_close(torch.cat(found), OnlinePolicy(STRONG, 0)(batch[:40], ROWS[:40], 0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels_last", [False, True], ids=["planes", "as DALI gives them"])
def test_one_compiled_function_serves_any_number_of_images(
    batch: Tensor, channels_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online, "WHOLE_ON", {"cpu"})
    torch.compiler.reset()
    counters.clear()
    if channels_last:
        batch = batch.view(48, 40, 40, 1).permute(0, 3, 1, 2)
    policy = OnlinePolicy(STRONG, 0, compile_backend="eager")
    for images in (48, 3, 20, 2, 31):
        policy(batch[:images], ROWS[:images], 0)
    assert counters["stats"]["unique_graphs"] == 1


def test_the_strong_policys_pixelwise_operations_take_two_passes() -> None:
    steps = [[operation.name for operation in step.operations] for step in fused_steps(STRONG, ())]
    assert [step for step in steps if len(step) > 1] == [
        ["brightness_contrast", "gamma", "illumination", "gaussian_noise"],
        ["erasing", "grid"],
    ]
    assert sorted(name for step in steps for name in step) == sorted(OPERATIONS)


@pytest.mark.parametrize("shape", [(60, 1, 8, 16), (60, 3, 16, 8)])
def test_images_twice_as_long_as_wide_are_the_same_however_they_are_compiled(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    img_BCHW = torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    rows = np.arange(len(img_BCHW))
    skip = {"equalise"}  # where a level that is rounded otherwise has another rank
    expected = OnlinePolicy(STRONG, 0, skip=skip)(img_BCHW, rows, 0)
    assert 0 <= expected.min() <= expected.max() <= 1
    for devices in (set[str](), {"cpu"}):
        monkeypatch.setattr(online, "WHOLE_ON", devices)
        found = OnlinePolicy(STRONG, 0, skip=skip, compile_backend="eager")(img_BCHW, rows, 0)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
