"""Made runs and predictions for tests of comparisons."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fastfer.config import TrainConfig, run_name, settings_of
from fastfer.evaluation.evaluate import FinishedRun
from fastfer.evaluation.metrics import score
from fastfer.json_files import write_json

CLASSES = ("happy", "sad", "fear")


def softened(predicted: np.ndarray) -> np.ndarray:
    """Probabilities whose most probable class is the predicted one."""
    return 0.7 * np.eye(len(CLASSES))[predicted] + 0.1


@dataclass(frozen=True)
class Made:
    """Writes run folders as training and evaluation would."""

    runs: Path

    def run(self, *, dataset: str = "rafdb", arch: str = "vit", seed: int = 0, **options: Any) -> FinishedRun:
        config = TrainConfig(dataset=dataset, arch=arch, seed=seed, **options)
        given = settings_of(config, records_sha256="0" * 64, image_size=48)
        folder = self.runs / run_name(given)
        folder.mkdir(parents=True)
        write_json(folder / "config.json", given)
        write_json(folder / "training.json", {"seconds": 1.0, "best_epoch": 3, "epochs": 4, "parameters": 5})
        return FinishedRun.open(folder)

    def test(
        self,
        run: FinishedRun,
        labels: Any,
        predicted: Any,
        *,
        on: str | None = None,
        keys: list[str] | None = None,
        variant: str = "preprocessed",
    ) -> FinishedRun:
        """Leave the predictions and scores of a test; rows are named `face-0`, `face-1`, ... unless `keys` says."""
        labels, predicted = np.asarray(labels), np.asarray(predicted)
        dataset = on or run.settings["dataset"]
        folder = run.results(dataset)
        folder.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(
            {
                "row": np.arange(len(labels)),
                "label": labels,
                "predicted": predicted,
                "probabilities": pl.Series(softened(predicted), dtype=pl.Array(pl.Float64, len(CLASSES))),
                "key": keys or [f"face-{number}" for number in range(len(labels))],
                "how": ["detected"] * len(labels),
            }
        ).write_parquet(folder / "predictions.parquet")
        metrics = score(labels, softened(predicted), classes=CLASSES, resamples=10)
        test_set = {"dataset": dataset, "variant": variant, "split": "test", "left_out": 0}
        write_json(folder / "metrics.json", metrics | {"test_set": test_set, "training": run.summary})
        return run


def mistaken(labels: np.ndarray, rows: Any) -> np.ndarray:
    """The labels, wrong in these rows."""
    predicted = labels.copy()
    predicted[rows] = (predicted[rows] + 1) % len(CLASSES)
    return predicted


def drawn(seed: int, rows: int = 60, accuracy: float = 0.7) -> np.ndarray:
    """Predictions of `np.arange(rows) % 3` that are right about as often as told."""
    rng = np.random.default_rng(seed)
    return mistaken(np.arange(rows) % 3, rng.random(rows) > accuracy)
