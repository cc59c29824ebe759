"""A network that learns: one epoch of training and validation, the same for every architecture and regime."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from sklearn.metrics import balanced_accuracy_score, f1_score
from timm.optim import param_groups_layer_decay, param_groups_weight_decay
from timm.utils import ModelEmaV3
from torch import nn

from fastfer.config import TrainConfig
from fastfer.evaluation.predict import Predictions, Preprocessing, gathered, predict
from fastfer.models import build_model
from fastfer.recipes import Recipe
from fastfer.training.gpu_use import watched
from fastfer.training.log import EpochRow
from fastfer.training.loss import Loss
from fastfer.training.mixing import Mixing
from fastfer.training.run import Run
from fastfer.training.state import EpochProgress
from pipelines.augment.online import OnlinePolicy
from pipelines.errors import InputError
from pipelines.loaders import Batch, Loader, prefetched
from pipelines.probe import peak_device_mib, peak_rss_mib
from pipelines.progress import Track


class Stopped(Exception):
    """Training was asked to stop, and did where it can be taken up again."""


def never() -> bool:
    """Nobody asks to stop."""
    return False


@dataclass(frozen=True, slots=True)
class Learner:
    """A network with all that makes it learn: `stepped` is the network as Fabric runs it (precision, device, DDP)."""

    fabric: Fabric
    network: nn.Module
    stepped: nn.Module
    average: ModelEmaV3 | None
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR
    preprocessing: Preprocessing
    policy: OnlinePolicy | None
    mixing: Mixing | None
    loss: Loss
    config: TrainConfig

    @classmethod
    def of(cls, run: Run, fabric: Fabric, train: Loader) -> "Learner":
        """Build everything from the run's settings and the loader of its training images."""
        config, recipe, classes = run.config, run.config.recipe(), run.info.classes
        preprocessing = Preprocessing.of(run.info, config.image_size)
        network = build_model(
            config.arch,
            channels=preprocessing.channels,
            num_classes=len(classes),
            image_size=preprocessing.image_size,
            pretrained=config.pretrained,
            weights=config.weights,
        ).to(memory_format=torch.channels_last)
        network.to(fabric.device)
        average = ModelEmaV3(network, decay=config.ema, use_warmup=True) if config.ema else None
        fused = fabric.strategy.precision.precision != "16-mixed"  # Fabric cannot clip what a fused step unscales
        optimiser = torch.optim.AdamW(parameter_groups(network, recipe), fused=fused)
        steps = -(-len(train) // config.accumulate)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, warmup_cosine(round(recipe.warmup_epochs * steps), config.epochs * steps)
        )
        if config.compile:
            network.compile(dynamic=False)  # with sizes left open, other bits would come of a stop in validation
        stepped, optimiser = fabric.setup(network, optimiser)
        policy = online_policy(config, train)
        mixes = config.mixup > 0 or config.cutmix > 0
        mixing = Mixing(config.mixup, config.cutmix, config.seed, len(classes)) if mixes else None
        loss = Loss(run.shown(), classes, imbalance=config.imbalance, smoothing=recipe.label_smoothing).to(
            fabric.device
        )
        return cls(fabric, network, stepped, average, optimiser, schedule, preprocessing, policy, mixing, loss, config)

    def epoch(
        self, progress: EpochProgress, train: Loader, val: Loader, track: Track, stop: Callable[[], bool] = never
    ) -> EpochRow:
        """Train what is left of an epoch, and validate.

        Raises:
            Stopped: as `stop` asked; `progress` says how far it came.
        """
        with (
            watched(self.device, progress),
            track(f"Epoch {progress.epoch}", total=len(train) + len(val), unit="batches") as advance,
        ):
            advance(progress.batches)
            self.train_epoch(train, progress, advance, stop)
            started = time.perf_counter()
            scores = self._validated(val, advance, stop)
        sums = torch.stack([progress.loss_sum, progress.correct, torch.tensor(progress.images, device=self.device)])
        loss_sum, correct, images = self._over_all(sums, "sum").tolist()
        return EpochRow(
            epoch=progress.epoch,
            train_loss=loss_sum / images,
            train_accuracy=correct / images,
            **scores,
            lr=float(self.schedule.get_last_lr()[-1]),
            seconds=progress.seconds + time.perf_counter() - started,
            train_seconds=progress.seconds,
            images_per_s=images / progress.seconds,
            loader_wait_s=progress.waited_s,
            peak_rss_mib=peak_rss_mib(),
            peak_gpu_mib=peak_device_mib(self.device),
            energy_j=progress.gpu.energy_j,
            gpu_utilisation=progress.gpu.utilisation,
            gpu_memory_mib=progress.gpu.memory_mib,
        )

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.fabric.device

    @property
    def tested(self) -> nn.Module:
        """The network whose weights are validated and kept: the moving average where there is one."""
        return self.network if self.average is None else self.average.module

    def train_epoch(
        self, train: Loader, progress: EpochProgress, advance: Callable[[int], None], stop: Callable[[], bool] = never
    ) -> None:
        """What is left of one pass over the training images; the device is not asked for anything.

        Raises:
            Stopped: as `stop` asked, between two steps of the optimiser.
        """
        if progress.batches == len(train):
            return
        self.stepped.train()
        train.set_epoch(progress.epoch, consumed=progress.batches)
        waited, trained_before, waited_before = Stopwatch(), progress.seconds, progress.waited_s
        started = time.perf_counter()
        with closing(prefetched(train, self._prepared, self.device)) as ready:
            for batch in waited.between(ready):
                steps = self._learn(batch, progress, len(train))
                progress.seconds = trained_before + time.perf_counter() - started
                progress.waited_s = waited_before + waited.seconds
                advance(1)
                if steps and stop():
                    raise Stopped

    def _learn(self, batch: Batch, progress: EpochProgress, batches: int) -> bool:
        """Learn from a batch; whether that completed a step of the optimiser."""
        group_start = progress.batches // self.config.accumulate * self.config.accumulate
        group = min(self.config.accumulate, batches - group_start)
        steps = progress.batches + 1 == group_start + group
        with self.fabric.no_backward_sync(self.stepped, enabled=not steps):  # type: ignore[arg-type]
            img_BCHW, target = (batch.img_BCHW, batch.label_B) if self.mixing is None else self.mixing(batch)
            logits_BK = self.stepped(img_BCHW)
            loss = self.loss(logits_BK, target)
            self.fabric.backward(loss / group)
        progress.count(loss.detach(), (logits_BK.detach().argmax(dim=1) == batch.label_B).sum(), len(batch))
        if steps:
            if self.config.clip:
                self.fabric.clip_gradients(
                    self.stepped, self.optimiser, max_norm=self.config.clip, error_if_nonfinite=False
                )
            self.optimiser.step()
            self.optimiser.zero_grad(set_to_none=True)
            self.schedule.step()
            if self.average is not None:
                self.average.update(self.network, step=self.schedule.last_epoch)
        return steps

    def _validated(self, val: Loader, advance: Callable[[int], None], stop: Callable[[], bool]) -> dict[str, float]:
        def advanced(count: int) -> None:
            advance(count)
            if stop():
                raise Stopped

        network = self.stepped if self.average is None else self.average.module
        if self.average is not None and self.fabric.world_size > 1:
            for buffer in self.average.module.buffers():  # each process averages the statistics of its own images
                torch.distributed.broadcast(buffer, 0)
        with self.fabric.autocast():
            mine = predict(network, val, self.preprocessing, advance=advanced)
        return validation_scores(gathered(mine, self.fabric.world_size))

    def _over_all(self, values: torch.Tensor, operation: str) -> torch.Tensor:
        """The `sum` or `min` over all processes."""
        found = self.fabric.all_reduce(values, reduce_op=operation)
        assert isinstance(found, torch.Tensor)
        return found

    def first_bad_step(self, progress: EpochProgress) -> float:
        """The first batch of the epoch, from 1, whose loss was not finite in a process; infinite if there is none."""
        return float(self._over_all(progress.bad_step, "min"))

    def _prepared(self, batch: Batch) -> torch.Tensor:
        """Its images augmented and standardised: what the network takes."""
        img_BCHW = batch.img_BCHW
        if self.policy is not None:
            img_BCHW = self.policy(img_BCHW, batch.draw_keys_B, batch.state.epoch, coming_N=batch.coming_N)
        return self.preprocessing(img_BCHW)

    def ran_on(self) -> dict[str, Any]:
        """What must be the same for a training to go on exactly."""
        precision = self.fabric.strategy.precision.precision
        return {"device": self.device.type, "precision": precision, "processes": self.fabric.world_size}

    def state(self) -> dict[str, Any]:
        """What going on with the training needs besides the network: AdamW keeps two numbers for each weight."""
        return {
            "ran_on": self.ran_on(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.fabric.strategy.precision.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }

    def take_up(self, content: dict[str, Any]) -> None:
        """Go on from the network and the state that a checkpoint holds.

        Raises:
            InputError: it ran on another kind of device, in another precision, or in more or fewer processes.
        """
        if content["ran_on"] != self.ran_on():
            before, now = (
                ", ".join(f"{key} {value}" for key, value in of.items()) for of in (content["ran_on"], self.ran_on())
            )
            raise InputError(f"the run was begun with {before} and cannot go on with {now}: RESUME=0 begins it anew")
        self.network.load_state_dict(content["model"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.schedule.load_state_dict(content["schedule"])
        self.fabric.strategy.precision.load_state_dict(content["scaler"])
        if self.average is not None:
            self.average.load_state_dict(content["average"])
        torch.set_rng_state(content["random"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(content["random_cuda"], self.device)


def online_policy(config: TrainConfig, train: Loader) -> OnlinePolicy | None:
    """What the loader leaves to do of the policy that its images are to meet; None where there is none."""
    if (policy := train.config.policy) is None:
        return None
    backend = "inductor" if config.compile else None
    return OnlinePolicy(policy, config.seed, skip=train.drawn, compile_backend=backend)


def parameter_groups(network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """AdamW's groups: no decay of norms and biases, and by layer the learning rate that the recipe gives."""
    if recipe.layer_decay == 1:
        groups = param_groups_weight_decay(network, recipe.weight_decay)
    else:
        groups = param_groups_layer_decay(network, recipe.weight_decay, layer_decay=recipe.layer_decay)
    return [
        {
            "params": group["params"],
            "weight_decay": group["weight_decay"],
            "lr": recipe.lr * group.get("lr_scale", 1.0),
        }
        for group in groups
    ]


class Stopwatch:
    """Adds up the time that an iteration waits for its next item."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def between(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches; the time until each arrives is added to `seconds`."""
        source = iter(batches)
        while True:
            asked = time.perf_counter()
            batch = next(source, None)
            self.seconds += time.perf_counter() - asked
            if batch is None:
                return
            yield batch


def warmup_cosine(warmup_steps: int, total_steps: int) -> Callable[[int], float]:
    """The learning rate's factor by step: linear to 1, then half a cosine to 0 (Loshchilov & Hutter 2017)."""

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        done = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    return factor


def validation_scores(predictions: Predictions) -> dict[str, float]:
    """Loss (nats), accuracy, balanced accuracy and macro-F1, named as in `EpochRow`."""
    chosen_N = predictions.probability_NK[np.arange(len(predictions.label_N)), predictions.label_N]
    return {
        "val_loss": float(-np.log(np.maximum(chosen_N, np.finfo(np.float64).tiny)).mean()),
        "val_accuracy": float((predictions.predicted_N == predictions.label_N).mean()),
        "val_balanced_accuracy": float(balanced_accuracy_score(predictions.label_N, predictions.predicted_N)),
        "val_macro_f1": float(f1_score(predictions.label_N, predictions.predicted_N, average="macro", zero_division=0)),
    }
