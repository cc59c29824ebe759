"""What comes out of a policy, and what it refuses."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pipelines.augment.draws import draw
from pipelines.augment.geometry import MOVES
from pipelines.augment.limits import GEOMETRY, TAKES
from pipelines.augment.online import OnlinePolicy, normalise
from pipelines.augment.operations import OPERATIONS
from pipelines.augment.policy import DRAWN_BY_DALI, LIGHT, STREAMS, STRONG, Operation, Policy
from tests.pipelines.augment.conftest import ROWS


@pytest.mark.parametrize("policy", [STRONG, LIGHT])
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_dtype_and_range(batch: Tensor, policy: Policy, channels: int) -> None:
    img = batch.expand(-1, channels, -1, -1)
    before = img.clone()
    out = OnlinePolicy(policy, 0)(img, ROWS, 0)
    assert (out.shape, out.dtype) == (img.shape, torch.float32)
    assert 0 <= out.min() <= out.max() <= 1
    assert torch.equal(img, before)


def test_the_batch_meets_every_operation() -> None:
    assert {one.operation.name for one in draw(STRONG, 0, 0, ROWS)} == {one.name for one in STRONG.operations}


def test_each_image_takes_its_own_branch(batch: Tensor) -> None:
    """Two copies of one picture in one batch come out by different operations, each as that operation alone does."""
    drawn = [one for one in draw(STRONG, 0, 0, ROWS) if one.group.name == "photometric"]
    assert len(drawn) == 4
    photometric = Policy(name="photometric", groups=(STRONG.groups[1],))
    same = batch[:1].expand(48, -1, -1, -1)
    out = OnlinePolicy(photometric, 0)(same, ROWS, 0)
    unit = same / 255
    for one in drawn:
        params = [torch.from_numpy(column).float() for column in one.params_nK.T]
        expected = OPERATIONS[one.operation.name](unit[one.index_n], *params)
        torch.testing.assert_close(out[one.index_n], expected, atol=1e-6, rtol=0)
    untouched = np.setdiff1d(np.arange(48), np.concatenate([one.index_n for one in drawn]))
    assert len(untouched)
    assert torch.equal(out[untouched], unit[untouched])


@given(st.lists(st.integers(0, 47), min_size=1, max_size=8))
@settings(max_examples=10)
def test_an_image_comes_out_the_same_in_any_batch_and_order(batch: Tensor, some: list[int]) -> None:
    policy = OnlinePolicy(STRONG, 0)
    whole = policy(batch, ROWS, 2)
    torch.testing.assert_close(policy(batch[some], ROWS[some], 2), whole[some], atol=1e-6, rtol=0)


def test_a_second_policy_gives_the_same_bits_whatever_the_global_generators_do(batch: Tensor) -> None:
    torch.manual_seed(0)
    first = OnlinePolicy(STRONG, 5)(batch, ROWS, 1)
    torch.manual_seed(1)
    np.random.seed(1)
    state = torch.get_rng_state()
    assert torch.equal(OnlinePolicy(STRONG, 5)(batch, ROWS, 1), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_epochs_and_seeds_differ_in_every_image(batch: Tensor) -> None:
    results = [OnlinePolicy(STRONG, seed)(batch, ROWS, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert (results[first] - results[second]).abs().amax((1, 2, 3)).min() > 0.02


@pytest.mark.parametrize("operation", STRONG.operations, ids=lambda operation: operation.name)
def test_every_operation_acts_through_the_policy(operation: Operation, batch: Tensor) -> None:
    policy = STRONG.alone(operation.name)
    out = OnlinePolicy(policy, 0)(batch, ROWS, 0)
    assert ((out - batch / 255).abs().amax((1, 2, 3)) > 0.02).float().mean() > 0.2
    if operation.name in OPERATIONS:
        (drawn,) = draw(policy, 0, 0, ROWS)
        params = [torch.from_numpy(column).float() for column in drawn.params_nK.T]
        torch.testing.assert_close(out, OPERATIONS[operation.name](batch / 255, *params), atol=1e-6, rtol=0)


def test_uint8_and_float_are_one(batch: Tensor) -> None:
    policy = OnlinePolicy(STRONG, 0)
    from_uint8 = policy(batch, ROWS, 0)
    assert torch.equal(policy(batch / 255, ROWS, 0), from_uint8)
    in_half = policy((batch / 255).to(torch.bfloat16), ROWS, 0)
    assert (in_half - from_uint8).abs().mean() < 0.01


def test_writes_where_it_is_asked_to(batch: Tensor) -> None:
    policy = OnlinePolicy(STRONG, 0)
    out = torch.full(batch.shape, torch.nan)
    result = policy(batch, ROWS, 0, out=out)
    assert result is out
    assert torch.equal(out, policy(batch, ROWS, 0))


def test_a_new_result_is_not_overwritten_by_the_next_batch(batch: Tensor) -> None:
    policy = OnlinePolicy(STRONG, 0)
    first = policy(batch, ROWS, 0)
    kept = first.clone()
    policy(batch, ROWS, 1)
    assert torch.equal(first, kept)


def test_a_smaller_batch_of_another_size_follows(batch: Tensor) -> None:
    """The memory that is used again fits whatever comes."""
    policy = OnlinePolicy(STRONG, 0)
    for img in (batch, batch[:5], batch[:, :, :30], batch[:40]):
        fresh = OnlinePolicy(STRONG, 0)(img, ROWS[: len(img)], 0)
        assert torch.equal(policy(img, ROWS[: len(img)], 0), fresh)


def test_what_dali_draws_can_be_left_to_it(batch: Tensor) -> None:
    geometry = Policy(name="geometry", groups=STRONG.groups[:1])
    everything = {operation.name for operation in geometry.operations}
    only_flip = OnlinePolicy(geometry, 0, skip=everything - {"flip"})(batch, ROWS, 0)
    flipped = next(one.index_n for one in draw(STRONG, 0, 0, ROWS) if one.operation.name == "flip")
    expected = batch / 255
    expected[flipped] = expected[flipped].flip(3)
    torch.testing.assert_close(only_flip, expected, atol=1e-4, rtol=0)
    assert torch.equal(OnlinePolicy(geometry, 0, skip=everything)(batch, ROWS, 0), batch / 255)
    without = OnlinePolicy(STRONG, 0, skip=DRAWN_BY_DALI)(batch, ROWS, 0)
    assert (without - OnlinePolicy(STRONG, 0)(batch, ROWS, 0)).abs().amax((1, 2, 3)).min() > 0


class NeverAsksTheDevice(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Fails at any call that, on a GPU, would wait for a value or for a shape that depends on one."""

    ASKING = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "bincount", "is_nonzero", "equal.default")

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        _types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        assert not any(name in str(func) for name in self.ASKING), f"{func} asks the device"
        indices = args[1] if "aten.index" in str(func) and isinstance(args[1], list) else []
        masked = any(index is not None and index.dtype == torch.bool for index in indices)
        assert not masked, f"{func} with a mask asks the device"
        return func(*args, **(kwargs or {}))


def test_the_device_is_never_asked(batch: Tensor) -> None:
    policy = OnlinePolicy(STRONG, 0)
    with NeverAsksTheDevice():  # type: ignore[no-untyped-call]
        policy(batch, ROWS, 0)
    with pytest.raises(AssertionError, match="asks the device"), NeverAsksTheDevice():  # type: ignore[no-untyped-call]
        batch[batch > 3]


def test_no_number_is_moved_to_the_device_beside_the_draws(batch: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """`torch.tensor` on a GPU waits for it."""
    policy = OnlinePolicy(STRONG, 0)
    monkeypatch.setattr(torch, "tensor", None)
    policy(batch, ROWS, 0)


def test_who_compiles_nothing_does_not_wait_for_the_compiler() -> None:
    code = (
        "import sys; from pipelines.augment import STRONG; from pipelines.augment.online import OnlinePolicy\n"
        "OnlinePolicy(STRONG, 0)\n"
        "assert 'torch._inductor' not in sys.modules, 'imported: it takes seconds'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "rows",
    [ROWS[:5], ROWS.astype(np.float64), ROWS.astype(np.int32), torch.from_numpy(ROWS)],
    ids=["few", "floats", "32 bits", "a tensor"],
)
def test_rows_that_are_not_the_images_own_are_refused(batch: Tensor, rows: Any) -> None:
    with pytest.raises(ValueError, match="48 images need as many rows, as numpy's int64 on the host"):
        OnlinePolicy(STRONG, 0)(batch, rows, 0)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_images_are_bytes_or_floats(batch: Tensor, dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=f"images are uint8 or floats, not {dtype}"):
        OnlinePolicy(STRONG, 0)(batch.to(dtype), ROWS, 0)


@pytest.mark.parametrize("backend", [None, "eager"])
def test_memory_that_the_result_does_not_fit_is_refused(batch: Tensor, backend: str | None) -> None:
    policy, shape = OnlinePolicy(STRONG, 0, compile_backend=backend), batch.shape
    others = torch.empty(shape[0] + 1, *shape[1:]), torch.empty(shape, dtype=torch.float64), torch.empty(shape).half()
    for out in others:
        with pytest.raises(ValueError, match="it must be as the images"):
            policy(batch, ROWS, 0, out=out)
    turned = torch.empty(shape[0], 1, shape[3], shape[2]).transpose(2, 3)
    with pytest.raises(ValueError, match="out must be contiguous"):
        policy(batch, ROWS, 0, out=turned)


@pytest.mark.parametrize("shape", [(0, 1, 8, 8), (1, 1, 8, 17), (1, 1, 17, 8), (1, 1, 1, 1)])
def test_no_images_and_images_longer_than_an_operation_can_do_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="no side more than 2 times the other"):
        OnlinePolicy(STRONG, 0)(torch.zeros(shape, dtype=torch.uint8), np.arange(shape[0]), 0)


def test_a_skip_of_nothing_known_is_refused() -> None:
    with pytest.raises(ValueError, match="no operation crop to skip"):
        OnlinePolicy(STRONG, 0, skip={"crop"})


def test_every_operation_of_the_tables_can_be_done() -> None:
    assert TAKES.keys() == MOVES.keys() | OPERATIONS.keys() == set(STREAMS[4:])
    assert GEOMETRY.keys() == MOVES.keys()
    assert TAKES.keys() == {operation.name for policy in (STRONG, LIGHT) for operation in policy.operations}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_normalise(batch: Tensor, channels: int, dtype: torch.dtype) -> None:
    mean, std = [0.5, 0.4, 0.3][:channels], [0.2, 0.25, 0.3][:channels]
    img = torch.cat([batch.roll(shift, 0) for shift in range(channels)], dim=1)
    out = normalise(img, mean, std, dtype)
    assert out.dtype == dtype
    assert out.is_contiguous(memory_format=torch.channels_last)
    expected = (img.double() / 255 - torch.tensor(mean).double().view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)
    torch.testing.assert_close(
        out.float(), expected.float(), atol=4 * torch.finfo(dtype).eps, rtol=torch.finfo(dtype).eps
    )
    torch.testing.assert_close(normalise(img / 255, mean, std, dtype), out)
