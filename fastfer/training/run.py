"""A run: its settings, fixed before it starts, and the small files of its folder."""

import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import torch

from fastfer import __version__
from fastfer.config import TrainConfig, run_name, settings_of
from fastfer.variants import open_records
from pipelines.loaders import choose_loader
from pipelines.records import DatasetInfo, info_sha256, write_atomically

AUTOMATIC: Final = ("resident", "dali")
"""What LOADER=auto may come to."""
SUMMARY_NAME: Final = "training.json"
LIBRARIES: Final = ("torch", "timm", "kornia", "nvidia-dali-cuda120", "lightning-fabric", "numpy")


@dataclass(frozen=True, slots=True)
class Run:
    """A run's folder and settings, as fixed before it starts."""

    config: TrainConfig
    info: DatasetInfo
    settings: dict[str, Any]

    @classmethod
    def of(cls, config: TrainConfig, say: Callable[[str], None] = lambda _line: None) -> "Run":
        """Read the records' description and fix the settings; `say` is told what `auto` is taken for, and why.

        Raises:
            InputError: the records are missing.
        """
        info = open_records(config.shards, config.dataset, config.trained_variant)
        loading = config.loader_config("train")  # refuses what cannot be, before anything is written
        if config.loader == "auto":  # what was trained already stays trained, however much memory is free today
            runs = [cls._fixed(replace(config, loader=kind), info) for kind in AUTOMATIC]
            if trained := [run for run in runs if run.is_trained]:
                return trained[0]
            kind, why = choose_loader(loading)
            say(f"loader: {kind}, as {why}")
            return runs[AUTOMATIC.index(kind)]
        return cls._fixed(config, info)

    @classmethod
    def _fixed(cls, config: TrainConfig, info: DatasetInfo) -> "Run":
        size = config.image_size or info.size_px
        return cls(config, info, settings_of(config, records_sha256=info_sha256(config.records), image_size=size))

    @property
    def folder(self) -> Path:
        """Where the run writes."""
        return self.config.runs / run_name(self.settings)

    @property
    def is_trained(self) -> bool:
        """Whether training has ended (the summary is written last)."""
        return (self.folder / SUMMARY_NAME).is_file()


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


def read_json(path: Path) -> dict[str, Any]:
    """Read a small JSON object."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a small JSON file, atomically."""
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
