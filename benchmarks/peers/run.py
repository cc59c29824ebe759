"""The host's side: which rivals there are, and one of them as a running process that answers.

with Peer(CONTENDERS["FFCV, raw"], "decode", source=records, work=Path(".peers/work")) as peer:
    delivered = peer.check(0)
    turn = peer.turn(1, least_s=1.0)
    rate = turn["images"] / turn["seconds"]
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.peers.process import OWN, PeerProcess
from benchmarks.peers.protocol import Mode


@dataclass(frozen=True, slots=True)
class Rival:
    """A row of the table: the module of `benchmarks.peers`, its format, its environment, and the modes it has.

    `device` is where alone it is measured ("cpu", "cuda"); None: wherever batches are handed over.
    """

    module: str
    format: str
    environment: str
    modes: tuple[Mode, ...] = ("decode", "augment")
    device: str | None = None


CONTENDERS: Final[Mapping[str, Rival]] = {
    "fastfer, dali": Rival("ours", "dali", OWN),
    "fastfer, resident": Rival("ours", "resident", OWN),
    "fastfer, reference": Rival("ours", "reference", OWN),
    "fastfer, resident, compiled": Rival("ours", "resident+compiled", OWN, ("augment",)),
    "fastfer, resident, whole strong policy": Rival("ours", "resident+strong", OWN, ("augment",)),
    "fastfer, resident, whole strong policy, compiled": Rival(
        "ours", "resident+strong+compiled", OWN, ("augment",), "cuda"
    ),
    "PyTorch DataLoader, Pillow, torchvision": Rival("pytorch_pil", "files", "current"),
    "PyTorch DataLoader, OpenCV, albumentations": Rival("pytorch_cv2", "files", "current"),
    "WebDataset, OpenCV, albumentations": Rival("webdataset", "tar", "current"),
    "DALI on the CPU": Rival("dali", "tar", "current", device="cpu"),
    "DALI on the GPU": Rival("dali", "tar", "current", device="cuda"),
    "LitData, JPEG": Rival("litdata", "jpeg", "current"),
    "LitData, raw": Rival("litdata", "raw", "current"),
    "MosaicML Streaming, JPEG": Rival("mosaic", "jpeg", "current"),
    "MosaicML Streaming, raw": Rival("mosaic", "raw", "current"),
    "SPDL, simplejpeg": Rival("spdl", "jpeg", "current"),
    "FFCV, JPEG": Rival("ffcv", "jpeg", "ffcv"),
    "FFCV, raw": Rival("ffcv", "raw", "ffcv"),
    "FFCV, raw, augmented by OpenCV": Rival("ffcv", "raw+opencv", "ffcv", ("augment",)),
    "limit: libjpeg-turbo": Rival("limits", "jpeg", "limits", ("decode",), "cpu"),
    "limit: gather of decoded images": Rival("limits", "gather", "limits", ("decode",), "cpu"),
    "limit: memcpy": Rival("limits", "memcpy", "limits", ("decode",), "cpu"),
}
"""Loaders, and what none can exceed that works in the host's memory: a GPU has memory and decoders of its own."""
AUGMENTERS: Final[Mapping[str, Rival]] = {
    "fastfer": Rival("ours", "policy", OWN, ("augment",)),
    "fastfer, compiled": Rival("ours", "policy+compiled", OWN, ("augment",)),
    "fastfer, whole strong policy": Rival("ours", "policy+strong", OWN, ("augment",)),
    "fastfer, whole strong policy, compiled": Rival("ours", "policy+strong+compiled", OWN, ("augment",)),
    "kornia": Rival("augmenters", "kornia", "current", ("augment",)),
    "torchvision": Rival("augmenters", "torchvision", "current", ("augment",)),
    "albumentations": Rival("augmenters", "albumentations", "current", ("augment",)),
    "OpenCV in threads": Rival("augmenters", "cv2", "current", ("augment",)),
    "DALI on the CPU": Rival("augmenters", "dali", "current", ("augment",), "cpu"),
    "DALI on the GPU": Rival("augmenters", "dali", "current", ("augment",), "cuda"),
}
"""Augmentation alone, of decoded images in memory."""


class Peer(PeerProcess):
    """One rival of the tables as a process that loads or augments; see `PeerProcess`."""

    def __init__(
        self,
        rival: Rival,
        mode: Mode,
        *,
        source: Path,
        work: Path,
        batch: int = 64,
        workers: int = 2,
        device: str = "cpu",
    ) -> None:
        if mode not in rival.modes:
            raise ValueError(f"{rival.module} {rival.format} has no mode {mode}")
        options = {
            "source": source.resolve(), "work": work.resolve(), "batch": batch, "workers": workers, "mode": mode,
            "format": rival.format, "device": device,
        }  # fmt: skip
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        title = f"{rival.module} {rival.format}"
        super().__init__(title, rival.module, rival.environment, words)

    def check(self, epoch: int = 0) -> dict[str, Any]:
        """Walk through an epoch: images, distinct, mean in 0..1, shape, dtype, labels (images of each, or None)."""
        return self.ask(f"check {epoch}")

    def turn(self, first: int, *, least_s: float) -> dict[str, Any]:
        """Run whole epochs from `first` on, one at least, until so long has passed, timed as one.

        Returns:
            epochs, images, seconds, cpu_seconds.
        """
        return self.ask(f"turn {first} {round(1000 * least_s)}")
