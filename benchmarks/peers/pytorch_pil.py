"""DataLoader over a folder of JPEG files as most people write it: Pillow decodes, torchvision augments each image."""

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from benchmarks.peers.files import jpeg_files
from benchmarks.peers.protocol import (
    BRIGHTNESS,
    CONTRAST,
    FLIP_PROBABILITY,
    ROTATION_DEGREES,
    SCALE,
    Contender,
    Job,
    Mode,
    serve,
)
from benchmarks.peers.stages import epochs, make_loader


def gain(img_CHW: Tensor) -> Tensor:
    """Contrast about black and brightness, in place; float in 0..1."""
    contrast, brightness = torch.empty(()).uniform_(*CONTRAST), torch.empty(()).uniform_(*BRIGHTNESS)
    return img_CHW.mul_(contrast).add_(brightness).clamp_(0, 1)


def transform(mode: Mode) -> Any:
    """From a Pillow image to a tensor. The warp is Pillow's, on bytes: faster than on a tensor."""
    if mode == "decode":
        return v2.PILToTensor()
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(FLIP_PROBABILITY),
            v2.RandomAffine(ROTATION_DEGREES, scale=SCALE, interpolation=v2.InterpolationMode.BILINEAR),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            gain,
        ]
    )


class Pictures:
    """(tensor, label) of each file."""

    def __init__(self, files: list[tuple[Path, int]], mode: Mode) -> None:
        self._files, self._transform = files, transform(mode)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        path, label = self._files[i]
        with Image.open(path) as img:
            return self._transform(img), label


def prepare(job: Job) -> Contender:
    """The loader over the files."""
    loader = make_loader(Pictures(jpeg_files(job), job.mode), job)
    return Contender(batches=epochs(loader))


if __name__ == "__main__":
    serve(prepare, formats=("files",), libraries=("torch", "torchvision", "pillow"))
