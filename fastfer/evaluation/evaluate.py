"""Tests a finished run on the test split of a dataset, its own or another."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
import torch

from fastfer.evaluation.metrics import confusion, score
from fastfer.evaluation.predict import Predictions, predict
from fastfer.leaks import leaking_rows
from fastfer.training.checkpoint import load_model
from fastfer.training.run import SUMMARY_NAME, read_json, write_json
from fastfer.variants import open_records
from pipelines.errors import InputError
from pipelines.loaders import CACHE, LoaderConfig, open_loader
from pipelines.progress import Track, untracked
from pipelines.records import read_manifest, write_atomically, write_table

METRICS_NAME: Final = "metrics.json"
CROSS: Final = "cross"
BATCH: Final = 256
TESTED_VARIANT: Final = {"raw": "raw", "preprocessed": "preprocessed", "augmented": "preprocessed"}
"""What a model of each training variant is tested on: never balanced or augmented images."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A trained run's folder and settings."""

    folder: Path
    settings: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> "FinishedRun":
        """Read a run's folder.

        Raises:
            InputError: the folder is no run, or its training has not ended.
        """
        if not (folder / "config.json").is_file():
            raise InputError(f"no run in {folder}: make train makes one, and prints its folder")
        if not (folder / SUMMARY_NAME).is_file():
            raise InputError(f"the training of {folder} has not ended: run the same make train again")
        return cls(folder, read_json(folder / "config.json"))

    @property
    def summary(self) -> dict[str, Any]:
        """Seconds, best epoch, epochs run, parameters."""
        return read_json(self.folder / SUMMARY_NAME)

    def results(self, dataset: str) -> Path:
        """Where the scores on a dataset's test split go."""
        return self.folder if dataset == self.settings["dataset"] else self.folder / CROSS / dataset


def finished_runs(runs: Path, pattern: str = "*") -> list[FinishedRun]:
    """All trained runs in `runs` whose name matches the glob `pattern`, by name."""
    return [FinishedRun.open(path.parent) for path in sorted(runs.glob(f"{pattern}/{SUMMARY_NAME}"))]


def evaluate(
    run: FinishedRun,
    dataset: str,
    *,
    shards: Path,
    loader: str = "dali",
    cache: Path = CACHE,
    place: str = "auto",
    verify: str = "once",
    workers: int = 2,
    track: Track = untracked,
) -> dict[str, Any]:
    """Test a run's best weights on a dataset's test split; returns and writes what `metrics.json` holds.

    Writes `predictions.parquet`, `confusion.csv` and, last, `metrics.json` into `run.results(dataset)`. Faces that the
    detector missed are in the test (cropped by their annotated box) and in the scores. On another dataset, faces in
    near-duplicates of the run's training images are left out, and `test_set` says how many.

    Raises:
        InputError: the test records are missing, or of another size or number of channels than the run was trained on;
            or the records it was trained on are gone, and nobody knows what to leave out.
    """
    variant = TESTED_VARIANT[run.settings["variant"]]
    info = open_records(shards, dataset, variant)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, preprocessing, content = load_model(run.folder / "best.pth")
    if (info.channels, info.classes) != (preprocessing.channels, content["classes"]):
        raise InputError(
            f"{run.folder.name} was trained on {preprocessing.channels} channel(s) and the classes "
            f"{', '.join(content['classes'])}; {dataset} has {info.channels} and {', '.join(info.classes)}"
        )
    home = run.settings["dataset"]
    left_out = [] if dataset == home else leaking_rows(shards, home, dataset, variant)
    settings = LoaderConfig(
        variant=shards / dataset / variant,
        split="test",
        batch=BATCH,
        train=False,
        kind=loader,
        device=str(device),
        workers=workers,
        cache=cache,
        place=place,
        verify=verify,
    )
    with (
        open_loader(settings, track) as test,
        track(f"Testing on {dataset}", total=len(test), unit="batches") as advance,
    ):
        found = predict(model.to(device), test, preprocessing, advance=advance)
    found = found.without(left_out)
    if not len(found.row_N):
        raise InputError(f"all test images of {dataset} duplicate training images of {home}: there is nothing to score")
    metrics = score(found.label_N, found.probability_NK, classes=tuple(info.classes))
    test_set = {"dataset": dataset, "variant": variant, "split": "test", "left_out": len(left_out)}
    metrics |= {"test_set": test_set, "training": run.summary}
    _write(run.results(dataset), found, read_manifest(settings.variant), info.classes, metrics)
    return metrics


def _write(
    folder: Path, found: Predictions, manifest: pl.DataFrame, classes: Sequence[str], metrics: dict[str, Any]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    table = pl.DataFrame(
        {
            "row": found.row_N,
            "label": found.label_N,
            "predicted": found.predicted_N,
            "probabilities": pl.Series(found.probability_NK, dtype=pl.Array(pl.Float64, len(classes))),
        }
    ).join(manifest.select("row", "key", "how"), on="row", how="left", maintain_order="left")
    write_table(folder / "predictions.parquet", table)
    counts_KK = confusion(found.label_N, found.predicted_N, len(classes))
    counts = pl.DataFrame({"label": classes} | {name: counts_KK[:, i] for i, name in enumerate(classes)})
    write_atomically(folder / "confusion.csv", counts.write_csv().encode())
    write_json(folder / METRICS_NAME, metrics)
