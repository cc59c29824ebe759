"""The inference suite: engines that give the same logits are timed call by call, the others are named."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.inference import COMPILED, EAGER, ONNX, Engines, InTorch, engines, inference_case
from benchmarks.peers.environments import is_ready


class Made:
    """An engine whose logits are those of another, off by a little, and whose calls may fail."""

    def __init__(self, like: InTorch, off: float, fails: bool = False) -> None:
        self.like, self.off, self.fails = like, off, fails

    def outputs(self, batch: int) -> NDArray[np.float64]:
        return self.like.outputs(batch) * (1 + self.off)

    def calls(self, batch: int, count: int) -> list[float]:
        if self.fails:
            raise RuntimeError("out of paper")
        return self.like.calls(batch, count)


@pytest.fixture(scope="module")
def small() -> Iterator[Engines]:
    with ExitStack() as opened:
        yield engines(opened, "resnet10t", size_px=32, images=4, compiled=False)


def test_every_engine_gives_the_same_logits_and_percentiles_of_its_calls(small: Engines) -> None:
    case = inference_case(small, "Latency", batch=1, calls=25, repeats=2)
    if is_ready("onnx"):
        assert set(case.contenders) == {EAGER, ONNX}
        assert case.contenders[ONNX].versions["onnxruntime"]
    else:
        assert case.failed == {ONNX: "the environment onnx is not there: make peers"}
    for entry in case.contenders.values():
        assert entry.items == 25
        p50, p95, p99 = (entry.measures[name] or 0 for name in ("p50_ms", "p95_ms", "p99_ms"))
        assert 0 < p50 <= p95 <= p99


def test_few_calls_have_no_percentiles(small: Engines) -> None:
    case = inference_case(small, "Throughput", batch=4, calls=1, repeats=1)
    assert case.contenders[EAGER].items == 4
    assert case.contenders[EAGER].measures["p99_ms"] is None


def test_other_logits_and_errors_are_named(small: Engines) -> None:
    eager = small.networks[EAGER]
    assert isinstance(eager, InTorch)
    made = {EAGER: eager, COMPILED: Made(eager, 1e-6), ONNX: Made(eager, 0.01)}
    case = inference_case(replace(small, networks=made, failed={}), "Made", batch=2, calls=1, repeats=1)
    assert list(case.contenders) == [EAGER, COMPILED]
    assert case.failed == {ONNX: "its logits differ from those of fastfer by 0.01 of the largest"}
    made = {EAGER: eager, COMPILED: Made(eager, 0, fails=True)}
    case = inference_case(replace(small, networks=made, failed={}), "Made", batch=2, calls=1, repeats=1)
    assert case.failed == {COMPILED: "out of paper"}
    assert list(case.contenders) == [EAGER]
