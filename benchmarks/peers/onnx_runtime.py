"""A network in ONNX Runtime on the CPU: built with timm, exported by torch, run without it.

Run as `python -m benchmarks.peers.onnx_runtime --model NAME --weights FILE --images FILE ...`: weights as torch saves a
state_dict, images as numpy saves float32 `N x C x H x W`. Commands: `outputs B`, the logits of the first B images;
`calls B N`, the seconds of each of N calls on them.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import timm
import torch
from numpy.typing import NDArray

from benchmarks.peers.protocol import answers, converse


class Network:
    """An exported network and its images."""

    def __init__(self, file: Path, images: NDArray[np.float32], threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self._images = images

    def outputs(self, batch: int) -> dict[str, Any]:
        """The logits of the first images."""
        return {"outputs": self._run(self._images[:batch]).tolist()}

    def calls(self, batch: int, count: int) -> dict[str, Any]:
        """The seconds of each call."""
        images = self._images[:batch]
        seconds = []
        for _ in range(count):
            started = time.perf_counter()
            self._run(images)
            seconds.append(time.perf_counter() - started)
        return {"seconds": seconds}

    def _run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        (logits,) = self._session.run(None, {"images": images})
        return np.asarray(logits)


def exported(model: str, classes: int, weights: Path, images: NDArray[np.float32], into: Path) -> Path:
    """The network as an ONNX file that takes any number of images."""
    options: dict[str, Any] = {"in_chans": images.shape[1], "num_classes": classes}
    if timm.get_pretrained_cfg(model).fixed_input_size:
        options["img_size"] = images.shape[-1]
    network = timm.create_model(model, **options).eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    file = into / "network.onnx"
    torch.onnx.export(
        network,
        (torch.from_numpy(images[:2]),),
        file,
        input_names=["images"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        verbose=False,
    )
    return file


def main() -> None:
    """Export, and answer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True, help="timm's name")
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    images = np.load(arguments.images)
    with answers() as out, tempfile.TemporaryDirectory() as folder:
        file = exported(arguments.model, arguments.classes, arguments.weights, images, Path(folder))
        network = Network(file, images, arguments.threads)
        commands: dict[str, Callable[..., dict[str, Any]]] = {"outputs": network.outputs, "calls": network.calls}
        converse(out, ("onnxruntime", "onnx", "torch", "timm"), commands)


if __name__ == "__main__":
    main()
