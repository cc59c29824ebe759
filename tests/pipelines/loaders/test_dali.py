"""What DALI's pipeline draws itself on a GPU, tried with its CPU operators: by the policy's own table."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.augment import DRAWN_BY_DALI, LIGHT, STRONG
from pipelines.loaders import Batch, LoaderConfig, dali, open_loader
from pipelines.records import encode_jpeg
from tests.conftest import make_records

SIZE_PX = 128
RANGES = {operation.name: operation.ranges for operation in STRONG.operations}


@pytest.fixture
def ramps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images whose gray level is the place on the x axis plus half that on the y axis."""
    x_W = np.arange(SIZE_PX)
    ramp = (x_W + x_W[:, None] / 2).astype(np.uint8)
    monkeypatch.setattr("tests.conftest.encode_jpeg", lambda _img: encode_jpeg(ramp))
    monkeypatch.setattr(dali, "DRAWS_ON", {"cpu"})
    return make_records(tmp_path / "ramps", per_split={"train": 96, "test": 8}, size_px=SIZE_PX)


def batches(records: Path, consumed: int = 0, **changes: object) -> list[Batch]:
    settings = {"split": "train", "train": True, "policy": STRONG} | changes
    with open_loader(LoaderConfig(variant=records, batch=24, **settings)) as loader:  # type: ignore[arg-type]
        assert loader.drawn == (DRAWN_BY_DALI if settings["train"] else frozenset())
        loader.set_epoch(1, consumed=consumed)
        return list(loader)


def test_mirror_zoom_and_shift_are_drawn_from_the_policys_ranges(ramps: Path) -> None:
    half, quarter = SIZE_PX // 2, SIZE_PX // 4  # the middle, where no edge is seen
    img_NHW = torch.cat([batch.img_BCHW[:, 0] for batch in batches(ramps)]).double().numpy()
    per_x = (img_NHW[:, half, half + quarter] - img_NHW[:, half, half - quarter]) / half
    per_y = (img_NHW[:, half + quarter, half] - img_NHW[:, half - quarter, half]) / half
    zoom = 0.5 / per_y
    mirrored = per_x < 0
    assert np.allclose(np.abs(per_x) * zoom, 1, atol=0.06)  # one zoom for both axes
    (limits,) = RANGES["scale"]
    assert limits.low - 0.05 <= zoom.min() < 0.92
    assert 1.08 < zoom.max() <= limits.high + 0.05
    assert 0.3 < mirrored.mean() < 0.7
    shift_x, shift_y = ((64 * 1.5 - img_NHW[:, half, half]) / SIZE_PX * share for share in (1.0, 2.0))
    most = RANGES["translation"][0].high / 0.85 * 1.5  # both axes move the level at the middle
    assert np.abs(shift_x).max() <= most
    assert np.abs(shift_y).std() > 0.02
    assert len({img.tobytes() for img in img_NHW}) == len(img_NHW)


def test_a_resumed_epoch_repeats_the_draws(ramps: Path) -> None:
    whole = batches(ramps)
    assert all(torch.equal(a.img_BCHW, b.img_BCHW) for a, b in zip(batches(ramps, consumed=2), whole[2:], strict=True))


def test_nothing_is_drawn_in_evaluation_or_without_a_policy_that_has_it_all(ramps: Path) -> None:
    plain = batches(ramps, split="test", train=False)[0].img_BCHW
    assert all(torch.equal(plain[0], other) for other in plain)
    shortened = LIGHT.__class__(name="light", groups=LIGHT.groups[1:])
    with open_loader(LoaderConfig(variant=ramps, split="train", batch=24, train=True, policy=shortened)) as loader:
        assert loader.drawn == frozenset()
