"""A run: its settings, fixed before it starts, and the small files of its folder."""

import hashlib
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from fastfer import __version__
from fastfer.config import TrainConfig, run_name, settings_of
from fastfer.together import Part, training_parts
from fastfer.torchrun import world_size
from fastfer.variants import LOCK_NAME
from pipelines.errors import InputError
from pipelines.loaders import Loader, open_joint, open_loader, settled
from pipelines.loaders.joint import wanted_images
from pipelines.progress import Say, Track, unsaid, untracked
from pipelines.records import DatasetInfo, file_lock, info_sha256, merge_infos, read_info

AUTOMATIC: Final = ("resident", "dali")
"""What LOADER=auto may come to."""
SUMMARY_NAME: Final = "training.json"
BEST_NAME: Final = "best.pth"
LAST_NAME: Final = "last.pth"
LIBRARIES: Final = ("torch", "timm", "kornia", "nvidia-dali-cuda120", "lightning-fabric", "numpy")


@dataclass(frozen=True, slots=True)
class Run:
    """A run's folder, records and settings, as fixed before it starts; `info` describes all parts together."""

    config: TrainConfig
    parts: list[Part]
    info: DatasetInfo
    settings: dict[str, Any]

    @classmethod
    def of(cls, config: TrainConfig, say: Say = unsaid, track: Track = untracked) -> "Run":
        """Read the records' description and fix the settings; `say` is told what `auto` is taken for, and why.

        The parts of a joint set are made here, if they are not there yet.

        Raises:
            InputError: the records are missing, or cannot be trained on together.
        """
        parts = training_parts(
            config.shards,
            config.datasets,
            config.trained_variant,
            workers=max(1, config.workers),  # 0 is for loaders: decode in this process
            track=track,
        )
        run = cls._fixed(config, parts)
        loading = [config.loader_config(part.folder, "train") for part in parts]  # refuses what cannot be
        if config.loader != "auto":
            return run
        # What was trained already stays trained, however much memory is free today.
        runs = [cls._fixed(replace(config, loader=kind), parts) for kind in AUTOMATIC]
        if begun := [run for run in runs if run.is_trained or run.is_begun]:
            return begun[0]
        if world_size() > 1:
            raise InputError("LOADER=auto looks at free memory, and processes may find different things: name a loader")
        return runs[AUTOMATIC.index(settled(loading, say)[0].kind)]

    @classmethod
    def _fixed(cls, config: TrainConfig, parts: list[Part]) -> "Run":
        infos = [read_info(part.folder) for part in parts]
        info = merge_infos(infos) if len(infos) > 1 else infos[0]
        digests = [info_sha256(part.folder) for part in parts]
        digest = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
        settings = settings_of(config, records_sha256=digest, image_size=config.image_size or info.size_px)
        return cls(config, parts, info, settings)

    def open(
        self, split: str, device: torch.device, *, rank: int = 0, world_size: int = 1, track: Track = untracked
    ) -> Loader:
        """The loader of a split, of all parts together; for training, in the mixture that was asked for.

        Raises:
            InputError: as `open_loader`.
        """
        configs = [
            self.config.loader_config(part.folder, split, str(device), rank=rank, world_size=world_size)
            for part in self.parts
        ]
        if len(configs) == 1:
            return open_loader(configs[0], track)
        return open_joint(configs, mixture=self._mixture if split == "train" else None, track=track)

    @property
    def _mixture(self) -> list[float] | None:
        return [1.0] * len(self.parts) if self.config.sampling == "equal" else None

    def shown(self) -> dict[str, float]:
        """How many images of each class an epoch of training shows, of all parts together."""
        counts = [read_info(part.folder).counts["train"] for part in self.parts]
        samples = [sum(by_class.values()) for by_class in counts]
        times = (wanted_images(samples, self._mixture) / np.maximum(samples, 1)).tolist()
        return {
            name: sum(by_class[name] * often for by_class, often in zip(counts, times, strict=True))
            for name in self.info.classes
        }

    @property
    def folder(self) -> Path:
        """Where the run writes."""
        return self.config.runs / run_name(self.settings)

    @property
    def is_trained(self) -> bool:
        """Whether training has ended (the summary is written last), and what it came to is still there."""
        return all((self.folder / name).is_file() for name in (SUMMARY_NAME, BEST_NAME))

    @contextmanager
    def held(self) -> Iterator[None]:
        """No other process of this machine trains it meanwhile; makes the run's folder.

        Raises:
            InputError: another one does.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with file_lock(self.folder / LOCK_NAME, busy=f"another process trains {self.folder}: wait until it is done"):
            yield

    def forget(self) -> None:
        """Remove all that an earlier training left: first what says that there was one, should we be stopped here."""
        for name in (SUMMARY_NAME, LAST_NAME):
            (self.folder / name).unlink(missing_ok=True)
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK_NAME:
                path.unlink()

    @property
    def is_begun(self) -> bool:
        """Whether there is something to go on from."""
        return (self.folder / LAST_NAME).is_file()


def environment(device: torch.device) -> dict[str, Any]:
    """What the run ran on and with: code, system, device and library versions."""
    return {
        "fastfer": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "libraries": {name: version(name) for name in LIBRARIES if _installed(name)},
    }


def _installed(distribution: str) -> bool:
    try:
        return bool(version(distribution))
    except PackageNotFoundError:
        return False
