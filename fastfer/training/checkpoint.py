"""`.pth` files: plain containers and tensors only, so that they load with `weights_only=True`."""

import io
import pickle
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from fastfer.evaluation.predict import Preprocessing
from fastfer.models import build_model
from pipelines.errors import InputError
from pipelines.records import write_atomically

KEYS: Final = {"model", "architecture", "classes", "preprocessing", "faces", "trained_on"}
"""What every checkpoint holds."""


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint, atomically."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def load(path: Path, *, also: Collection[str] = ()) -> dict[str, Any]:
    """Read a checkpoint onto the CPU without unpickling anything but tensors and plain containers.

    Raises:
        InputError: the file is missing, damaged, or holds something else than `KEYS` and those of `also`.
    """
    if not path.is_file():
        raise InputError(f"no checkpoint {path}: train the run first (make train)")
    if not zipfile.is_zipfile(path):  # torch falls back to older formats and fails on garbage in many ways
        raise InputError(f"{path} is no checkpoint: it was not written by fastfer, or is cut short")
    try:
        content = torch.load(str(path), map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"{path} cannot be read safely as a checkpoint: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} is no checkpoint of fastfer: it holds one {type(content).__name__}")
    if missing := KEYS.union(also) - set(content):
        raise InputError(f"{path} is no checkpoint of fastfer: it lacks {', '.join(sorted(missing))}; train it again")
    return content


def load_model(path: Path) -> tuple[nn.Module, Preprocessing, dict[str, Any]]:
    """Build the network of a checkpoint with its weights: (model, its preprocessing, the whole checkpoint)."""
    content = load(path)
    preprocessing = Preprocessing(**content["preprocessing"])
    model = build_model(
        content["architecture"],
        channels=preprocessing.channels,
        num_classes=len(content["classes"]),
        image_size=preprocessing.image_size,
    )
    model.load_state_dict(content["model"])
    return model, preprocessing, content
