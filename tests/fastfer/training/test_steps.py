"""The trainer takes the steps of a plain loop, written out here: accumulated, clipped, scheduled, mixed, averaged."""

import math
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from timm.utils import ModelEmaV3
from torch import nn

from fastfer.training.learner import Learner, parameter_groups
from fastfer.training.loss import Loss
from fastfer.training.mixing import Mixing
from fastfer.training.run import Run
from fastfer.training.state import EpochProgress
from pipelines.loaders import Loader
from tests.fastfer.training.test_fit import train_config

EPOCHS, GROUP, CLIP, DECAY, LR, WARMUP_EPOCHS, MIXUP, CUTMIX, SEED = 2, 4, 0.5, 0.9, 2e-3, 0.5, 0.4, 1.0, 5


def plain_training(learner: Learner, images: Loader, run: Run, network: nn.Module) -> nn.Module:
    """Train `network`, and return the moving average of its weights."""
    average = ModelEmaV3(network, decay=DECAY, use_warmup=True)
    optimiser = torch.optim.AdamW(parameter_groups(network, run.config.recipe()), fused=True)
    rates = [group["lr"] for group in optimiser.param_groups]
    assert set(rates) == {LR}
    mixing = Mixing(mixup=MIXUP, cutmix=CUTMIX, seed=SEED, num_classes=len(run.info.classes))
    loss = Loss(run.shown(), run.info.classes, imbalance="none", smoothing=run.config.recipe().label_smoothing)
    per_epoch = math.ceil(len(images) / GROUP)
    warmup, total, step = round(WARMUP_EPOCHS * per_epoch), EPOCHS * per_epoch, 0
    network.train()
    for epoch in range(1, EPOCHS + 1):
        images.set_epoch(epoch)
        batches = list(images)
        for start in range(0, len(batches), GROUP):
            group = batches[start : start + GROUP]
            cosine = 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
            for one in optimiser.param_groups:
                one["lr"] = LR * ((step + 1) / warmup if step < warmup else cosine)
            for batch in group:
                img_BCHW, target = mixing(replace(batch, img_BCHW=learner.preprocessing(batch.img_BCHW)))
                (loss(network(img_BCHW), target) / len(group)).backward()
            nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimiser.step()
            optimiser.zero_grad()
            step += 1
            average.update(network, step=step)
    return average.module


def test_they_are_those_of_a_plain_loop(shards: Path, tmp_path: Path) -> None:
    config = train_config(
        shards, tmp_path, arch="test_resnet", aug="none", epochs=EPOCHS, batch=8, accumulate=GROUP, clip=CLIP,
        ema=DECAY, lr=LR, warmup_epochs=WARMUP_EPOCHS, mixup=MIXUP, cutmix=CUTMIX, seed=SEED,
    )  # fmt: skip
    run, fabric = Run.of(config), Fabric(accelerator="cpu")
    with run.open("train", fabric.device) as images:
        assert len(images) % GROUP, "the last group is short"
        learner = Learner.of(run, fabric, images)
        network = deepcopy(learner.network)
        for epoch in range(1, EPOCHS + 1):
            learner.train_epoch(images, EpochProgress(epoch), lambda _count: None)
        average = plain_training(learner, images, run, network)
    for ours, plain in ((learner.network, network), (learner.tested, average)):
        assert [name for name, _ in ours.named_parameters()] == [name for name, _ in plain.named_parameters()]
        for found, expected in zip(ours.state_dict().values(), plain.state_dict().values(), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    assert learner.tested is not learner.network
