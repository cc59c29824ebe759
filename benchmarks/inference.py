"""How long a network takes to answer: latency of single images, and images per second in batches.

Eager as evaluation runs it (float32, channels last, no gradients), compiled, and in ONNX Runtime in a process of its
own. All have the same random weights; their logits are compared before anything is timed.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.harness import in_turn, said, synchronise
from benchmarks.images import SIZE_PX
from benchmarks.peers.process import PeerProcess
from benchmarks.schema import Axis, Case, Role
from benchmarks.suite import Setting, Suite, positive, run_alone
from benchmarks.watch import Measures, device
from fastfer.cli.verbs import words
from fastfer.labels import CLASSES
from fastfer.models import ARCHITECTURES, build_model, timm_name

EAGER: Final = "fastfer"
COMPILED: Final = "fastfer, compiled"
ONNX: Final = "ONNX Runtime"
ROLES: Final[Mapping[str, Role]] = {EAGER: "ours", COMPILED: "ours", ONNX: "peer"}
CHANNELS: Final = 1
EQUAL_WITHIN: Final = 1e-3
"""Of the largest logit."""
FEWEST_CALLS: Final = 50
PERCENTILES: Final = {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99}


class Network(Protocol):
    """The same network in one engine: logits of its first images, and the seconds of calls on them."""

    def outputs(self, batch: int) -> NDArray[np.float64]:
        """`batch x K`."""

    def calls(self, batch: int, count: int) -> list[float]:
        """The seconds of each call."""


class InTorch:
    """In this process, eager or compiled."""

    def __init__(self, run: Callable[[torch.Tensor], torch.Tensor], img_NCHW: torch.Tensor) -> None:
        self._run, self._img_NCHW = run, img_NCHW

    @torch.inference_mode()
    def outputs(self, batch: int) -> NDArray[np.float64]:
        """`batch x K`."""
        return self._run(self._img_NCHW[:batch]).double().cpu().numpy()

    @torch.inference_mode()
    def calls(self, batch: int, count: int) -> list[float]:
        """The seconds of each call, until the device has the logits."""
        img_BCHW = self._img_NCHW[:batch]
        seconds = []
        for _ in range(count):
            started = time.perf_counter()
            self._run(img_BCHW)
            synchronise()
            seconds.append(time.perf_counter() - started)
        return seconds


class InOnnxRuntime:
    """In a process of its own, which is ready."""

    def __init__(self, process: PeerProcess) -> None:
        self._process = process

    def outputs(self, batch: int) -> NDArray[np.float64]:
        """`batch x K`."""
        return np.array(self._process.ask(f"outputs {batch}")["outputs"])

    def calls(self, batch: int, count: int) -> list[float]:
        """The seconds of each call, as the process measured them."""
        seconds: list[float] = self._process.ask(f"calls {batch} {count}")["seconds"]
        return seconds


@dataclass(slots=True)
class Calling:
    """A contender whose turn is `count` calls on one batch; it keeps the seconds of every call."""

    network: Network
    batch: int
    count: int
    seconds: list[float] = field(default_factory=list)

    def run(self) -> int:
        """One turn; returns the images."""
        self.seconds += self.network.calls(self.batch, self.count)
        return self.batch * self.count


@dataclass(frozen=True, slots=True)
class Engines:
    """A network in every engine that has it, and why the others have not."""

    arch: str
    size_px: int
    networks: Mapping[str, Network]
    versions: Mapping[str, Mapping[str, str]]
    failed: Mapping[str, str]


def engines(opened: ExitStack, arch: str, *, size_px: int, images: int, compiled: bool) -> Engines:
    """Build a network of random weights and put it into the engines; processes end with `opened`."""
    torch.manual_seed(0)
    model = build_model(arch, channels=CHANNELS, num_classes=len(CLASSES), image_size=size_px).eval()
    img_NCHW = torch.randn(images, CHANNELS, size_px, size_px)
    folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
    failed: dict[str, str] = {}
    networks: dict[str, Network] = {}
    versions: dict[str, Mapping[str, str]] = {}
    try:
        process = opened.enter_context(_onnx_process(folder, timm_name(arch), model, img_NCHW))
        networks[ONNX], versions[ONNX] = InOnnxRuntime(process), process.ready
    except Exception as error:  # an export may fail in many ways
        failed[ONNX] = said(ONNX, error)
    here = model.to(device()).to(memory_format=torch.channels_last)
    on_device = img_NCHW.to(device(), memory_format=torch.channels_last)
    networks = {EAGER: InTorch(here, on_device), **networks}
    if compiled:
        networks[COMPILED] = InTorch(torch.compile(here, dynamic=False), on_device)
    return Engines(arch, size_px, networks, versions, failed)


def _onnx_process(folder: Path, model: str, network: torch.nn.Module, img_NCHW: torch.Tensor) -> PeerProcess:
    """Not started yet.

    Raises:
        ValueError: this machine's networks run on a GPU.
    """
    if device().type != "cpu":
        raise ValueError("the onnxruntime installed computes on the CPU alone")
    weights, images = folder / "weights.pth", folder / "images.npy"
    torch.save(network.state_dict(), weights)
    np.save(images, img_NCHW.numpy())
    options = {
        "model": model,
        "classes": len(CLASSES),
        "weights": weights,
        "images": images,
        "threads": torch.get_num_threads(),
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return PeerProcess(ONNX, "onnx_runtime", "onnx", arguments)


def inference_case(of: Engines, title: str, *, batch: int, calls: int, repeats: int, axis: Axis | None = None) -> Case:
    """All engines in turn on one batch; what gives other logits than eager does has failed."""
    failed = dict(of.failed)
    contenders: dict[str, Calling] = {}
    true_BK = of.networks[EAGER].outputs(batch)
    for name, network in of.networks.items():
        try:
            _refuse_other_logits(network.outputs(batch), true_BK)
            contenders[name] = Calling(network, batch, calls)
        except Exception as error:  # such as a compiler's
            failed[name] = said(name, error)
    turns = in_turn({name: one.run for name, one in contenders.items()}, repeats=repeats, watch=True)
    timed = slice(calls, (1 + repeats) * calls)  # behind the round of warming up
    return Case(
        title=f"{title}, {of.arch}",
        unit="images",
        how="One process, but ONNX Runtime in its own; prepared float32 images in memory; until the logits are there.",
        ours=EAGER,
        settings={
            "arch": of.arch,
            "model": timm_name(of.arch),
            "precision": "32-true",
            "size_px": of.size_px,
            "batch": batch,
            "calls": calls * repeats,
            "threads": torch.get_num_threads(),
        },
        axis=axis,
        contenders={
            name: one.entry(ROLES[name], _latency(contenders[name].seconds[timed]), of.versions.get(name))
            for name, one in turns.measured.items()
        },
        failed=failed | turns.failed,
    )


def _refuse_other_logits(found_BK: NDArray[np.float64], true_BK: NDArray[np.float64]) -> None:
    off = float(np.abs(found_BK - true_BK).max() / np.abs(true_BK).max())
    if not off <= EQUAL_WITHIN:
        raise ValueError(f"its logits differ from those of {EAGER} by {off:.2g} of the largest")


def _latency(seconds: list[float]) -> Measures:
    """Percentiles of single calls, where there are enough of them to have any."""
    known = len(seconds) >= FEWEST_CALLS
    return {name: 1000 * float(np.percentile(seconds, share)) if known else None for name, share in PERCENTILES.items()}


def _run(settings: argparse.Namespace) -> Iterator[Case]:
    for arch in settings.archs:
        timm_name(arch)  # a wrong name shows before anything is measured
    for arch in settings.archs:
        with ExitStack() as opened:
            of = engines(
                opened,
                arch,
                size_px=settings.size,
                images=settings.batch,
                compiled=fnmatch(arch, settings.compiled),
            )
            yield inference_case(of, "Latency of one image", batch=1, calls=settings.calls, repeats=settings.repeats)
            yield inference_case(
                of, f"Inference in batches of {settings.batch}", batch=settings.batch, calls=1, repeats=settings.repeats
            )


SUITE: Final = Suite(
    "inference",
    "Latency and images per second of the networks, eager and compiled, beside ONNX Runtime (make peers NAMES=onnx).",
    (
        Setting("archs", "architectures", words, tuple(ARCHITECTURES), ("resnet10t",)),
        Setting("compiled", "those compiled too (a pattern, - for none); each takes minutes", str, "-", free=True),
        Setting("size", "image size in px", positive, SIZE_PX, 112),
        Setting("batch", "images of a batch", positive, 64, 16),
        Setting("calls", "single images of a turn", positive, 20),
        Setting("repeats", "turns of each", positive, 3, free=True),
    ),
    ("python -m benchmarks inference --archs resnet", "python -m benchmarks inference --compiled '*'"),
    _run,
)

if __name__ == "__main__":
    run_alone(SUITE)
