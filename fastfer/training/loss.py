"""The loss: cross-entropy, told of rare classes where that is asked for."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


class Loss:
    """Cross-entropy with label smoothing, for labels (int64 `B`) or shares of classes (float `B x K`).

    `imbalance` says what is done about rare classes: `none`; `weights`, each class weighted by the inverse of its
    number of training images (scikit-learn's "balanced"); or `logits`, which adds the logarithm of each class's share
    to its logit while training (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, with tau = 1).
    """

    def __init__(
        self, counts: Mapping[str, float], classes: Sequence[str], *, imbalance: str, smoothing: float
    ) -> None:
        count_K = torch.tensor([max(1, counts[name]) for name in classes], dtype=torch.float64)
        self._smoothing = smoothing
        self._weight_K = (count_K.sum() / (len(classes) * count_K)).float() if imbalance == "weights" else None
        self._shift_K = (count_K / count_K.sum()).log().float() if imbalance == "logits" else None

    def to(self, device: torch.device) -> "Loss":
        """With its numbers on the device."""
        for name in ("_weight_K", "_shift_K"):
            if (value := getattr(self, name)) is not None:
                setattr(self, name, value.to(device))
        return self

    def __call__(self, logits_BK: Tensor, target: Tensor) -> Tensor:
        """The mean loss of a batch, a scalar.

        Weighted losses are divided by the number of images, as the weights of a split's images are 1 on average: so a
        batch counts alike in parts (`ACCUMULATE=`), in several processes, and with shares in place of labels.
        """
        if self._shift_K is not None:
            logits_BK = logits_BK + self._shift_K
        losses = F.cross_entropy(
            logits_BK, target, weight=self._weight_K, label_smoothing=self._smoothing, reduction="sum"
        )
        return losses / len(target)
