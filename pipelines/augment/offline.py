"""Augmented copies of single images, made once and stored: the same tables through albumentations.

A copy is a pure function of (seed, key, copy), whatever was made before it, in which process, by which thread.
"""

import hashlib
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.augment.policy import LIGHT, Group, Operation, Policy


@contextmanager
def _doing_without(name: str) -> Iterator[None]:
    """Imports in this block find no module of that name, unless it is in use already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment] # what an import takes for "not installed"
    try:
        yield
    finally:
        del sys.modules[name]


os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else the import asks the network for a newer version
with _doing_without("torch"):  # which takes 5 s, and albumentations needs it for tensors alone
    import albumentations as A

Limits = Mapping[str, tuple[float, float]]
"""A parameter's (low, high) by its name."""

_AFFINE: Final[Mapping[str, Callable[[Limits], dict[str, Any]]]] = {
    "scale": lambda limits: {"scale": limits["zoom"], "keep_ratio": True},
    "rotation": lambda limits: {"rotate": limits["angle"]},
    "translation": lambda limits: {"translate_percent": {"x": limits["x"], "y": limits["y"]}},
}
"""Geometric operation -> its arguments for the one A.Affine that does them all (scale, then rotation, then shift)."""

_BRANCHES: Final[Mapping[str, Callable[[Limits, int, float], A.BasicTransform]]] = {
    "brightness_contrast": lambda limits, _size_px, chance: A.RandomBrightnessContrast(
        brightness_limit=limits["brightness"], contrast_limit=_shifted(limits["contrast"], -1), p=chance
    ),
    "gamma": lambda limits, _size_px, chance: A.RandomGamma(gamma_limit=_scaled(limits["gamma"], 100), p=chance),
    "gaussian_blur": lambda limits, size_px, chance: A.GaussianBlur(
        blur_limit=0, sigma_limit=_scaled(limits["sigma"], size_px), p=chance
    ),
    "gaussian_noise": lambda limits, _size_px, chance: A.GaussNoise(std_range=limits["sigma"], p=chance),
}
"""Operation -> its transform, from (limits, the image's longer side, its share of the branch)."""


def augment_copy(
    img: NDArray[np.uint8], *, policy: Policy = LIGHT, seed: int, key: str, copy: int
) -> NDArray[np.uint8]:
    """One augmented copy of an image: each group draws whether it acts, and one of its branches.

    Args:
        img: uint8 [H, W] or [H, W, C]; left as it is.
        policy: the table.
        seed: of the dataset.
        key: of the image.
        copy: which copy of this image, 0, 1, ...

    Returns:
        uint8 of the same shape.

    Raises:
        ValueError: the image is not uint8, or the policy has an operation that albumentations is not given here.
    """
    if img.dtype != np.uint8:
        raise ValueError(f"image of {key} must be uint8, got {img.dtype}")
    height_px, width_px = img.shape[:2]
    transform = _transform(policy, max(height_px, width_px), threading.get_ident())
    seed_of_copy = int.from_bytes(hashlib.blake2b(f"{seed}/{copy}/{key}".encode(), digest_size=16).digest(), "little")
    transform.set_random_state(np.random.default_rng(seed_of_copy), random.Random(seed_of_copy))
    augmented: NDArray[np.uint8] = transform(image=img)["image"]
    return augmented.reshape(img.shape)


@lru_cache(maxsize=64)
def _transform(policy: Policy, size_px: int, _thread: int) -> A.Compose:
    """Built once per thread, since the generators it draws from are set anew for each copy."""
    for operation in policy.operations:
        if operation.name not in (*_AFFINE, *_BRANCHES, "flip"):
            raise ValueError(f"policy {policy.name}: {operation.name} has no offline counterpart")
    for group in policy.groups:
        if (group.name == "geometry") != (group.applies == "all"):
            raise ValueError(f"policy {policy.name}: offline all of geometry acts, and one of any other group")
    steps = [
        step
        for group in policy.groups
        for step in (_geometry(group) if group.applies == "all" else [_one_of(group, size_px)])
    ]
    return A.Compose(steps)


def _geometry(group: Group) -> list[A.BasicTransform]:
    steps: list[A.BasicTransform] = []
    affine: dict[str, Any] = {}
    for operation in group.operations:
        if operation.name == "flip":
            steps.append(A.HorizontalFlip(p=group.probability * operation.chance))
        elif group.probability * operation.chance == 1.0:
            affine |= _AFFINE[operation.name](_limits(operation))
        else:
            raise ValueError(f"{operation.name}: offline geometry but the flip acts on every image")
    if affine:
        steps.append(A.Affine(**affine, border_mode=cv2.BORDER_REFLECT_101, p=1.0))
    return steps


def _one_of(group: Group, size_px: int) -> A.OneOf:
    return A.OneOf(
        [_BRANCHES[operation.name](_limits(operation), size_px, operation.chance) for operation in group.operations],
        p=group.probability,
    )


def _limits(operation: Operation) -> Limits:
    return {drawn.name: (drawn.low, drawn.high) for drawn in operation.ranges}


def _scaled(limits: tuple[float, float], factor: float) -> tuple[float, float]:
    return limits[0] * factor, limits[1] * factor


def _shifted(limits: tuple[float, float], by: float) -> tuple[float, float]:
    return limits[0] + by, limits[1] + by
