"""Compares finished runs on the test sets they share: run against run by their mistakes, and settings over their seeds.

Two runs are compared on the rows that both were tested on. The rows that only one of them gets right decide: `b` that
only A does, `c` that only B does; the difference in accuracy is (b - c) / n. McNemar's test (Psychometrika 12, 1947,
153-157) asks whether two equally good models would differ as much; Holm's correction (Scandinavian Journal of
Statistics 6, 1979, 65-70) is over all pairs of the same test set. Differences have a 95% paired bootstrap interval: a
resample draws the same rows for both runs. A run is scored once for all pairs with the same rows: 60 runs on 18,000
rows, 1,770 pairs, take 30 s on two cores.

McNemar's test speaks of two trained models on this test set, not of how they were trained: another seed may turn it
round (Dietterich, Neural Computation 10, 1998, 1895-1923). The table over seeds shows how far seeds alone move a score.
N rows, R resamples.
"""

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import chain, combinations
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import binomtest, chi2

from fastfer.evaluation.evaluate import METRICS_NAME, FinishedRun
from fastfer.evaluation.metrics import METRICS, percentile_interval, resampled_weights
from fastfer.evaluation.paired import DIFFERENCES, PAIRS_NAME, SEEDS_NAME
from fastfer.evaluation.weighted import Floats, Ints, gather, weighted_scores
from fastfer.json_files import read_json
from pipelines.errors import InputError
from pipelines.progress import Track, untracked
from pipelines.records import write_csv

PREDICTIONS_NAME: Final = "predictions.parquet"
TESTED: Final = {"tested_on": "dataset", "tested_variant": "variant", "split": "split"}
"""What makes a test set: columns here, and their names in `test_set` of `metrics.json`."""

TRAINED: Final = {"trained_on": "dataset", "variant": "variant", "arch": "arch", "aug": "aug"}
"""What names settings: columns here, and their names in `config.json`."""

EXACT_BELOW: Final = 25
"""Discordant rows from which the chi-squared distribution serves; below, the binomial one does."""

UNTESTED: Final = -1
"""The predicted class of a row that a run was not tested on."""


@dataclass(frozen=True, slots=True)
class McNemar:
    """A test of `b` against `c`: which one, its statistic (None for the exact test) and its two-sided p-value."""

    test: Literal["exact", "chi2"]
    statistic: float | None
    p: float


def mcnemar(b: int, c: int) -> McNemar:
    """McNemar's test of the discordant counts: are `b` and `c` parts of b + c tosses of a fair coin?

    Exact (binomial, two-sided) for fewer than `EXACT_BELOW` discordant rows; else chi-squared with one degree of
    freedom and Edwards' continuity correction (Psychometrika 13, 1948, 185-187), which never turns b = c into evidence.
    """
    if b + c < EXACT_BELOW:
        return McNemar("exact", None, float(binomtest(b, b + c).pvalue) if b + c else 1.0)
    statistic = max(abs(b - c) - 1, 0) ** 2 / (b + c)
    return McNemar("chi2", statistic, float(chi2.sf(statistic, df=1)))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of p-values, in their order: at least as large, at most 1, and ranked alike."""
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = largest
    return adjusted


def cohens_g(b: int, c: int) -> float | None:
    """How far the larger count's share is from a half, 0..0.5; None without discordant rows.

    Small from 0.05, medium from 0.15, large from 0.25: Cohen, *Statistical Power Analysis*, 2nd edition, 1988, ch. 5.
    """
    return max(b, c) / (b + c) - 0.5 if b + c else None


def odds_ratio(b: int, c: int) -> float | None:
    """The odds b / c: above 1 where A is right more often; None where c is 0."""
    return b / c if c else None


def resampled_scores(label_N: Ints, predicted_N: Ints, *, resamples: int, seed: int) -> dict[str, Floats]:
    """Each of `DIFFERENCES`, plain and in R resamples of the rows: float64 [1 + R] by name, 0..1.

    Labels and predicted classes are int64, from 0. The same N and seed draw the same rows, whatever the predictions.
    """
    certain_NK = np.eye(int(max(label_N.max(), predicted_N.max())) + 1)[predicted_N]
    evidence = replace(gather(label_N, certain_NK), rankings=())  # only AUROC needs them, and most of the time
    weightings = chain([np.ones((1, len(label_N)))], resampled_weights(len(label_N), resamples, seed))
    blocks = [weighted_scores(evidence, weights_RN) for weights_RN in weightings]
    return {name: np.concatenate([block[name] for block in blocks]) for name in DIFFERENCES}


def compare_predictions(
    label_N: Ints,
    predicted: Mapping[str, Ints],
    *,
    resamples: int = 1000,
    seed: int = 0,
    advance: Callable[[int], None] = lambda _pairs: None,
) -> pl.DataFrame:
    """Compare all pairs of runs on one test set.

    Args:
        label_N: int64, the true classes of all rows that any run was tested on.
        predicted: by run, int64 [N], the predicted class of each of these rows, or `UNTESTED`.
        resamples: R, bootstrap resamples of the rows of a pair; 0 leaves the intervals None.
        seed: of the resampling.
        advance: told of each pair.

    Returns:
        A line per pair, A before B as in `predicted`: `run_a, run_b, n` (rows both were tested on), `only_a_right` (b),
        `only_b_right` (c), `test, statistic, p, p_holm, cohens_g, odds_ratio`, and for each of `DIFFERENCES` its value
        `<name>_a` and `<name>_b`, `<name>_difference` (A - B), and its interval `<name>_difference_low` and `..._high`.

    Raises:
        InputError: two runs have no row in common.
    """

    @cache
    def scores(run: str, shared: bytes) -> dict[str, Floats]:
        rows_N = np.frombuffer(shared, np.bool_)
        return resampled_scores(label_N[rows_N], predicted[run][rows_N], resamples=resamples, seed=seed)

    lines = []
    for run_a, run_b in combinations(predicted, 2):
        shared_N = (predicted[run_a] != UNTESTED) & (predicted[run_b] != UNTESTED)
        if not shared_N.any():
            raise InputError(f"{run_a} and {run_b} were tested on no common row: make evaluate tests them again")
        line = {"run_a": run_a, "run_b": run_b, "n": int(shared_N.sum())}
        line |= _discordance(predicted[run_a] == label_N, predicted[run_b] == label_N, shared_N)
        lines.append(line | _differences(*(scores(run, shared_N.tobytes()) for run in (run_a, run_b))))
        advance(1)
    numbers = dict.fromkeys(("statistic", "cohens_g", "odds_ratio"), pl.Float64())
    table = pl.DataFrame(lines, schema_overrides=numbers, infer_schema_length=None)
    return table.insert_column(table.columns.index("p") + 1, pl.Series("p_holm", holm(table["p"].to_list())))


def _discordance(
    right_a_N: NDArray[np.bool_], right_b_N: NDArray[np.bool_], shared_N: NDArray[np.bool_]
) -> dict[str, Any]:
    b, c = (int((shared_N & only_N).sum()) for only_N in (right_a_N & ~right_b_N, right_b_N & ~right_a_N))
    counts = {"only_a_right": b, "only_b_right": c}
    return {**counts, **asdict(mcnemar(b, c)), "cohens_g": cohens_g(b, c), "odds_ratio": odds_ratio(b, c)}


def _differences(scores_a: dict[str, Floats], scores_b: dict[str, Floats]) -> dict[str, float | None]:
    columns: dict[str, float | None] = {}
    for name in DIFFERENCES:
        a_R, b_R = scores_a[name], scores_b[name]
        found = percentile_interval(float(a_R[0] - b_R[0]), a_R[1:] - b_R[1:])
        columns |= {f"{name}_a": float(a_R[0]), f"{name}_b": float(b_R[0]), f"{name}_difference": found["value"]}
        columns |= {f"{name}_difference_{side}": found[side] for side in ("low", "high")}
    return columns


@dataclass(frozen=True, slots=True)
class Result:
    """A run's scores on one test set."""

    run: FinishedRun
    metrics: dict[str, Any]

    @classmethod
    def all_of(cls, run: FinishedRun) -> Iterator["Result"]:
        """Every test that the run has taken: on its own dataset, then on others."""
        for folder in run.tests():
            yield cls(run, read_json(folder / METRICS_NAME))

    @property
    def test_set(self) -> dict[str, str]:
        """What it was tested on, by the columns of `TESTED`."""
        return {column: self.metrics["test_set"][name] for column, name in TESTED.items()}

    def predictions(self) -> pl.DataFrame:
        """What `read_predictions` gives, and the run's name."""
        return read_predictions(self.run, self.test_set["tested_on"]).with_columns(run=pl.lit(self.run.folder.name))


def read_predictions(run: FinishedRun, tested_on: str) -> pl.DataFrame:
    """The columns `key, label, predicted` of a test.

    Raises:
        InputError: they are gone; says which command makes them.
    """
    path = run.results(tested_on) / PREDICTIONS_NAME
    if not path.is_file():
        again = f"make evaluate RUN={run.folder} DATASET={tested_on}"
        raise InputError(f"no {PREDICTIONS_NAME} in {path.parent}: {again} makes it")
    return pl.read_parquet(path).select("key", pl.col("label", "predicted").cast(pl.Int64))


def label_and_predicted(run: FinishedRun, tested_on: str) -> tuple[Ints, Ints]:
    """The true and the predicted classes of a test, int64 [N] each."""
    table = read_predictions(run, tested_on)
    return table["label"].to_numpy(), table["predicted"].to_numpy()


def aligned(results: Sequence[Result]) -> tuple[Ints, dict[str, Ints]]:
    """The predictions of several runs on one test set, row by row.

    Returns:
        What `compare_predictions` takes: int64 labels [N] of every row, by key, that any run was tested on, and int64
        predictions [N] by run, `UNTESTED` where it was not.

    Raises:
        InputError: predictions are gone, or two runs disagree on the label of a row.
    """
    tables = {result.run.folder.name: result.predictions() for result in results}
    rows = pl.concat(tables.values()).unique(["key", "label"], keep="first", maintain_order=True)
    disputed = rows.filter(pl.col("key").is_duplicated()).sort("key", maintain_order=True)
    if len(disputed):
        (key, one), other = disputed.select("key", "run").row(0), disputed["run"][1]
        raise InputError(
            f"{one} and {other} were tested on {key} with different labels, so on different records of "
            f"{results[0].test_set['tested_on']}: make evaluate RUN= tests a run again"
        )
    rows = rows.select("key", "label").sort("key")
    return rows["label"].to_numpy(), {run: _beside(rows, table) for run, table in tables.items()}


def _beside(rows: pl.DataFrame, table: pl.DataFrame) -> Ints:
    joined = rows.join(table, on="key", how="left", maintain_order="left", validate="1:1")
    return joined["predicted"].fill_null(UNTESTED).to_numpy()


def seeds_table(results: Sequence[Result]) -> pl.DataFrame:
    """How scores vary among results that differ in nothing but the seed, on one test set.

    Returns:
        A line per settings, test set and metric of `METRICS`: `trained_on, variant, arch, aug`, `settings` (a hash of
        all but the seed), `tested_on, tested_variant, split, metric`, `seeds`, `undefined` (for how many of them it has
        no value), and `mean, std, min, max` of the others; `std` is the sample's, None for fewer than two.
    """
    lines = []
    for result in results:
        settings = {name: value for name, value in result.run.settings.items() if name != "seed"}
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
        group = {column: settings[name] for column, name in TRAINED.items()} | {"settings": digest} | result.test_set
        lines += [group | {"metric": m.name, "value": result.metrics[m.name]["value"]} for m in METRICS]
    table = pl.DataFrame(lines, schema_overrides={"value": pl.Float64()}, infer_schema_length=None)
    value = pl.col("value")
    counts = {"seeds": pl.len(), "undefined": value.null_count()}
    moments = {"mean": value.mean(), "std": value.std(), "min": value.min(), "max": value.max()}
    groups = [*TRAINED, "settings", *TESTED, "metric"]
    return table.group_by(groups, maintain_order=True).agg(**counts, **moments)


def compare(
    runs: Sequence[FinishedRun], *, out: Path, tested_on: str | None = None, track: Track = untracked
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Compare all pairs of runs on each test set that both have taken, and all settings over their seeds.

    Writes both tables, `compare.csv` and `seeds.csv`, into the folder `out`. Tests already made count; none is made.
    With `tested_on`, only that dataset's test sets do. The names of the runs' folders must differ.

    Returns:
        The pairs (`TESTED`, then the columns of `compare_predictions`), sorted by test set and p; and `seeds_table`.

    Raises:
        InputError: no two runs were tested on one test set, or two cannot be compared (see `aligned` and
            `compare_predictions`); nothing is written.
    """
    if len(runs) < 2:
        raise InputError(f"a comparison needs two trained runs, not {len(runs)}: make train makes one")
    results = [result for run in runs for result in Result.all_of(run)]
    results = [result for result in results if tested_on in {None, result.test_set["tested_on"]}]
    shared = shared_tests(results)
    if not shared:
        where = f"on {tested_on}" if tested_on else "on the same dataset and variant"
        raise InputError(f"no two of these {len(runs)} runs were tested {where}: make evaluate RUN= DATASET= tests one")
    with track("Comparing", total=sum(math.comb(len(test), 2) for test in shared), unit="pairs") as advance:
        pairs = pl.concat([_compared(test, advance) for test in shared])
    seeds = seeds_table(results)
    out.mkdir(parents=True, exist_ok=True)
    for name, table in ((PAIRS_NAME, pairs), (SEEDS_NAME, seeds)):
        write_csv(out / name, table)
    return pairs, seeds


def shared_tests(results: Sequence[Result]) -> list[list[Result]]:
    """The results by test set, of each that more than one run has taken; other records are another test set."""
    by_test_set = defaultdict(list)
    for result in results:
        records = result.metrics["test_set"].get("records_sha256", "")
        by_test_set[*result.test_set.values(), records].append(result)
    return [taken for _, taken in sorted(by_test_set.items()) if len({result.run.folder for result in taken}) > 1]


def _compared(results: Sequence[Result], advance: Callable[[int], None]) -> pl.DataFrame:
    pairs = compare_predictions(*aligned(results), advance=advance).sort("p", "run_a", "run_b")
    return pairs.select(*(pl.lit(name).alias(column) for column, name in results[0].test_set.items()), pl.all())
