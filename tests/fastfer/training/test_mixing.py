"""Mixed images and labels: in the same shares, drawn anew each step, the same whenever a step is repeated."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fastfer.training.mixing import Mixing, cut_boxes
from pipelines.loaders import Batch, LoaderState

NUM = 6
EVERY = [Mixing(0.4, 0.0, 0, 7), Mixing(0.0, 1.0, 0, 7), Mixing(0.4, 1.0, 0, 7)]


def batch(step: int = 1, epoch: int = 1) -> Batch:
    """Image i is filled with i and has the label i."""
    number = torch.arange(NUM)
    img_BCHW = number.float()[:, None, None, None].expand(NUM, 1, 20, 30).clone()
    return Batch(img_BCHW, number, number, number.numpy(), LoaderState(epoch, step))


@pytest.mark.parametrize("mixing", EVERY)
def test_labels_are_mixed_as_the_images_are(mixing: Mixing) -> None:
    """The mean of an image of constant pixels tells how much of its neighbour is in it."""
    neighbour = torch.arange(NUM).roll(1).float()
    for step in range(1, 30):
        img_BCHW, target_BK = mixing(batch(step))
        torch.testing.assert_close(target_BK.sum(1), torch.ones(NUM))
        own = target_BK[torch.arange(NUM), torch.arange(NUM)]
        assert (own >= 0.44).all()  # boxes are rounded to pixels, and these images are small
        torch.testing.assert_close(img_BCHW.mean((1, 2, 3)), own * torch.arange(NUM) + (1 - own) * neighbour)


def test_cutmix_pastes_and_mixup_blends() -> None:
    cut, _ = Mixing(0.0, 1.0, 0, 7)(batch())
    assert set(cut.unique().tolist()) <= set(range(NUM))
    blended, _ = Mixing(1.0, 0.0, 0, 7)(batch())
    assert all(len(img.unique()) == 1 for img in blended)
    assert set(blended.unique().tolist()) - set(range(NUM))


def test_with_both_batches_take_turns() -> None:
    kinds = [
        bool(set(Mixing(1.0, 1.0, 0, 7)(batch(step))[0].unique().tolist()) - set(range(NUM))) for step in range(40)
    ]
    assert 8 < sum(kinds) < 32


@pytest.mark.parametrize("mixing", EVERY)
def test_a_step_repeats_and_others_differ(mixing: Mixing) -> None:
    first = mixing(batch())[0]
    assert torch.equal(first, mixing(batch())[0])
    others = [mixing(batch(2)), mixing(batch(1, epoch=2)), replace(mixing, seed=1)(batch())]
    assert all(not torch.equal(first, other) for other, _ in others)


def test_boxes_have_their_share_where_no_edge_cuts_them() -> None:
    share_B = np.full(2000, 0.04)
    box_B4 = cut_boxes(np.random.default_rng(0), share_B, 100, 200)
    assert box_B4.min() >= 0
    assert box_B4[:, 2].max() == 200
    assert box_B4[:, 3].max() == 100
    area_B = (box_B4[:, 2] - box_B4[:, 0]) * (box_B4[:, 3] - box_B4[:, 1])
    assert np.median(area_B) == pytest.approx(0.04 * 100 * 200, rel=0.03)
