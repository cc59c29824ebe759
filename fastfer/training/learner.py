"""A network that learns: one epoch of training and validation, the same for every architecture and regime."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from sklearn.metrics import f1_score
from timm.optim import param_groups_weight_decay
from torch import nn

from fastfer.evaluation.predict import Predictions, Preprocessing, predict
from fastfer.models import build_model
from fastfer.training.log import EpochRow
from fastfer.training.mixing import Mixing
from fastfer.training.run import Run
from pipelines.augment import OnlinePolicy
from pipelines.loaders import Batch, Loader, prefetched
from pipelines.probe import peak_device_mib, peak_rss_mib
from pipelines.progress import Track


@dataclass(frozen=True, slots=True)
class Learner:
    """A network with all that makes it learn: `stepped` is the network as Fabric runs it (precision, device)."""

    fabric: Fabric
    network: nn.Module
    stepped: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR
    preprocessing: Preprocessing
    policy: OnlinePolicy | None
    mixing: Mixing | None
    label_smoothing: float

    @classmethod
    def of(cls, run: Run, fabric: Fabric, train: Loader) -> "Learner":
        """Build everything from the run's settings and the loader of its training images."""
        config = run.config
        preprocessing = Preprocessing.of(run.info, config.image_size)
        network = build_model(
            config.arch,
            channels=preprocessing.channels,
            num_classes=len(run.info.classes),
            image_size=preprocessing.image_size,
            pretrained=config.pretrained,
            weights=config.weights,
        ).to(memory_format=torch.channels_last)
        recipe = config.optimiser()
        optimiser = torch.optim.AdamW(param_groups_weight_decay(network, recipe.weight_decay), lr=recipe.lr)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, warmup_cosine(round(config.warmup_epochs * len(train)), config.epochs * len(train))
        )
        if config.compile:
            network.compile()
        stepped, optimiser = fabric.setup(network, optimiser)
        online = train.config.policy
        backend = "inductor" if config.compile else None
        policy = (
            None if online is None else OnlinePolicy(online, config.seed, skip=train.drawn, compile_backend=backend)
        )
        mixes = config.mixup > 0 or config.cutmix > 0
        mixing = Mixing(config.mixup, config.cutmix, config.seed, len(run.info.classes)) if mixes else None
        return cls(fabric, network, stepped, optimiser, schedule, preprocessing, policy, mixing, config.label_smoothing)

    def epoch(self, number: int, train: Loader, val: Loader, track: Track) -> EpochRow:
        """Train on one epoch and validate."""
        started = time.perf_counter()
        train.set_epoch(number)
        with track(f"Epoch {number}", total=len(train) + len(val), unit="batches") as advance:
            loss, accuracy, images, wait_s = self.train_epoch(train, advance)
            train_s = time.perf_counter() - started
            scores = _validation_scores(predict(self.stepped, val, self.preprocessing, advance=advance))
        return EpochRow(
            epoch=number,
            train_loss=loss,
            train_accuracy=accuracy,
            **scores,
            lr=float(self.schedule.get_last_lr()[0]),
            seconds=time.perf_counter() - started,
            images_per_s=images / train_s,
            loader_wait_s=wait_s,
            peak_rss_mib=peak_rss_mib(),
            peak_gpu_mib=peak_device_mib(self.fabric.device),
        )

    def train_epoch(self, train: Loader, advance: Callable[[int], None]) -> tuple[float, float, int, float]:
        """One pass over the epoch that `train` is set to; the device is asked once, at the end.

        Returns:
            Mean loss, accuracy, number of images, and the seconds waited for batches.
        """
        self.stepped.train()
        loss_sum = torch.zeros((), device=self.fabric.device)
        correct = torch.zeros((), device=self.fabric.device)
        images, waited = 0, Stopwatch()
        with closing(prefetched(train, self._prepared, self.fabric.device)) as ready:
            for batch in waited.between(ready):
                img_BCHW, target = (batch.img_BCHW, batch.label_B) if self.mixing is None else self.mixing(batch)
                logits_BK = self.stepped(img_BCHW)
                loss = F.cross_entropy(logits_BK, target, label_smoothing=self.label_smoothing)
                self.optimiser.zero_grad(set_to_none=True)
                self.fabric.backward(loss)
                self.fabric.clip_gradients(self.stepped, self.optimiser, max_norm=1.0, error_if_nonfinite=False)
                self.optimiser.step()
                self.schedule.step()
                loss_sum += loss.detach() * len(batch)
                correct += (logits_BK.detach().argmax(dim=1) == batch.label_B).sum()
                images += len(batch)
                advance(1)
        return loss_sum.item() / images, correct.item() / images, images, waited.seconds

    def _prepared(self, batch: Batch) -> Batch:
        """Augmented and standardised: what the network takes."""
        img_BCHW = batch.img_BCHW
        if self.policy is not None:
            img_BCHW = self.policy(img_BCHW, batch.draw_keys_B, batch.state.epoch)
        return replace(batch, img_BCHW=self.preprocessing(img_BCHW))

    def checkpoint(self, run: Run, epoch: int) -> dict[str, Any]:
        """All that using the network needs: tensors and plain containers."""
        return {
            "model": self.network.state_dict(),
            "architecture": run.settings["model"],
            "classes": list(run.info.classes),
            "preprocessing": self.preprocessing.as_dict(),
            "trained_on": {name: run.settings[name] for name in ("dataset", "variant", "records_sha256")},
            "epoch": epoch,
        }

    def learning_state(self) -> dict[str, Any]:
        """What going on with the training needs besides: AdamW keeps two numbers for each weight."""
        return {"optimiser": self.optimiser.state_dict(), "schedule": self.schedule.state_dict()}


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


def _validation_scores(predictions: Predictions) -> dict[str, float]:
    chosen_N = predictions.probability_NK[np.arange(len(predictions.label_N)), predictions.label_N]
    return {
        "val_loss": float(-np.log(np.maximum(chosen_N, np.finfo(np.float64).tiny)).mean()),
        "val_accuracy": float((predictions.predicted_N == predictions.label_N).mean()),
        "val_macro_f1": float(f1_score(predictions.label_N, predictions.predicted_N, average="macro", zero_division=0)),
    }
