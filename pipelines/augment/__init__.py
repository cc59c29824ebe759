"""Augmentation: one table of operations, drawn per image; kornia on device tensors, albumentations on files."""

from pipelines.augment.draws import draw
from pipelines.augment.offline import augment_copy
from pipelines.augment.online import OnlinePolicy, normalise
from pipelines.augment.policy import DRAWN_BY_DALI, LIGHT, STRONG, Policy, describe

__all__ = [
    "DRAWN_BY_DALI",
    "LIGHT",
    "STRONG",
    "OnlinePolicy",
    "Policy",
    "augment_copy",
    "describe",
    "draw",
    "normalise",
]
