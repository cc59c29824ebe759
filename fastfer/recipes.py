"""Recommended settings, one row per architecture: what a run takes where nothing else is asked for."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How a network is fine-tuned with AdamW.

    `lr` is the peak for RECIPE_BATCH images a step and scaled linearly with them (Goyal et al. 2017). `layer_decay`
    multiplies it for each layer further from the output (Clark et al. 2020; 1 is off), `warmup_epochs` is its rise
    before half a cosine. `label_smoothing` is in 0..1.
    """

    lr: float
    weight_decay: float
    layer_decay: float = 1.0
    warmup_epochs: float = 2.0
    label_smoothing: float = 0.1


RECIPE_BATCH: Final = 128
RECIPES: Final = {
    "resnet": Recipe(lr=3e-4, weight_decay=0.05),
    "efficientnet": Recipe(lr=5e-4, weight_decay=0.02),
    "vit": Recipe(lr=1e-4, weight_decay=0.05, warmup_epochs=3.0),
    "efficientvit": Recipe(lr=3e-4, weight_decay=0.05),
}
"""A transformer without convolutions wants smaller steps and a longer rise; efficientnet's few weights less decay."""
OTHER_RECIPE: Final = Recipe(lr=3e-4, weight_decay=0.05)
"""For any other timm model."""
