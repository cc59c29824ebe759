"""Reads the run folders that training and evaluation write; nothing else of the report touches them.

A run is a folder with `config.json`. What it may also hold: `environment.json`, `epochs.csv`, `metrics.json` with
`confusion.csv` (a run without `metrics.json` is unfinished), and the same two files in `cross/<dataset>/` for each
other dataset it was tested on. A missing file is a missing part of the report; a broken one is an `InputError`.
"""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import polars as pl

from fastfer.evaluation.metrics import CLASS_METRICS, METRICS, normalised
from fastfer.evaluation.weighted import Floats, Ints
from fastfer.json_files import read_json
from pipelines.errors import InputError

Select: TypeAlias = str | Callable[[str], bool]
"""A glob pattern (`*`, `?`, `[...]`) that a name must match, such as `demo-*`, or what says so of a name."""

Interval: TypeAlias = dict[str, float | None]
"""`value`, `low` and `high`; None is undefined."""

EPOCH_COLUMNS: Final = (
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
)
"""The measurements of an epoch in `epochs.csv`, beside `epoch` (from 1). Empty: not measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Confusion:
    """What was taken for what."""

    classes: tuple[str, ...]
    counts_KK: Ints  # rows true, columns predicted

    def shares_KK(self) -> Floats:
        """See `normalised`."""
        return normalised(self.counts_KK)

    def cells(self) -> list[dict[str, Any]]:
        """Every cell, row by row: `true`, `predicted`, `faces` and `share` (of the true class)."""
        shares_KK = self.shares_KK()
        return [
            {
                "true": true,
                "predicted": predicted,
                "faces": int(self.counts_KK[t, p]),
                "share": float(shares_KK[t, p]),
            }
            for t, true in enumerate(self.classes)
            for p, predicted in enumerate(self.classes)
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One model on one test set."""

    dataset: str
    test_set: dict[str, Any]
    n: int
    scores: dict[str, Interval]  # by the names of METRICS
    per_class: dict[str, dict[str, Any]]  # by class: an Interval for each of CLASS_METRICS, and `support`
    training: dict[str, Any]  # `seconds`, `best_epoch`, `epochs_run`, `parameters`, `flops` and the like, if known
    confusion: Confusion | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One training run, as far as it has come."""

    name: str
    folder: Path
    config: dict[str, Any]
    environment: dict[str, Any] | None
    epochs: pl.DataFrame | None  # `epoch` and EPOCH_COLUMNS; null where not measured or not finite
    result: Result | None  # on its own test set; None while unfinished
    cross: tuple[Result, ...]  # on the test sets of datasets it was not trained on
    parts: tuple[Result, ...] = ()  # on those of the single datasets, where it was trained on several

    @property
    def dataset(self) -> str:
        """What it was trained on."""
        return str(self.config.get("dataset", "unknown"))

    def results(self) -> list[Result]:
        """What is known of it on every test set, its own first."""
        return [*([self.result] if self.result else []), *self.parts, *self.cross]


def read_runs(runs_root: Path, select: Select = "*") -> list[Run]:
    """Read every run below a folder, in the order of their names.

    Args:
        runs_root: the folder that holds the run folders.
        select: which runs, by the names of their folders.

    Raises:
        InputError: no run is there or none matches, or a file of a run is broken.
    """
    return [read_run(folder) for folder in run_folders(runs_root, select)]


def run_folders(runs_root: Path, select: Select = "*") -> list[Path]:
    """The run folders below a folder, in the order of their names.

    Raises:
        InputError: no run is there or none matches.
    """
    selects = select if callable(select) else partial(fnmatchcase, pat=select)
    folders = sorted(path.parent for path in runs_root.glob("*/config.json"))
    chosen = [folder for folder in folders if selects(folder.name)]
    if not chosen:
        wanted = f" matches {select!r}" if isinstance(select, str) else " is wanted"
        found = f"none of the {len(folders)} runs in {runs_root}{wanted}" if folders else f"no run in {runs_root}"
        raise InputError(f"nothing to show, {found}: make train ARCH=efficientnet AUG=online makes one")
    return chosen


def read_run(folder: Path) -> Run:
    """Read a run's folder.

    Raises:
        InputError: one of its files is broken.
    """
    environment, epochs = folder / "environment.json", folder / "epochs.csv"
    config = read_json(folder / "config.json")
    together = str(config.get("dataset")).split("+")
    trained_on = together if len(together) > 1 else []
    others = [_read_result(path.parent) for path in sorted(folder.glob("cross/*/metrics.json"))]
    return Run(
        name=folder.name,
        folder=folder,
        config=config,
        environment=read_json(environment) if environment.exists() else None,
        epochs=_read_epochs(epochs) if epochs.exists() else None,
        result=_read_result(folder) if (folder / "metrics.json").exists() else None,
        cross=tuple(result for result in others if result.dataset not in trained_on),
        parts=tuple(result for result in others if result.dataset in trained_on),
    )


def _read_result(folder: Path) -> Result:
    path = folder / "metrics.json"
    content = read_json(path)
    per_class = content.get("per_class")
    interval = {"value", "low", "high"}
    missing = [metric.name for metric in METRICS if not interval <= _keys(content.get(metric.name))]
    missing += [name for name in ("n", "test_set", "per_class") if not content.get(name)]
    for name, found in (per_class or {}).items():
        missing += [f"per_class.{name}.{key}" for key in CLASS_METRICS if not interval <= _keys(found.get(key))]
    if missing:
        raise InputError(
            f"{path} lacks {', '.join(missing)}: write it again with `make evaluate`, or remove the folder."
        )
    table = folder / "confusion.csv"
    return Result(
        dataset=str(content["test_set"].get("dataset", folder.name)),
        test_set=content["test_set"],
        n=content["n"],
        scores={metric.name: content[metric.name] for metric in METRICS},
        per_class=content["per_class"],
        training=content.get("training") or {},
        confusion=_read_confusion(table) if table.exists() else None,
    )


def _keys(value: Any) -> set[str]:
    return set(value) if isinstance(value, dict) else set()


def _read_epochs(path: Path) -> pl.DataFrame:
    try:
        frame = pl.read_csv(path, infer_schema=False)
        columns = [
            pl.col(name).cast(pl.Float64) if name in frame.columns else pl.lit(None, pl.Float64).alias(name)
            for name in EPOCH_COLUMNS
        ]
        frame = frame.select(pl.col("epoch").cast(pl.Int64), *columns)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _broken(path, error) from error
    # A diverged run writes nan or inf, which JSON and the charts cannot hold.
    return frame.with_columns(pl.when(pl.col(name).is_finite()).then(pl.col(name)) for name in EPOCH_COLUMNS)


def _read_confusion(path: Path) -> Confusion:
    try:
        # Not polars: it leaves doubled quotes in a header as they are.
        header, *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
        counts = [[int(count) for count in row[1:]] for row in rows]
        counts_KK = np.array(counts, dtype=np.int64).reshape(len(rows), len(header) - 1)
    except (OSError, ValueError, csv.Error) as error:
        raise _broken(path, error) from error
    classes = tuple(header[1:])
    if tuple(row[0] for row in rows) != classes:
        raise _broken(path, "its rows and columns are not the same classes")
    return Confusion(classes=classes, counts_KK=counts_KK)


def _broken(path: Path, why: object) -> InputError:
    said = str(why).splitlines()[0]
    return InputError(f"{path} cannot be read ({said}): write it again, or remove the run's folder {path.parent}.")
