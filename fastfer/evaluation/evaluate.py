"""Tests a finished run on a dataset's test split: its own, another, or several together."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

import polars as pl
import torch

from fastfer.config import split_datasets
from fastfer.evaluation.metrics import METRICS, confusion, normalised, score
from fastfer.evaluation.predict import Predictions, predict
from fastfer.json_files import read_json, write_json
from fastfer.leaks import leaking_rows
from fastfer.training.checkpoint import load_model
from fastfer.training.run import BEST_NAME, SUMMARY_NAME
from fastfer.variants import TESTED_VARIANT, faces_of, open_records
from pipelines.errors import InputError
from pipelines.loaders import CACHE, LoaderConfig, open_loader, settled
from pipelines.progress import Say, Track, unsaid, untracked
from pipelines.records import info_sha256, is_as_written, read_manifest, sha256, write_csv, write_table

METRICS_NAME: Final = "metrics.json"
CROSS: Final = "cross"
OTHER: Final = "other"
BATCH: Final = 256
SUMMARY: Final = ("n", *(metric.name for metric in METRICS))
MISSED: Final = ("annotated box", "annotated landmarks", "whole image")
"""How a face was chosen (`HOW`) that the detector did not find."""


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

    @property
    def datasets(self) -> tuple[str, ...]:
        """What it was trained on: one dataset, or several together."""
        return split_datasets(self.settings["dataset"])

    def results(self, dataset: str, *, split: str = "test", flip: bool = False) -> Path:
        """Where the scores on a dataset go: those of the protocol in `cross/`, of other splits or ways in `other/`."""
        dataset = "+".join(split_datasets(dataset))
        if split != "test" or flip:
            return self.folder / OTHER / "-".join([dataset, split, *(["flip"] if flip else [])])
        return self.folder if dataset == self.settings["dataset"] else self.folder / CROSS / dataset

    def tests(self) -> list[Path]:
        """The folders of all tests that it has taken, its own first; those in `other/` are no tests of the protocol."""
        paths = [self.folder / METRICS_NAME, *sorted(self.folder.glob(f"{CROSS}/*/{METRICS_NAME}"))]
        return [path.parent for path in paths if path.is_file()]


def finished_runs(runs: Path, pattern: str = "*") -> list[FinishedRun]:
    """All trained runs in `runs` whose name matches the glob `pattern`, by name."""
    return [FinishedRun.open(path.parent) for path in sorted(runs.glob(f"{pattern}/{SUMMARY_NAME}"))]


@dataclass(frozen=True, kw_only=True, slots=True)
class Loading:
    """How test images are loaded; changes no score (see `LoaderConfig`). Its fields are those of `TrainConfig`."""

    loader: str = "dali"
    cache: Path = CACHE
    place: str = "auto"
    verify: str = "once"
    workers: int = 2

    @classmethod
    def of(cls, settings: Any) -> Self:
        """As a `TrainConfig`, or the arguments of a command, say."""
        return cls(**{field.name: getattr(settings, field.name) for field in fields(cls)})


AS_USUAL: Final = Loading()


@dataclass(frozen=True, slots=True)
class Portion:
    """A dataset's part of a test: its predictions, `row`, `key` and `how` of each, and how many rows were left out."""

    dataset: str
    found: Predictions
    rows: pl.DataFrame
    left_out: int


def evaluate(
    run: FinishedRun,
    dataset: str,
    *,
    shards: Path,
    split: str = "test",
    flip: bool = False,
    loading: Loading = AS_USUAL,
    track: Track = untracked,
    say: Say = unsaid,
) -> dict[str, Any]:
    """Test a run's best weights on a split of a dataset, or of several; returns and writes what `metrics.json` holds.

    Writes `predictions.parquet`, `confusion.csv`, `confusion_normalised.csv` (its rows, the true classes, sum to 1)
    and, last, `metrics.json` into `run.results(...)`. Faces that the detector missed are in the test (cropped by their
    annotated box) and in the scores; `found_only` gives the scores without them. Of a dataset that the run was not
    trained on, faces in near-duplicates of its training images are left out, and `test_set` says how many. With `flip`
    each probability is the mean over the image and its mirror image.

    Raises:
        InputError: the test records are missing, or their faces were made otherwise than those the run was trained on;
            or the records it was trained on are gone, and nobody knows what to leave out.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, preprocessing, content = load_model(run.folder / BEST_NAME)
    model.to(device)
    names = split_datasets(dataset)
    for name in names:
        _refuse_unlike(run, content, shards, name)

    def tested(name: str) -> Portion:
        (config,) = settled([_loader_config(run, name, shards, split, device, loading)], say)
        left_out = _left_out(run, name, shards, config.variant.name) if split == "test" else []
        with (
            open_loader(config, track) as images,
            track(f"Testing on {name}", total=len(images), unit="batches") as advance,
        ):
            found = predict(model, images, preprocessing, flip=flip, advance=advance).without(left_out)
        manifest = read_manifest(config.variant).select("row", "key", "how")
        rows = pl.DataFrame({"row": found.row_N}).join(manifest, on="row", how="left", maintain_order="left")
        return Portion(name, found, rows, len(left_out))

    parts = [tested(name) for name in names]
    if not sum(len(part.rows) for part in parts):
        raise InputError(
            f"all {split} images of {dataset} duplicate training images of {run.settings['dataset']}: "
            "there is nothing to score"
        )
    classes = content["classes"]
    test_set = {
        "dataset": "+".join(names),
        "variant": TESTED_VARIANT[run.settings["variant"]],
        "split": split,
        "left_out": sum(part.left_out for part in parts),
        "flip": flip,
        "records_sha256": _records_sha256(run, dataset, shards),
        "weights_sha256": sha256(run.folder / BEST_NAME),
    }
    table = _predictions(parts, classes)
    metrics = _scores(table, classes) | {"test_set": test_set, "training": run.summary}
    _write(run.results(dataset, split=split, flip=flip), table, classes, metrics)
    return metrics


def known_scores(
    run: FinishedRun, dataset: str, shards: Path, *, split: str = "test", flip: bool = False
) -> dict[str, Any] | None:
    """What an earlier test wrote, if it was of these weights and on the records that are there now."""
    path = run.results(dataset, split=split, flip=flip) / METRICS_NAME
    if not path.is_file():
        return None
    metrics = read_json(path)
    test_set = metrics["test_set"]
    same_records = test_set.get("records_sha256") == _records_sha256(run, dataset, shards)
    same_weights = is_as_written(run.folder / BEST_NAME, test_set.get("weights_sha256", ""))
    return metrics if same_records and same_weights else None


def scores_of(
    run: FinishedRun,
    dataset: str,
    *,
    shards: Path,
    loading: Loading = AS_USUAL,
    track: Track = untracked,
    say: Say = unsaid,
) -> dict[str, Any]:
    """The scores of an earlier test on the test split as it is now, or of one made now."""
    known = known_scores(run, dataset, shards)
    return known or evaluate(run, dataset, shards=shards, loading=loading, track=track, say=say)


def _records_sha256(run: FinishedRun, dataset: str, shards: Path) -> str:
    """Of the records that a run is tested on; several datasets' one behind the other."""
    variant = TESTED_VARIANT[run.settings["variant"]]
    for name in split_datasets(dataset):
        open_records(shards, name, variant)
    return "+".join(info_sha256(shards / name / variant) for name in split_datasets(dataset))


def _refuse_unlike(run: FinishedRun, content: dict[str, Any], shards: Path, dataset: str) -> None:
    """Refuse test images of other classes, or whose faces were made otherwise than the training images'."""
    variant = run.settings["variant"]
    classes = open_records(shards, dataset, TESTED_VARIANT[variant]).classes
    if classes != content["classes"]:
        raise InputError(
            f"{run.folder.name} was trained on the classes {', '.join(content['classes'])}; {dataset} has "
            f"{', '.join(classes)}"
        )
    faces = faces_of(shards, dataset, variant)
    if faces not in content["faces"]:
        ours = content["faces"][0]
        unlike = [f"{name} {faces[name]} instead of {ours[name]}" for name in faces if faces[name] != ours[name]]
        raise InputError(
            f"the faces of {dataset} were made otherwise than those that {run.folder.name} was trained on "
            f"({', '.join(unlike)}): make shards with the same settings"
        )


def _left_out(run: FinishedRun, dataset: str, shards: Path, variant: str) -> list[int]:
    """The test rows that duplicate what the run was trained on; where it was trained on the dataset, there are none."""
    if dataset in run.datasets:
        return []
    rows = {row for home in run.datasets for row in leaking_rows(shards, home, dataset, variant)}
    return sorted(rows)


def _loader_config(
    run: FinishedRun, dataset: str, shards: Path, split: str, device: torch.device, loading: Loading
) -> LoaderConfig:
    return LoaderConfig(
        variant=shards / dataset / TESTED_VARIANT[run.settings["variant"]],
        split=split,
        batch=BATCH,
        train=False,
        kind=loading.loader,
        device=str(device),
        workers=loading.workers,
        cache=loading.cache,
        place=loading.place,
        verify=loading.verify,
    )


def _predictions(parts: Sequence[Portion], classes: Sequence[str]) -> pl.DataFrame:
    """A row for each tested face. The keys of several datasets are told apart by their dataset's name in front."""
    tables = [
        part.rows.with_columns(
            dataset=pl.lit(part.dataset),
            key=pl.col("key") if len(parts) == 1 else part.dataset + "/" + pl.col("key"),
            label=pl.Series(part.found.label_N),
            predicted=pl.Series(part.found.predicted_N),
            probabilities=pl.Series(part.found.probability_NK, dtype=pl.Array(pl.Float64, len(classes))),
        )
        for part in parts
    ]
    return pl.concat(tables).select("dataset", "row", "key", "label", "predicted", "probabilities", "how")


def _scores(table: pl.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """The scores of all faces and, as `found_only`, of those that the detector found (None where it sought none)."""

    def scored(rows: pl.DataFrame) -> dict[str, Any]:
        return score(rows["label"].to_numpy(), rows["probabilities"].to_numpy(), classes=tuple(classes))

    found = table.filter(~pl.col("how").is_in(MISSED))
    metrics = scored(table)
    if len(found) == len(table):
        return metrics | {"found_only": {name: metrics[name] for name in SUMMARY}}
    only = scored(found) if len(found) else {}
    return metrics | {"found_only": {name: only[name] for name in SUMMARY} if only else None}


def _write(folder: Path, table: pl.DataFrame, classes: Sequence[str], metrics: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / "predictions.parquet", table)
    counts_KK = confusion(table["label"].to_numpy(), table["predicted"].to_numpy(), len(classes))
    for name, cells_KK in (("confusion", counts_KK), ("confusion_normalised", normalised(counts_KK))):
        cells = pl.DataFrame({"label": classes} | {name: cells_KK[:, i] for i, name in enumerate(classes)})
        write_csv(folder / f"{name}.csv", cells)
    write_json(folder / METRICS_NAME, metrics)
