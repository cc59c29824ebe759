"""What a study came to: a row for each run and test set, and one screen of findings."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import polars as pl

from fastfer.evaluation.evaluate import METRICS_NAME, FinishedRun, known_scores
from fastfer.evaluation.metrics import METRICS
from fastfer.evaluation.paired import paired_difference
from fastfer.json_files import read_json
from fastfer.training.log import median_speed
from pipelines.errors import InputError
from pipelines.records import write_csv, write_table

RESULTS_NAME: Final = "results"
HEADLINE: Final = "balanced_accuracy"
"""The score by which findings are told."""
SETTINGS: Final = ("variant", "arch", "model", "aug", "seed")
TRAINING: Final = {
    "train_seconds": "seconds",
    "best_epoch": "best_epoch",
    "epochs_run": "epochs_run",
    "parameters": "parameters",
    "flops": "flops",
    "peak_rss_mib": "peak_rss_mib",
    "peak_gpu_mib": "peak_gpu_mib",
    "gpu_memory_mib": "gpu_memory_mib",
    "gpu_utilisation": "gpu_utilisation",
    "energy_j": "energy_j",
}
"""Columns of the table and their names in `training.json`; None is not measured."""
RELATIONS: Final = {
    "own": "the test set of the dataset trained on",
    "cross": "the test set of another dataset",
    "part": "the test set of one of the datasets trained on together",
    "together": "the test sets of all of them",
}
"""How a test set stands to what a run was trained on."""


def results_table(runs: Sequence[FinishedRun], shards: Path) -> pl.DataFrame:
    """A row for each run and test set; tests of other records than those in `shards` now do not count.

    Returns:
        `run, trained_on`, `SETTINGS`, `tested_on, relation` (see `RELATIONS`), `n, left_out`; each metric with `_low`
        and `_high`, and as `<metric>_found_only`; then `TRAINING` and `images_per_s` (the epochs' median).
    """
    rows = [_row(run, metrics) for run in runs for metrics in _tests(run, shards)]
    return pl.DataFrame(rows, infer_schema_length=None)


def write_results(table: pl.DataFrame, folder: Path) -> Path:
    """Write `results.parquet` and `results.csv`; returns the latter's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / f"{RESULTS_NAME}.parquet", table)
    path = folder / f"{RESULTS_NAME}.csv"
    write_csv(path, table)
    return path


def read_results(folder: Path) -> pl.DataFrame | None:
    """What `write_results` wrote, if it did."""
    path = folder / f"{RESULTS_NAME}.parquet"
    return pl.read_parquet(path) if path.is_file() else None


def _tests(run: FinishedRun, shards: Path) -> Iterator[dict[str, Any]]:
    """What is known of the run on every test set, its own first."""
    for folder in run.tests():
        dataset = read_json(folder / METRICS_NAME)["test_set"]["dataset"]
        with suppress(InputError):  # its records are gone
            if (known := known_scores(run, dataset, shards)) is not None:
                yield known


def relation(run: FinishedRun, tested_on: str) -> str:
    """One of `RELATIONS`."""
    if tested_on == run.settings["dataset"]:
        return "own" if len(run.datasets) == 1 else "together"
    return "part" if tested_on in run.datasets else "cross"


def _row(run: FinishedRun, metrics: dict[str, Any]) -> dict[str, Any]:
    test_set, training = metrics["test_set"], run.summary
    row = {"run": run.folder.name, "trained_on": run.settings["dataset"]}
    row |= {name: run.settings[name] for name in SETTINGS}
    row |= {"tested_on": test_set["dataset"], "relation": relation(run, test_set["dataset"])}
    row |= {"n": metrics["n"], "left_out": test_set["left_out"]}
    for metric in (metric.name for metric in METRICS):
        found = metrics[metric]
        row |= {metric: found["value"], f"{metric}_low": found["low"], f"{metric}_high": found["high"]}
    found_only = metrics.get("found_only") or {}
    row |= {"n_found_only": found_only.get("n")}
    row |= {f"{metric.name}_found_only": found_only.get(metric.name, {}).get("value") for metric in METRICS}
    row |= {column: training.get(name) for column, name in TRAINING.items()}
    return row | {"images_per_s": median_speed(run.folder)}


def findings(table: pl.DataFrame, pairs: pl.DataFrame | None, drops: pl.DataFrame | None) -> list[str]:
    """What the study came to, in sentences that fit one screen: by `HEADLINE`, with 95% intervals.

    Told of the best architecture of each set trained on, and of one seed; the table has them all.

    Args:
        table: what `results_table` gives.
        pairs: what `compare` gives, for the intervals of differences; None where there was nothing to compare.
        drops: what `cross` gives; None where nothing was tested across.
    """
    told = _told(table)
    return [*_best(table), *_augmented(told, pairs), *_across(told, drops), *_together(told, table, pairs)]


def _told(table: pl.DataFrame) -> pl.DataFrame:
    at_home = table.filter(pl.col("relation").is_in(["own", "together"])).sort(
        HEADLINE, descending=True, nulls_last=True
    )
    best = at_home.unique("trained_on", keep="first", maintain_order=True).select("trained_on", "arch", "seed")
    return table.join(best, on=["trained_on", "arch", "seed"], maintain_order="left")


def _best(table: pl.DataFrame) -> Iterator[str]:
    own = table.filter(pl.col("relation") == "own").sort(HEADLINE, descending=True, nulls_last=True)
    for group in own.partition_by("tested_on", maintain_order=True):
        row = group.row(0, named=True)
        interval = _interval(row[HEADLINE], row[f"{HEADLINE}_low"], row[f"{HEADLINE}_high"])
        yield f"best on {row['tested_on']}: {row['arch']}, {row['aug']} on {row['variant']}, {interval}"


def _augmented(table: pl.DataFrame, pairs: pl.DataFrame | None) -> Iterator[str]:
    own = table.filter(pl.col("relation").is_in(["own", "together"]), pl.col("variant") != "raw")
    for row in own.filter(pl.col("aug") != "none").iter_rows(named=True):
        baseline = own.filter(
            pl.col("aug") == "none", *(pl.col(name) == row[name] for name in ("trained_on", "arch", "seed"))
        )
        for base in baseline.iter_rows(named=True):
            change = _difference(row, base, pairs)
            yield f"{row['trained_on']}, {row['arch']}, s{row['seed']}: {row['aug']} against none {change}"


def _across(told: pl.DataFrame, drops: pl.DataFrame | None) -> Iterator[str]:
    if drops is None:
        return
    drop = f"{HEADLINE}_drop"
    for row in drops.join(told.select("run").unique(), on="run", how="semi").iter_rows(named=True):
        interval = f"{row[drop]:+.3f} ({row[f'{drop}_low']:+.3f} to {row[f'{drop}_high']:+.3f})"
        yield (
            f"{row['trained_on']} -> {row['tested_on']}, {row['arch']}, {row['aug']} on {row['variant']}, "
            f"s{row['seed']}: {_interval(row[HEADLINE], row[f'{HEADLINE}_low'], row[f'{HEADLINE}_high'])}, "
            f"a drop of {interval} from home"
        )


def _together(told: pl.DataFrame, table: pl.DataFrame, pairs: pl.DataFrame | None) -> Iterator[str]:
    same = ("arch", "aug", "variant", "seed")
    for row in told.filter(pl.col("relation") == "part").iter_rows(named=True):
        alone = table.filter(
            pl.col("relation") == "own",
            pl.col("tested_on") == row["tested_on"],
            *(pl.col(name) == row[name] for name in same),
        )
        for single in alone.iter_rows(named=True):
            change = _difference(row, single, pairs)
            cell = f"{row['arch']}, {row['aug']} on {row['variant']}, s{row['seed']}"
            yield f"tested on {row['tested_on']}, {cell}: trained together against alone {change}"


def _difference(row: dict[str, Any], base: dict[str, Any], pairs: pl.DataFrame | None) -> str:
    """How far a result is above another, with the paired interval if the two were compared."""
    found = None
    if pairs is not None:
        found = paired_difference(pairs, HEADLINE, run=row["run"], base=base["run"], tested_on=row["tested_on"])
    if found is None:
        return f"{row[HEADLINE] - base[HEADLINE]:+.3f}"
    value, low, high = found
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f})"


def _interval(value: float, low: float | None, high: float | None) -> str:
    return f"{HEADLINE.replace('_', ' ')} {value:.3f}" + (f" ({low:.3f} to {high:.3f})" if low is not None else "")
