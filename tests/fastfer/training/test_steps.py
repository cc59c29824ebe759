"""The trainer takes the steps of a plain loop, written out here: accumulated, clipped, scheduled, mixed, averaged."""

import math
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from timm.utils import ModelEmaV3
from torch import nn

from fastfer.training import checkpoint, fit
from fastfer.training.learner import Learner, parameter_groups
from fastfer.training.loss import Loss
from fastfer.training.mixing import Mixing
from fastfer.training.run import Run
from fastfer.training.state import EpochProgress
from pipelines.errors import InputError
from pipelines.loaders import Loader
from tests.fastfer.training.test_fit import train_config

EPOCHS, GROUP, DECAY, LR, WARMUP_EPOCHS, MIXUP, CUTMIX, SEED = 2, 4, 0.9, 2e-3, 0.5, 0.4, 1.0, 5


def plain_training(learner: Learner, images: Loader, run: Run, network: nn.Module) -> nn.Module:
    """Train `network`, and return the moving average of its weights."""
    average = ModelEmaV3(network, decay=DECAY, use_warmup=True)
    optimiser = torch.optim.AdamW(parameter_groups(network, run.config.recipe()), fused=True)
    rates = [group["lr"] for group in optimiser.param_groups]
    assert set(rates) == {LR}
    mixing = Mixing(mixup=MIXUP, cutmix=CUTMIX, seed=SEED, num_classes=len(run.info.classes))
    loss = Loss(run.shown(), run.info.classes, imbalance="weights", smoothing=run.config.recipe().label_smoothing)
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
            if clip := run.config.clip:
                nn.utils.clip_grad_norm_(network.parameters(), clip)
            optimiser.step()
            optimiser.zero_grad()
            step += 1
            average.update(network, step=step)
    return average.module


@pytest.mark.parametrize("clip", [0.0, 0.5])  # after clipping, what a loss is divided by does not show
def test_they_are_those_of_a_plain_loop(clip: float, shards: Path, tmp_path: Path) -> None:
    config = train_config(
        shards, tmp_path, arch="test_resnet", aug="none", epochs=EPOCHS, batch=8, accumulate=GROUP, clip=clip,
        ema=DECAY, lr=LR, warmup_epochs=WARMUP_EPOCHS, mixup=MIXUP, cutmix=CUTMIX, seed=SEED, imbalance="weights",
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
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=LR / 100)  # Adam magnifies last bits
    assert learner.tested is not learner.network


def test_the_seed_fixes_the_initial_weights(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    def ended(self: Learner, *_others: object) -> None:
        seen.append({name: tensor.clone() for name, tensor in self.network.state_dict().items()})
        raise InputError("enough")

    monkeypatch.setattr(Learner, "epoch", ended)
    for number, seed in enumerate((0, 0, 1)):
        config = train_config(shards, tmp_path / str(number), arch="test_resnet", aug="none", seed=seed)
        with pytest.raises(InputError, match="enough"):
            fit.fit(Run.of(config))
    one, again, other = seen
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["conv1.0.weight"], other["conv1.0.weight"])


@pytest.mark.parametrize(("monitor", "sign"), [("macro_f1", 1), ("loss", -1)])
def test_a_training_ends_when_its_patience_does_and_keeps_the_best(
    monitor: str, sign: int, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second epoch is the best; two more are waited for."""
    scores = iter([0.3, 0.6, 0.5, 0.55, 0.9])

    def validated(*_all: object) -> dict[str, float]:
        names = ("loss", "accuracy", "balanced_accuracy", "macro_f1")
        return {f"val_{name}": 0.1 for name in names} | {f"val_{monitor}": 1 + sign * next(scores)}

    monkeypatch.setattr(Learner, "_validated", validated)
    config = train_config(
        shards, tmp_path, arch="test_resnet", aug="none", mixup=0.0, batch=32, epochs=9, patience=2, monitor=monitor
    )
    run = Run.of(config)
    fit.fit(run)
    assert [checkpoint.load(run.folder / name)["epoch"] for name in ("best.pth", "last.pth")] == [2, 4]
    assert run.is_trained
