"""The commands that make what a report shows, or what it lacks."""

import shlex
from dataclasses import fields
from typing import Any, Final

from fastfer.config import INCIDENTAL, TrainConfig
from fastfer.report.runs import Run

_FIRST: Final = ("arch", "aug", "dataset", "variant")
_TRAIN_SETTINGS: Final = [
    *_FIRST,
    *(field.name for field in fields(TrainConfig) if field.name not in INCIDENTAL | set(_FIRST)),
]
"""What `config.json` holds of what training takes; make's variables are called so too, in capitals."""


def train_command(run: Run) -> str:
    """The `make train` line that gives this run, or goes on with it: every setting, so that no default matters."""
    settings = [(name.upper(), run.config.get(name)) for name in _TRAIN_SETTINGS]
    words = [f"{variable}={_quoted(value)}" for variable, value in settings if value is not None]
    return " ".join(["make train", *words])


def evaluate_command(run: Run, dataset: str) -> str:
    """The `make evaluate` line that tests this run on a dataset."""
    return f"make evaluate RUN={_quoted(run.folder)} DATASET={_quoted(dataset)}"


def data_commands(datasets: list[str], variants: set[tuple[str, str]]) -> list[str]:
    """The lines that make the shards which runs on these datasets and (dataset, variant) pairs read."""
    lines = []
    needed = {(dataset, variant) for together, variant in variants for dataset in together.split("+")}
    for dataset in dict.fromkeys(name for together in datasets for name in together.split("+")):
        raw = [" VARIANT=raw"] if (dataset, "raw") in needed else []
        lines += [f"make shards DATASET={_quoted(dataset)}{variant}" for variant in ["", *raw]]
        if (dataset, "augmented") in needed:
            lines.append(f"make balance DATASET={_quoted(dataset)}")
    return lines


def _quoted(value: Any) -> str:
    """A value as one word of a shell command line that make reads as it is; booleans as 1 or 0."""
    text = str(int(value) if isinstance(value, bool) else value)
    return shlex.quote(text.replace("$", "$$"))
