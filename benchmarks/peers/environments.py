"""Environments of the rivals, made with uv under `.peers/<name>/`: each with the versions that its libraries want.

Run as `python -m benchmarks.peers.environments [name ...]`. What cannot be made is said in one line and left out; what
is ready is left as it is, so that a second run goes on where the first one stopped.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2] / ".peers"
STAMP: Final = ".ready"
REASON_LENGTH: Final = 300


@dataclass(frozen=True, slots=True)
class Environment:
    """What one environment holds: `packages` from the index, then `built` from source with them, and what Debian gives.

    `built` packages see those installed before them while they are built, and bring nothing else with them.
    """

    packages: tuple[str, ...]
    built: tuple[str, ...] = ()
    debian: tuple[str, ...] = ()

    def digest(self) -> str:
        """What a stamp says of the table's entry and the Python it was made with."""
        return hashlib.sha256(f"{self} {sys.version_info[:3]}".encode()).hexdigest()


ENVIRONMENTS: Final = {
    "limits": Environment(
        packages=("numpy==2.4.6",),
        debian=("gcc", "libc6-dev", "libturbojpeg0-dev"),
    ),
    "current": Environment(  # our own stack's versions; all of these resolve together
        packages=(
            "torch==2.15.0",
            "torchvision==0.29.2",
            "kornia==0.9.0",
            "albumentations==2.0.8",
            "nvidia-dali-cuda120==2.4.0",
            "numpy==2.4.6",
            "opencv-python-headless==5.0.0.93",
            "pillow==13.0.0",
            "webdataset==1.0.2",
            "litdata==0.2.76",
            "mosaicml-streaming==0.10.0",
            "spdl==0.8.0",
            "simplejpeg==1.9.0",
        ),
    ),
    "onnx": Environment(  # our own stack's versions, and what exports and runs a network without torch
        packages=(
            "torch==2.15.0",
            "torchvision==0.29.2",
            "timm==1.0.31",
            "numpy==2.4.6",
            "onnx==1.23.2",
            "onnxscript==0.7.2",
            "onnxruntime==1.32.0",
        ),
    ),
    "ffcv": Environment(
        packages=(
            "torch==2.5.1",
            "numpy==1.26.4",
            "numba==0.61.2",
            "opencv-python-headless==4.11.0.86",
            "setuptools==80.9.0",
            "wheel==0.48.0",
            "assertpy==1.1",  # from here what ffcv asks for, less opencv-python, which needs a display's libraries
            "fastargs==1.2.0",
            "pillow==11.3.0",
            "psutil==7.2.2",
            "pytorch-pfn-extras==0.9.0",
            "terminaltables==3.1.10",
            "tqdm==4.70.1",
            "polars==2.1.0",  # from here what pipelines asks for: our loader over FFCV is tested here
            "pytest==9.2.0",
            "hypothesis==6.170.15",
            "universal-pathlib==0.3.10",
        ),
        built=("ffcv==1.0.2",),
        debian=("g++", "libopencv-dev", "libturbojpeg0-dev", "pkg-config"),
    ),
}


class BuildError(Exception):
    """An environment cannot be made; says why in one line."""


def python_of(name: str) -> Path:
    """The interpreter of environment `name`, there or not."""
    return ROOT / name / "bin" / "python"


def is_ready(name: str) -> bool:
    """Whether the environment was made to its end, from the table's entry as it stands."""
    stamp = ROOT / name / STAMP
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == ENVIRONMENTS[name].digest()


def make(name: str) -> None:
    """Make one environment anew; its stamp is written last.

    Raises:
        BuildError: a step failed.
    """
    environment = ENVIRONMENTS[name]
    uv = _uv()
    _install_debian(environment.debian)
    ROOT.mkdir(parents=True, exist_ok=True)
    _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(ROOT / name)])
    install = [uv, "pip", "install", "--quiet", "--python", str(python_of(name))]
    _run([*install, *environment.packages])
    if environment.built:
        _run([*install, "--no-build-isolation", "--no-deps", *environment.built])
    (ROOT / name / STAMP).write_text(environment.digest(), encoding="utf-8")


def _uv() -> str:
    """Our own environment's uv, else the one on PATH."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.is_file() else shutil.which("uv")
    if found is None:
        raise BuildError("there is no uv: make setup installs it")
    return found


def _install_debian(packages: Sequence[str]) -> None:
    """Install what is missing, as root; anyone else is told what to install."""
    missing = [package for package in packages if not _is_installed(package)]
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise BuildError(f"Debian's {', '.join(missing)} must be installed first (by root)")
    _run(["apt-get", "update", "--quiet"])
    _run(["apt-get", "install", "--quiet", "--yes", "--no-install-recommends", *missing])


def _is_installed(package: str) -> bool:
    if shutil.which("dpkg-query") is None:
        return False
    query = ["dpkg-query", "--show", "--showformat", "${db:Status-Status}", package]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout == "installed"


def _run(command: Sequence[str]) -> None:
    # uv trusts the certificates that the system trusts, as in the Makefile. Away from our pyproject.toml, whose
    # override of torch's version uv would apply here too.
    environment = os.environ | {"UV_SYSTEM_CERTS": "1", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=tempfile.gettempdir()
    )
    if done.returncode:
        said = [line.strip() for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
        first = next((i for i, line in enumerate(said) if "error" in line.lower()), len(said) - 1)
        reason = " ".join(said[max(0, first) :])[:REASON_LENGTH]
        raise BuildError(f"{Path(command[0]).name} {command[1]}: {reason or 'no message'}")


def main() -> None:
    """Make the environments named, or all; one line for each, begun before it is made. Fails when none is ready."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.environments", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(ENVIRONMENTS)} (all)")
    names = parser.parse_args().names or list(ENVIRONMENTS)
    if unknown := set(names) - set(ENVIRONMENTS):
        parser.error(f"no such environment: {', '.join(sorted(unknown))}")
    for name in names:
        print(f"{name}: ", end="", flush=True)
        print(_make_or_say(name), flush=True)
    if not any(is_ready(name) for name in names):
        sys.exit(1)


def _make_or_say(name: str) -> str:
    if is_ready(name):
        return "ready"
    try:
        make(name)
    except BuildError as error:
        return f"left out ({error})"
    return "made"


if __name__ == "__main__":
    main()
