"""Augmentation: one table of operations, drawn per image; kornia on device tensors, albumentations on files.

What applies the table is imported from `online` (kornia, torch) and `offline` (albumentations) by who needs it: each
takes seconds.
"""

from pipelines.augment.draws import draw
from pipelines.augment.policy import DRAWN_BY_DALI, LIGHT, STRONG, Policy, describe

__all__ = ["DRAWN_BY_DALI", "LIGHT", "STRONG", "Policy", "describe", "draw"]
