"""Runs a network over a split: the one way from batches to probabilities, for validation and for tests."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from pipelines.augment.online import normalise
from pipelines.loaders import Batch
from pipelines.records import DatasetInfo


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """What a network's input went through; a checkpoint carries it. `mean` and `std` per channel, in 0..1."""

    image_size: int
    channels: int
    mean: list[float]
    std: list[float]

    @classmethod
    def of(cls, info: DatasetInfo, image_size: int | None) -> Self:
        """For networks trained on `info`'s records, at their stored size unless another is asked for."""
        return cls(
            image_size=image_size or info.size_px, channels=info.channels, mean=info.pixel_mean, std=info.pixel_std
        )

    def __call__(self, img_BCHW: torch.Tensor) -> torch.Tensor:
        """uint8 in 0..255 or float in 0..1, any size -> standardised float32 `B x C x S x S`, channels last."""
        if img_BCHW.shape[-1] != self.image_size:
            if img_BCHW.dtype == torch.uint8:
                img_BCHW = img_BCHW.float() / 255
            size = (self.image_size, self.image_size)
            img_BCHW = F.interpolate(img_BCHW, size=size, mode="bilinear", antialias=True, align_corners=False)
        return normalise(img_BCHW, self.mean, self.std, torch.float32)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as a checkpoint holds them."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Predictions:
    """For N images: manifest rows, labels (int64) and softmax probabilities (float64, `N x K`)."""

    row_N: NDArray[np.int64]
    label_N: NDArray[np.int64]
    probability_NK: NDArray[np.float64]

    @property
    def predicted_N(self) -> NDArray[np.int64]:
        """The most probable class of each image."""
        return np.asarray(self.probability_NK.argmax(axis=1), np.int64)

    def without(self, rows: Sequence[int]) -> "Predictions":
        """The predictions of all other rows."""
        kept_N = ~np.isin(self.row_N, np.asarray(rows, np.int64))
        return Predictions(self.row_N[kept_N], self.label_N[kept_N], self.probability_NK[kept_N])


@torch.inference_mode()
def predict(
    model: nn.Module,
    batches: Iterable[Batch],
    preprocessing: Preprocessing,
    *,
    flip: bool = False,
    advance: Callable[[int], None] = lambda _batches: None,
) -> Predictions:
    """Predict every image of `batches`, in evaluation mode; the model's mode is put back afterwards.

    Logits are gathered on the device and fetched once, and the softmax is taken in float64 on the CPU. With `flip` it
    is the mean over each image and its mirror image.
    """
    was_training = model.training
    model.eval()
    logits, labels, rows = [], [], []
    for batch in batches:
        img_BCHW = preprocessing(batch.img_BCHW)
        views = [img_BCHW, img_BCHW.flip(3)] if flip else [img_BCHW]
        logits.append(torch.stack([model(view).float() for view in views]))
        labels.append(batch.label_B)
        rows.append(batch.host_rows_B)
        advance(1)
    model.train(was_training)
    probability_NK = torch.cat(logits, dim=1).cpu().double().softmax(dim=2).mean(dim=0).numpy()
    return Predictions(np.concatenate(rows), torch.cat(labels).cpu().numpy(), probability_NK)


def gathered(mine: Predictions, world_size: int) -> Predictions:
    """The predictions of all processes, in the order of their ranks; every one of them calls it."""
    if world_size == 1:
        return mine
    parts: list[Any] = [None] * world_size
    torch.distributed.all_gather_object(parts, mine)
    return Predictions(*(np.concatenate([getattr(part, name) for part in parts]) for name in Predictions.__slots__))
