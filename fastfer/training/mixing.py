"""MixUp and CutMix: each image takes a share of its neighbour in the batch, and its label the same share.

Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: Beyond Empirical Risk Minimization", ICLR 2018; Yun et al., "CutMix:
Regularization Strategy to Train Strong Classifiers with Localizable Features", ICCV 2019. Every image keeps half of
itself or more (to the pixel that a box is rounded to), so its own label stays the one that training accuracy counts.
Draws are a function of (seed, epoch, step), made on the host.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipelines.buffers import upload
from pipelines.loaders import Batch

PURPOSE: Final = 3
"""Keeps these draws apart from other uses of (seed, epoch)."""


@dataclass(frozen=True, slots=True)
class Mixing:
    """`mixup` and `cutmix` are the alphas of Beta(alpha, alpha), 0 is off; with both on, each batch draws one."""

    mixup: float
    cutmix: float
    seed: int
    num_classes: int

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The mixed images (as they come in) and their targets, float32 `B x K` that sum to 1."""
        rng = np.random.default_rng((self.seed, batch.state.epoch, batch.state.batches, PURPOSE))
        cuts = self.cutmix > 0 and (self.mixup == 0 or rng.random() < 0.5)
        alpha = self.cutmix if cuts else self.mixup
        share_B = rng.beta(alpha, alpha, len(batch))
        other_share_B = np.minimum(share_B, 1 - share_B)
        img_BCHW, other_BCHW = batch.img_BCHW, batch.img_BCHW.roll(1, 0)
        if cuts:
            height_px, width_px = img_BCHW.shape[-2:]
            box_B4 = cut_boxes(rng, other_share_B, height_px, width_px)
            other_share_B = (box_B4[:, 2] - box_B4[:, 0]) * (box_B4[:, 3] - box_B4[:, 1]) / (height_px * width_px)
            mixed_BCHW = torch.where(_inside(box_B4, img_BCHW), other_BCHW, img_BCHW)
        else:
            weight_B = upload(other_share_B.astype(np.float32), img_BCHW.device).to(img_BCHW.dtype)
            mixed_BCHW = torch.lerp(img_BCHW, other_BCHW, weight_B[:, None, None, None])
        own_BK = F.one_hot(batch.label_B, self.num_classes).float()
        return mixed_BCHW, torch.lerp(
            own_BK, own_BK.roll(1, 0), upload(other_share_B.astype(np.float32), img_BCHW.device)[:, None]
        )


def cut_boxes(
    rng: np.random.Generator, share_B: NDArray[np.float64], height_px: int, width_px: int
) -> NDArray[np.int64]:
    """Boxes (xmin, ymin, xmax, ymax), in pixels, of the given shares of the image, cut off at its edges."""
    half_B2 = np.sqrt(share_B)[:, None] * (width_px, height_px) / 2
    middle_B2 = rng.random((len(share_B), 2)) * (width_px, height_px)
    corners_B4 = np.concatenate([middle_B2 - half_B2, middle_B2 + half_B2], axis=1)
    return np.asarray(np.rint(corners_B4).clip(0, [width_px, height_px] * 2), np.int64)


def _inside(box_B4: NDArray[np.int64], img_BCHW: Tensor) -> Tensor:
    """Bool `B x 1 x H x W`: the pixels of each image's box."""
    x_W, y_H = (torch.arange(size, device=img_BCHW.device) for size in reversed(img_BCHW.shape[-2:]))
    left, top, right, bottom = upload(box_B4, img_BCHW.device).T[:, :, None, None]
    rows_BH1 = (y_H[:, None] >= top) & (y_H[:, None] < bottom)
    columns_B1W = (x_W >= left) & (x_W < right)
    inside_BHW: Tensor = rows_BH1 & columns_B1W
    return inside_BHW[:, None]
