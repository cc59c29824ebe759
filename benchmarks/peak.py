"""What this processor can compute at most, measured: the fastest of a few large matrix products."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

import torch

from benchmarks.harness import synchronise

TRIES: Final = 5
SIDE: Final = {"cpu": 2048, "cuda": 8192}
"""Rows and columns: large enough that every unit is busy, small enough to take a fraction of a second."""
DTYPES: Final = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""Fabric's precisions, and what their matrix products are in."""


@cache
def peak_flops(device: str, precision: str) -> float:
    """Floating-point operations a second of a matrix product in this precision of Fabric's, by all of torch's threads.

    A multiplication and an addition are two.
    """
    side = SIDE[device]
    left, right = (torch.randn(side, side, device=device, dtype=DTYPES[precision]) for _ in range(2))
    with _as_convolutions_compute(device):
        left @ right
        seconds = min(_seconds(left, right) for _ in range(TRIES))
    return 2 * side**3 / seconds


@contextmanager
def _as_convolutions_compute(device: str) -> Iterator[None]:
    """On a GPU torch lets convolutions round float32 to TF32 while products do not: the peak is then TF32's."""
    before = torch.get_float32_matmul_precision()
    if device == "cuda" and torch.backends.cudnn.allow_tf32:
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _seconds(left: torch.Tensor, right: torch.Tensor) -> float:
    synchronise()
    started = time.perf_counter()
    left @ right
    synchronise()
    return time.perf_counter() - started
