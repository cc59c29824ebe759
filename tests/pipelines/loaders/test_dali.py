"""One pipeline for all epochs; and what it does of the policy on a GPU, tried with DALI's CPU operators."""

from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from nvidia.dali import Pipeline

from pipelines.augment import DRAWN_BY_DALI, LIGHT, STRONG, Policy
from pipelines.augment.online import OnlinePolicy
from pipelines.loaders import Batch, Loader, LoaderConfig, dali, open_joint, open_loader
from pipelines.loaders.dali import DaliLoader
from pipelines.records import encode_jpeg
from tests.conftest import assert_alike, assert_same_tail, make_records

SIZE_PX = 128
RANGES = {operation.name: operation.ranges for operation in STRONG.operations}


def ramps(folder: Path, axis: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images whose gray level is the place on one axis: 0 down, 1 across."""
    ramp = np.broadcast_to(np.arange(SIZE_PX, dtype=np.uint8), (SIZE_PX, SIZE_PX))
    jpeg = encode_jpeg(np.ascontiguousarray(ramp if axis else ramp.T))
    monkeypatch.setattr("tests.conftest.encode_jpeg", lambda _img: jpeg)
    return make_records(folder / f"axis-{axis}", per_split={"train": 96, "test": 8}, size_px=SIZE_PX)


@pytest.fixture(autouse=True)
def _on_the_cpu_in_several_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dali, "DRAWS_ON", {"cpu"})
    monkeypatch.setattr(dali, "TWO_DECODERS_ON", {"cpu"})
    monkeypatch.setattr(dali, "IMAGES_AT_ONCE", 48)


def opened(records: Path, **changes: object) -> Loader:
    settings = {"split": "train", "train": True, "policy": STRONG} | changes
    return open_loader(LoaderConfig(variant=records, batch=24, **settings))  # type: ignore[arg-type]


def batches(records: Path, drawn: frozenset[str] = DRAWN_BY_DALI, **changes: object) -> list[Batch]:
    with opened(records, **changes) as loader:
        assert loader.drawn == drawn
        loader.set_epoch(1)
        return list(loader)


def test_mirror_zoom_and_shift_are_drawn_from_the_policys_ranges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Along its ramp an image tells how it was read: the slope is 1/zoom, negative when mirrored."""
    half, quarter = SIZE_PX // 2, SIZE_PX // 4  # the middle, where no edge is seen
    zooms, shifts = {}, {}
    for axis, name in ((1, "x"), (0, "y")):
        found = batches(ramps(tmp_path, axis, monkeypatch))
        img_NHW = torch.cat([batch.img_BCHW[:, 0] for batch in found]).double().numpy()
        line_NS = img_NHW[:, half, :] if axis else img_NHW[:, :, half]
        slope = (line_NS[:, half + quarter] - line_NS[:, half - quarter]) / half
        zooms[name] = 1 / slope
        shifts[name] = (half - line_NS[:, half]) / slope / SIZE_PX
        limits = next(one for one in RANGES["translation"] if one.name == name)
        assert limits.low - 0.02 <= shifts[name].min() < 0.5 * limits.low
        assert 0.5 * limits.high < shifts[name].max() <= limits.high + 0.02
    (limits,) = RANGES["scale"]
    assert limits.low - 0.04 <= zooms["y"].min() < 0.92
    assert 1.08 < zooms["y"].max() <= limits.high + 0.04
    assert 0.3 < (zooms["x"] < 0).mean() < 0.7
    assert np.allclose(np.abs(zooms["x"]), zooms["y"], atol=0.06)  # one zoom for both axes
    assert np.abs(np.abs(shifts["x"]) - np.abs(shifts["y"])).mean() > 0.02  # but two shifts


def test_a_resumed_epoch_repeats_the_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_same_tail(partial(opened, ramps(tmp_path, 1, monkeypatch)), epoch=1)


def test_the_draws_are_those_the_policy_would_have_made_of_the_same_rows(tmp_path: Path) -> None:
    """But at the edges, which DALI extends and the policy mirrors."""
    made = make_records(tmp_path / "smooth", per_split={"train": 96}, size_px=SIZE_PX)
    plain = {
        row: image
        for batch in batches(made, policy=None, drawn=frozenset())
        for row, image in zip(batch.host_rows_B.tolist(), batch.img_BCHW, strict=True)
    }
    others = {operation.name for operation in STRONG.operations} - DRAWN_BY_DALI
    alone = OnlinePolicy(STRONG, seed=7, skip=others)
    middle = slice(SIZE_PX // 4, -SIZE_PX // 4)
    for batch in batches(made, seed=7):
        before = torch.stack([plain[row] for row in batch.host_rows_B.tolist()])
        expected = alone(before, batch.host_rows_B, batch.state.epoch)[:, :, middle, middle] * 255
        off = (batch.img_BCHW[:, :, middle, middle] - expected).abs()
        assert off.max() < 1.01
        assert (before[:, :, middle, middle] - expected).abs().mean() > 5


def test_a_joint_loaders_parts_draw_what_the_policy_draws_for_its_keys(tmp_path: Path) -> None:
    """Both parts have the same images; the smaller share of one makes the other come three times in an epoch."""
    made = [make_records(tmp_path / name, per_split={"train": 48}, size_px=SIZE_PX) for name in ("one", "other")]
    others = {operation.name for operation in STRONG.operations} - DRAWN_BY_DALI
    alone = OnlinePolicy(STRONG, seed=7, skip=others)
    middle = slice(SIZE_PX // 4, -SIZE_PX // 4)
    found: dict[str, list[Batch]] = {}
    for name, policy in (("plain", None), ("drawn", STRONG)):
        first = LoaderConfig(variant=made[0], split="train", batch=24, train=True, policy=policy, seed=7)
        with open_joint([first, replace(first, variant=made[1])], mixture=(1, 3)) as loader:
            assert loader.drawn == (DRAWN_BY_DALI if policy else frozenset())
            loader.set_epoch(2)
            found[name] = list(loader)
    assert len(found["drawn"]) == 8
    for plain, drawn in zip(found["plain"], found["drawn"], strict=True):
        assert plain.draw_keys_B.tolist() == drawn.draw_keys_B.tolist()
        expected = alone(plain.img_BCHW, plain.draw_keys_B, 2)[:, :, middle, middle] * 255
        assert (drawn.img_BCHW[:, :, middle, middle] - expected).abs().max() < 1.01


def test_epochs_in_any_order_are_as_if_each_were_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ramps(tmp_path, 1, monkeypatch)
    config = LoaderConfig(variant=made, split="train", batch=24, train=True, policy=STRONG)
    asked = [(1, 0), (2, 0), (2, 0), (3, 2), (1, 0), (5, 4), (5, 0), (6, 1)]
    with open_loader(config) as one:
        for epoch, consumed in asked:
            one.set_epoch(epoch, consumed=consumed)
            found = list(one)
            with open_loader(config) as fresh:
                fresh.set_epoch(epoch, consumed=consumed)
                expected = list(fresh)
            assert len(found) == 4 - consumed
            for mine, theirs in zip(found, expected, strict=True):
                assert torch.equal(mine.rows_B, theirs.rows_B)
                assert torch.equal(mine.img_BCHW, theirs.img_BCHW)


@pytest.mark.parametrize("step", [1, 2, 7, 64])
def test_half_of_all_rows_go_to_each_decoder_of_a_gpu(step: int) -> None:
    row_N = np.arange(0, 4000 * step, step)
    chosen_N = dali.by_own_decoder(row_N)
    assert chosen_N.dtype == np.bool_
    assert 0.45 < chosen_N.mean() < 0.55
    order = np.random.default_rng(0).permutation(len(row_N))
    assert np.array_equal(dali.by_own_decoder(row_N[order]), chosen_N[order])


@pytest.mark.parametrize("train", [True, False])
def test_one_pipeline_serves_all_epochs_also_those_left_in_the_middle(
    records: Path, train: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dali, "IMAGES_AT_ONCE", 8)
    built = []
    build = DaliLoader._built
    monkeypatch.setattr(DaliLoader, "_built", lambda self: built.append(self) or build(self))
    config = LoaderConfig(variant=records, split="test", batch=4, train=train, drop_last=False)
    with open_loader(config) as loader, open_loader(replace(config, kind="reference", workers=0)) as plain:
        for epoch, consumed, taken in [(0, 0, 6), (1, 0, 3), (1, 3, 6), (0, 0, 1), (4, 2, 2), (5, 0, 6), (5, 0, 6)]:
            assert_alike(loader, plain, epoch=epoch, consumed=consumed, taken=taken)
    assert len(built) == 1


@pytest.mark.parametrize("handed_over", [False, True])
def test_after_an_interruption_images_and_rows_still_belong_together(
    records: Path, handed_over: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes at the third run, before or after DALI has handed over its images."""
    monkeypatch.setattr(dali, "IMAGES_AT_ONCE", 4)
    share_outputs, runs = Pipeline.share_outputs, count()

    def interrupted(pipeline: Pipeline, *rest: object) -> object:
        stops = next(runs) == 2
        outputs = share_outputs(pipeline, *rest) if handed_over or not stops else None
        if stops:
            raise KeyboardInterrupt
        return outputs

    monkeypatch.setattr(Pipeline, "share_outputs", interrupted)
    config = LoaderConfig(variant=records, split="train", batch=4, train=True)
    with open_loader(config) as loader, open_loader(replace(config, kind="reference", workers=0)) as plain:
        with pytest.raises(KeyboardInterrupt):
            list(loader)
        assert_alike(loader, plain, epoch=0, consumed=2)


@pytest.mark.parametrize("at_once", [4, 24])
def test_what_was_begun_ends_where_the_loader_is_closed(
    records: Path, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dali, "IMAGES_AT_ONCE", at_once)
    with open_loader(LoaderConfig(variant=records, split="train", batch=4, train=True)) as loader:
        begun = iter(loader)
        next(begun)
    with pytest.raises(ValueError, match="closed"):
        list(begun)


def test_nothing_is_drawn_in_evaluation_or_without_a_policy_that_has_it_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ramps(tmp_path, 1, monkeypatch)
    plain = batches(made, split="test", train=False, drawn=frozenset())[0].img_BCHW
    assert all(torch.equal(plain[0], other) for other in plain)
    shortened = Policy(name="light", groups=LIGHT.groups[1:])
    with open_loader(LoaderConfig(variant=made, split="train", batch=24, train=True, policy=shortened)) as loader:
        assert loader.drawn == frozenset()
