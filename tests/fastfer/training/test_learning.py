"""Each architecture learns: 64 images by heart, in 32 bits and in bfloat16; and what the recipes and losses say."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from fastfer.config import TrainConfig
from fastfer.models import build_model
from fastfer.recipes import RECIPE_BATCH, RECIPES, Recipe
from fastfer.training.learner import Learner, never, parameter_groups
from fastfer.training.loss import Loss
from fastfer.training.run import Run
from fastfer.training.state import EpochProgress
from pipelines.errors import InputError
from pipelines.loaders import Batch, Loader, LoaderConfig, LoaderState
from pipelines.loaders.order import Share
from pipelines.progress import untracked
from pipelines.records import DatasetInfo, ShardReader, decode_jpeg
from tests.fastfer.conftest import DEMO_SETS, SIZE_PX

SMALL = {
    "resnet": "resnet10t",
    "efficientnet": "test_efficientnet",
    "vit": "vit_tiny_patch16_224",
    "efficientvit": "efficientvit_b0",
}
"""A small network of each of the study's families."""
BY_HEART = 64
LR = {"vit": 1e-3}


class ByHeart(Loader):
    """The first training images of both demo sets, in one order, in one batch."""

    def __init__(self, shards: Path, config: LoaderConfig, info: DatasetInfo) -> None:
        super().__init__(config, info, Share(0, BY_HEART, 1))
        names = [f"train-{number:05d}" for number in range(2)]
        readers = [ShardReader(shards / dataset / "preprocessed", name) for dataset in DEMO_SETS for name in names]
        samples = [sample for reader in readers for sample in reader]
        img_NHW = np.stack([decode_jpeg(sample.jpeg) for sample in samples[:BY_HEART]])
        labels = torch.tensor([sample.label for sample in samples[:BY_HEART]])
        rows = np.arange(len(labels))
        self._batch = Batch(torch.from_numpy(img_NHW)[:, None], labels, torch.from_numpy(rows), rows, LoaderState(0, 1))

    def _epoch(self) -> Iterator[Batch]:
        yield self._batch

    def close(self) -> None:
        pass


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("family", SMALL)
def test_each_architecture_learns_64_images_by_heart(family: str, precision: str, shards: Path) -> None:
    config = TrainConfig(
        dataset="demo-rafdb", arch=SMALL[family], pretrained=False, batch=32, epochs=90, lr=LR.get(family, 3e-3),
        warmup_epochs=3, label_smoothing=0, weight_decay=0, shards=shards,
    )  # fmt: skip
    run = Run.of(config)
    fabric = Fabric(accelerator="cpu", precision=precision)  # type: ignore[arg-type]
    fabric.seed_everything(0, verbose=False)
    images = ByHeart(shards, config.loader_config(run.parts[0].folder, "train"), run.info)
    assert len(next(iter(images))) == BY_HEART
    learner = Learner.of(run, fabric, images)
    for epoch in range(1, config.epochs + 1):
        row = learner.epoch(EpochProgress(epoch), images, images, untracked, never)
        if row.train_accuracy == row.val_accuracy == 1:
            return
    pytest.fail(
        f"after {config.epochs} steps {row.train_accuracy:.0%} are right in training, {row.val_accuracy:.0%} after"
    )


def test_the_recipe_is_taken_and_scaled_unless_told_otherwise() -> None:
    plain = TrainConfig(dataset="rafdb", arch="vit").recipe()
    assert plain == RECIPES["vit"]
    asked = TrainConfig(
        dataset="rafdb", arch="vit", batch=RECIPE_BATCH // 4, accumulate=2, layer_decay=0.75, warmup_epochs=1
    )
    assert asked.recipe() == Recipe(
        lr=RECIPES["vit"].lr / 2, weight_decay=0.05, layer_decay=0.75, warmup_epochs=1, label_smoothing=0.1
    )
    assert TrainConfig(dataset="rafdb", lr=0.5).recipe().lr == 0.5


def groups_by_name(network: nn.Module, recipe: Recipe) -> dict[str, tuple[float, float]]:
    """(learning rate, weight decay) of each parameter."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in parameter_groups(network, recipe)
        for parameter in group["params"]
    }


def test_norms_and_biases_do_not_decay_and_layers_learn_by_their_depth() -> None:
    network = build_model(SMALL["vit"], channels=1, num_classes=7, image_size=SIZE_PX)
    recipe = Recipe(lr=1.0, weight_decay=0.1)
    flat = groups_by_name(network, recipe)
    assert set(flat) == {name for name, _ in network.named_parameters()}
    assert {lr for lr, _ in flat.values()} == {1.0}
    assert flat["blocks.0.norm1.weight"][1] == flat["head.bias"][1] == 0
    assert flat["blocks.0.attn.qkv.weight"][1] == 0.1
    deep = groups_by_name(network, Recipe(lr=1.0, weight_decay=0.1, layer_decay=0.5))
    assert set(deep) == set(flat)
    assert deep["head.weight"][0] == 1.0
    for block in range(11):
        now, later = (deep[f"blocks.{number}.attn.qkv.weight"][0] for number in (block, block + 1))
        assert later == pytest.approx(2 * now)


COUNTS = {"a": 60, "b": 30, "c": 10}


def test_class_weights_are_those_of_scikit_learn() -> None:
    labels = np.repeat([0, 1, 2], list(COUNTS.values()))
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    logits, target = torch.randn(5, 3), torch.tensor([0, 1, 2, 2, 0])
    weights = torch.tensor(expected, dtype=torch.float32)
    each = nn.functional.cross_entropy(logits, target, reduction="none") * weights[target]
    loss = Loss(COUNTS, "abc", imbalance="weights", smoothing=0)
    torch.testing.assert_close(loss(logits, target), each.mean())
    split = torch.from_numpy(labels)
    assert weights[split].mean() == pytest.approx(1)


@pytest.mark.parametrize("imbalance", ["none", "weights", "logits"])
def test_a_batch_counts_alike_in_parts(imbalance: str) -> None:
    logits, target = torch.randn(6, 3), torch.tensor([0, 1, 2, 2, 2, 0])
    loss = Loss(COUNTS, "abc", imbalance=imbalance, smoothing=0.1)
    halves = [loss(logits[part], target[part]) for part in (slice(3), slice(3, 6))]
    torch.testing.assert_close(sum(halves) / 2, loss(logits, target))


@pytest.mark.parametrize("imbalance", ["none", "weights", "logits"])
def test_shares_of_one_class_are_a_label(imbalance: str) -> None:
    """So that MixUp changes the images and targets, and not how large steps are."""
    logits, target = torch.randn(6, 3), torch.tensor([0, 1, 2, 2, 2, 0])
    loss = Loss(COUNTS, "abc", imbalance=imbalance, smoothing=0.1)
    shares = nn.functional.one_hot(target, 3).float()
    torch.testing.assert_close(loss(logits, shares), loss(logits, target))


def test_adjusted_logits_are_fair_to_classes_that_the_network_cannot_tell_apart() -> None:
    """With no evidence the adjusted loss is least at equal logits, the plain one at the classes' shares."""
    shares = torch.tensor([0.6, 0.3, 0.1])
    for imbalance, expected in (("logits", torch.zeros(3)), ("none", shares.log() - shares.log().mean())):
        loss = Loss(COUNTS, "abc", imbalance=imbalance, smoothing=0)
        logits = torch.zeros(1, 3, requires_grad=True)
        optimiser = torch.optim.SGD([logits], lr=1.0)
        for _ in range(400):
            optimiser.zero_grad()
            loss(logits, shares[None]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        found = logits.detach()[0]
        torch.testing.assert_close(found - found.mean(), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"imbalance": "loss"}, "no imbalance 'loss'"),
        ({"monitor": "auroc"}, "no monitor 'auroc'"),
        ({"sampling": "fair"}, "no sampling 'fair'"),
        ({"ema": 1.0}, "ema is 1.0"),
        ({"accumulate": 0}, "accumulate is 0"),
        ({"layer_decay": 0.0}, "layer_decay is 0.0"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0"),
        ({"clip": -1.0}, "clip is -1.0"),
        ({"dataset": "rafdb+rafdb"}, "names a dataset twice"),
        ({"dataset": "rafdb+demo-expw"}, "kinds demo, real"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainConfig(**({"dataset": "rafdb"} | changes))  # type: ignore[arg-type]


def test_a_joint_set_has_one_name() -> None:
    assert TrainConfig(dataset="expw+rafdb").datasets == ("rafdb", "expw")
