"""What DALI's pipeline draws itself on a GPU, tried with its CPU operators: by the policy's own table."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.augment import DRAWN_BY_DALI, LIGHT, STRONG, Policy
from pipelines.loaders import Batch, LoaderConfig, dali, open_loader
from pipelines.loaders.dali import DaliLoader
from pipelines.records import encode_jpeg
from tests.conftest import make_records

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
    monkeypatch.setattr(dali, "IMAGES_AT_ONCE", 48)


def batches(records: Path, consumed: int = 0, **changes: object) -> list[Batch]:
    settings = {"split": "train", "train": True, "policy": STRONG} | changes
    with open_loader(LoaderConfig(variant=records, batch=24, **settings)) as loader:  # type: ignore[arg-type]
        assert loader.drawn == (DRAWN_BY_DALI if settings["train"] else frozenset())
        loader.set_epoch(1, consumed=consumed)
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
    made = ramps(tmp_path, 1, monkeypatch)
    whole = batches(made)
    for consumed in (1, 2, 3):
        again = batches(made, consumed=consumed)
        assert all(torch.equal(a.img_BCHW, b.img_BCHW) for a, b in zip(again, whole[consumed:], strict=True))


@pytest.mark.parametrize("early", [set(), {"cpu"}], ids=["at the end", "early"])
def test_the_next_epoch_that_was_begun_is_the_one_asked_for(
    early: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epochs in their order take up what the one before began; others do not; each is as if it were the first."""
    monkeypatch.setattr(dali, "BUILT_EARLY_ON", early)
    made = ramps(tmp_path, 1, monkeypatch)
    config = LoaderConfig(variant=made, split="train", batch=24, train=True, policy=STRONG)
    asked = [(1, 0), (2, 0), (2, 0), (3, 2), (1, 0), (5, 0)]
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


def test_evaluation_keeps_its_pipeline_and_gives_every_row_again(
    records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """23 images in runs of 8; an epoch that is left in the middle is begun anew."""
    monkeypatch.setattr(dali, "IMAGES_AT_ONCE", 8)
    built = []
    build = DaliLoader._build
    monkeypatch.setattr(DaliLoader, "_build", lambda self, epoch: built.append(epoch) or build(self, epoch))
    config = LoaderConfig(variant=records, split="test", batch=4, train=False)
    with open_loader(config) as loader:

        def epoch(number: int) -> list[tuple[list[int], torch.Tensor]]:
            loader.set_epoch(number)
            return [(batch.host_rows_B.tolist(), batch.img_BCHW.clone()) for batch in loader]

        first = epoch(0)
        assert sum(len(rows) for rows, _ in first) == 23
        for number in (1, 2, 2):
            again = epoch(number)
            assert [rows for rows, _ in again] == [rows for rows, _ in first]
            assert all(torch.equal(mine, theirs) for (_, mine), (_, theirs) in zip(again, first, strict=True))
        assert built == [0]
        loader.set_epoch(3, consumed=4)
        assert [batch.host_rows_B.tolist() for batch in loader] == [rows for rows, _ in first[4:]]
        next(iter(loader))
        assert [rows for rows, _ in epoch(4)] == [rows for rows, _ in first]
    assert built == [0, 4]


def test_nothing_is_drawn_in_evaluation_or_without_a_policy_that_has_it_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ramps(tmp_path, 1, monkeypatch)
    plain = batches(made, split="test", train=False)[0].img_BCHW
    assert all(torch.equal(plain[0], other) for other in plain)
    shortened = Policy(name="light", groups=LIGHT.groups[1:])
    with open_loader(LoaderConfig(variant=made, split="train", batch=24, train=True, policy=shortened)) as loader:
        assert loader.drawn == frozenset()
