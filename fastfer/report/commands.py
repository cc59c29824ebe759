"""The commands that make what a report shows, or what it lacks."""

import shlex
from typing import Any, Final

from fastfer.report.runs import Run

_TRAIN_VARIABLES: Final = (
    ("ARCH", "arch"),
    ("AUG", "aug"),
    ("DATASET", "dataset"),
    ("VARIANT", "variant"),
    ("LOADER", "loader"),
    ("SEED", "seed"),
    ("EPOCHS", "epochs"),
    ("BATCH", "batch"),
    ("LR", "lr"),
    ("WEIGHT_DECAY", "weight_decay"),
    ("WARMUP_EPOCHS", "warmup_epochs"),
    ("LABEL_SMOOTHING", "label_smoothing"),
    ("PATIENCE", "patience"),
    ("MIN_DELTA", "min_delta"),
    ("IMAGE_SIZE", "image_size"),
    ("PRETRAINED", "pretrained"),
    ("WEIGHTS", "weights"),
    ("PRECISION", "precision"),
    ("COMPILE", "compile"),
)
"""make's variable of each setting in `config.json` that training takes."""


def train_command(run: Run) -> str:
    """The `make train` line that gives this run, or goes on with it: every setting, so that no default matters."""
    settings = [(variable, run.config.get(key)) for variable, key in _TRAIN_VARIABLES]
    words = [f"{variable}={_quoted(value)}" for variable, value in settings if value is not None]
    return " ".join(["make train", *words])


def evaluate_command(run: Run, dataset: str) -> str:
    """The `make evaluate` line that tests this run on a dataset."""
    return f"make evaluate RUN={_quoted(run.folder)} DATASET={_quoted(dataset)}"


def data_commands(datasets: list[str], variants: set[tuple[str, str]]) -> list[str]:
    """The lines that make the shards which runs on these datasets and (dataset, variant) pairs read."""
    lines = []
    for dataset in datasets:
        raw = [" VARIANT=raw"] if (dataset, "raw") in variants else []
        lines += [f"make shards DATASET={_quoted(dataset)}{variant}" for variant in ["", *raw]]
        if (dataset, "augmented") in variants:
            lines.append(f"make balance DATASET={_quoted(dataset)}")
    return lines


def _quoted(value: Any) -> str:
    """A value as one word of a shell command line that make reads as it is; booleans as 1 or 0."""
    text = str(int(value) if isinstance(value, bool) else value)
    return shlex.quote(text.replace("$", "$$"))
