"""The facts of the machine that measures, of what runs on it, and of the code that is measured."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import psutil
import torch

from benchmarks.schema import Machine
from pipelines.probe import device_facts

CORES: Final = os.cpu_count() or 1
RESULTS: Final = Path("benchmarks/results")
"""What is kept as evidence; it is no part of the code that is measured."""
COMMIT_VARIABLE: Final = "FASTFER_COMMIT"
LIBRARIES: Final = (
    "torch", "torchvision", "timm", "facenet-pytorch", "retinaface-pytorch", "opencv-python-headless", "pillow",
    "numpy", "nvidia-dali-cuda120", "kornia", "albumentations",
)  # fmt: skip


def machine() -> Machine:
    """The facts of this machine and of what runs on it."""
    driver, power_limit_w = device_facts(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    return Machine(
        processor=_processor(),
        cores=CORES,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        driver=driver,
        power_limit_w=power_limit_w,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        libraries={name: found for name in LIBRARIES if (found := _version(name))},
        commit=commit_of(Path(__file__).parents[1]),
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
    )


def _processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def commit_of(repository: Path) -> str | None:
    """The commit measured, with `+` when what it tracks has changed, but for results; None outside a checkout.

    What the variable `COMMIT_VARIABLE` says comes first: where a copy on another machine is measured.
    """
    if (told := os.environ.get(COMMIT_VARIABLE)) is not None:
        return told
    what = ("--porcelain", "--untracked-files=no", "--", ".", f":!{RESULTS}")
    try:
        commit, changed = (
            subprocess.run(["git", *words], cwd=repository, capture_output=True, text=True, check=True).stdout.strip()
            for words in (["rev-parse", "--short", "HEAD"], ["status", *what])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")
