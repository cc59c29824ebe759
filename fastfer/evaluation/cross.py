"""Tests runs across datasets: each model on the other dataset's test split, beside its score at home."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from fastfer.datasets import DATASETS
from fastfer.evaluation.compare import label_and_predicted, resampled_scores
from fastfer.evaluation.evaluate import AS_USUAL, FinishedRun, Loading, scores_of
from fastfer.evaluation.metrics import METRICS, percentile_interval
from fastfer.evaluation.paired import DIFFERENCES
from pipelines.errors import InputError
from pipelines.progress import Track, untracked
from pipelines.records import write_csv

CROSS_NAME: Final = "cross.csv"
RESAMPLES: Final = 1000
SIDES: Final = {"": "value", "_low": "low", "_high": "high"}
"""What is behind a column's name, and the part of an interval that stands there."""


def counterparts(datasets: Sequence[str]) -> list[str]:
    """The datasets on which a model of `datasets` is tested across: the others of their kind (real, or demo)."""
    kind = DATASETS[datasets[0]].kind
    return [name for name, other in DATASETS.items() if other.kind == kind and name not in datasets]


def cross(
    runs: Sequence[FinishedRun], *, shards: Path, out: Path, loading: Loading = AS_USUAL, track: Track = untracked
) -> pl.DataFrame:
    """Test each run on its counterparts' test splits, and write one CSV line per run and test set to `out`.

    A line holds the scores with their intervals, and how far those of `DIFFERENCES` fall from the run's own test split,
    with 95% intervals too: both test sets are resampled, independently. Tests already made are not made again.

    Raises:
        InputError: there is no run, or no counterpart's records are there.
    """
    lines = []
    for run in runs:
        own = run.settings["dataset"]
        for dataset in counterparts(run.datasets):
            at_home, away = (
                scores_of(run, name, shards=shards, loading=loading, track=track) for name in (own, dataset)
            )
            named = {name: run.settings[name] for name in ("variant", "arch", "aug", "seed")}
            line = {"run": run.folder.name, **named, "trained_on": own, "tested_on": dataset, "n": away["n"]}
            line |= {"left_out": away["test_set"]["left_out"]}
            for metric in (metric.name for metric in METRICS):
                bounds = {f"{metric}_{side}": away[metric][side] for side in ("low", "high")}
                line |= {metric: away[metric]["value"], **bounds}
            drops = _drops(run, own, dataset)
            for metric in DIFFERENCES:
                drop = {f"{metric}_drop{side}": drops[metric][of] for side, of in SIDES.items()}
                line |= {f"{metric}_at_home": at_home[metric]["value"], **drop}
            lines.append(line)
    if not lines:
        raise InputError("no trained run to test across: make train DATASET=rafdb and make train DATASET=expw make two")
    table = pl.DataFrame(lines, infer_schema_length=None)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_csv(out, table)
    return table


def read_drops(path: Path) -> pl.DataFrame | None:
    """The table that `cross` wrote, if it did."""
    return pl.read_csv(path) if path.is_file() else None


def _drops(run: FinishedRun, home: str, away: str) -> dict[str, dict[str, float | None]]:
    """For each of `DIFFERENCES` how far it falls from one test set to another, with its interval."""
    home_R, away_R = (
        resampled_scores(*label_and_predicted(run, dataset), resamples=RESAMPLES, seed=seed)
        for seed, dataset in enumerate((home, away))
    )
    falls = {name: home_R[name] - away_R[name] for name in DIFFERENCES}
    return {name: percentile_interval(float(fall_R[0]), fall_R[1:]) for name, fall_R in falls.items()}
