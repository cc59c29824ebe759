"""Synthetic run folders in the format training writes."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastfer.evaluation.metrics import confusion, score
from fastfer.labels import CLASSES
from fastfer.report import make_report

_EPOCH_HEADER = [
    "epoch",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "val_macro_f1",
    "lr",
    "seconds",
    "train_seconds",
    "images_per_s",
    "loader_wait_s",
    "peak_rss_mib",
    "peak_gpu_mib",
]


@dataclass(frozen=True)
class Study:
    """Run folders and the report made of them."""

    runs: Path
    report: Path

    def charts(self) -> dict[str, Any]:
        """What the page embeds for each chart, by the name of its files."""
        page = (self.report / "index.html").read_text()
        text = page.split('<script type="application/json" id="charts">')[1].split("</script>")[0]
        figures: dict[str, Any] = json.loads(text)["figures"]
        return figures

    def metrics(self, dataset: str, *, crossed: bool = False) -> list[dict[str, Any]]:
        """What each run trained on a dataset scored on its test set, and `crossed` on the others."""
        patterns = [f"{dataset}-*/metrics.json", *([f"{dataset}-*/cross/*/metrics.json"] if crossed else [])]
        paths = [path for pattern in patterns for path in sorted(self.runs.glob(pattern))]
        return [json.loads(path.read_text()) for path in paths]


def made_predictions(
    rows: int, *, num_classes: int = 7, skill: float = 2.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of unequal frequency and probabilities that are right more often with more skill."""
    rng = np.random.default_rng(seed)
    frequency = np.linspace(1, 3, num_classes)
    labels = rng.choice(num_classes, size=rows, p=frequency / frequency.sum())
    labels[:num_classes] = np.arange(num_classes)
    logits = rng.normal(size=(rows, num_classes)) + skill * np.eye(num_classes)[labels]
    return labels, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def write_result(
    folder: Path,
    dataset: str,
    *,
    skill: float = 2.0,
    seed: int = 0,
    classes: Sequence[str] = CLASSES,
    training: Mapping[str, Any] | None = None,
) -> None:
    """`metrics.json` and `confusion.csv` of made predictions."""
    folder.mkdir(parents=True, exist_ok=True)
    labels, probabilities = made_predictions(140, num_classes=len(classes), skill=skill, seed=seed)
    test_set = {"dataset": dataset, "variant": "preprocessed", "split": "test"}
    content = {**score(labels, probabilities, classes=classes, resamples=200), "test_set": test_set}
    if training is not None:
        content["training"] = dict(training)
    (folder / "metrics.json").write_text(json.dumps(content, allow_nan=False))
    counts = confusion(labels, probabilities.argmax(axis=1), len(classes))
    with (folder / "confusion.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", *classes])
        writer.writerows([name, *row] for name, row in zip(classes, counts.tolist(), strict=True))


def write_epochs(folder: Path, epochs: int, *, seed: int = 0, gpu: bool = False) -> None:
    """`epochs.csv` of a run that learns; GPU memory stays empty without one."""
    rng = np.random.default_rng(seed)
    with (folder / "epochs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_EPOCH_HEADER)
        for epoch in range(1, epochs + 1):
            left = np.exp(-epoch / 3)
            noise = rng.normal(scale=0.02, size=3)
            row = [
                epoch,
                0.2 + 1.8 * left,
                0.97 - 0.8 * left,
                0.4 + 1.6 * left + noise[0],
                0.9 - 0.75 * left + noise[1],
            ]
            row += [0.88 - 0.78 * left + noise[2], 1e-3 * left, 6.5, 6.0, 420.0, 0.4, 2100.5, 5300.0 if gpu else ""]
            writer.writerow(row)


def write_run(
    root: Path,
    *,
    dataset: str = "demo-rafdb",
    arch: str = "efficientnet",
    aug: str = "online",
    seed: int = 0,
    skill: float = 2.0,
    epochs: int = 8,
    finished: bool = True,
    cross: Sequence[str] = (),
    classes: Sequence[str] = CLASSES,
    name: str | None = None,
    gpu: bool = False,
) -> Path:
    """A run folder as training leaves it."""
    variant = "preprocessed" if aug == "none" else "augmented"
    folder = root / (name or f"{dataset}-{variant}-{arch}-{aug}-s{seed}-{abs(hash((skill, epochs))) % 16**6:06x}")
    folder.mkdir(parents=True)
    config = {"dataset": dataset, "variant": variant, "arch": arch, "model": f"{arch}_b0", "aug": aug}
    config |= {"loader": "dali", "seed": seed, "image_size": 64, "epochs": 8, "batch": 64, "lr": 1e-3}
    environment = {"python": "3.11.7", "torch": "2.15.0", "device": "cpu", "packages": {"timm": "1.0.31"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "environment.json").write_text(json.dumps(environment))
    if epochs:
        write_epochs(folder, epochs, seed=seed, gpu=gpu)
    if finished:
        training = {"seconds": 52.25, "best_epoch": epochs or 1, "epochs_run": epochs, "parameters": 4_007_548}
        training |= (
            {"flops": 769_087_424, "energy_j": 1234.5, "gpu_utilisation": 0.75, "gpu_memory_mib": 5800.0} if gpu else {}
        )
        write_result(folder, dataset, skill=skill, seed=seed, classes=classes, training=training)
    for other in cross:
        write_result(folder / "cross" / other, other, skill=skill / 2, seed=seed + 1, classes=classes)
    return folder


def write_study(root: Path) -> None:
    """Four finished runs on two datasets, two of them crossed, and an unfinished one."""
    write_run(root, arch="resnet", aug="none", skill=1.6)
    write_run(root, arch="efficientnet", skill=2.8, seed=1, cross=["demo-expw"], gpu=True)
    write_run(root, arch="vit", aug="offline", skill=2.2, seed=2)
    write_run(root, dataset="demo-expw", skill=2.1, cross=["demo-rafdb"])
    write_run(root, arch="efficientvit", epochs=3, finished=False)


@pytest.fixture(name="write_run", scope="session")
def _write_run() -> Callable[..., Path]:
    return write_run


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Six runs, an unfinished one, and their report."""
    root = tmp_path_factory.mktemp("study")
    write_study(root / "runs")
    return Study(root / "runs", make_report(root / "runs", root / "report").parent)
