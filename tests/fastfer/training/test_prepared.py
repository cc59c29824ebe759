"""What the network is given in training: the loader's images, augmented by the policy and standardised."""

from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from fastfer.training.learner import Learner
from fastfer.training.run import Run
from pipelines.augment import DRAWN_BY_DALI, STRONG
from pipelines.augment.online import OnlinePolicy
from pipelines.loaders import dali
from tests.fastfer.test_together import TOGETHER
from tests.fastfer.training.test_fit import train_config


@pytest.mark.parametrize("draws_on", [set(), {"cpu"}], ids=["the policy draws all", "DALI draws some"])
def test_it_is_what_the_policy_makes_of_them(
    draws_on: set[str], shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By other draws in each epoch, and for an image that comes again in one."""
    monkeypatch.setattr(dali, "DRAWS_ON", draws_on)
    run = Run.of(train_config(shards, tmp_path, dataset=TOGETHER, sampling="equal", arch="test_resnet", seed=5))
    fabric, skip, come_again = Fabric(accelerator="cpu"), DRAWN_BY_DALI if draws_on else frozenset[str](), 0
    with run.open("train", fabric.device) as images:
        assert images.drawn == skip
        learner, policy = Learner.of(run, fabric, images), OnlinePolicy(STRONG, run.config.seed, skip=skip)
        for epoch in (1, 2):
            images.set_epoch(epoch)
            for batch in images:
                come_again += int((batch.draw_keys_B != batch.host_rows_B).sum())
                expected = learner.preprocessing(policy(batch.img_BCHW, batch.draw_keys_B, epoch))
                assert torch.equal(learner._prepared(batch), expected)
    assert come_again


def test_it_is_only_standardised_where_nothing_augments(shards: Path, tmp_path: Path) -> None:
    run = Run.of(train_config(shards, tmp_path, aug="none", arch="test_resnet", image_size=40))
    fabric = Fabric(accelerator="cpu")
    with run.open("train", fabric.device) as images:
        learner, seen = Learner.of(run, fabric, images), []
        for batch in images:
            prepared_BCHW = learner._prepared(batch)
            assert torch.equal(prepared_BCHW, learner.preprocessing(batch.img_BCHW))
            assert prepared_BCHW.shape[2:] == (40, 40) != batch.img_BCHW.shape[2:]
            seen.append(prepared_BCHW)
    std, mean = torch.std_mean(torch.cat(seen))
    assert abs(mean) < 0.1
    assert 0.85 < std < 1.1  # scaled to another size they are a little smoother
