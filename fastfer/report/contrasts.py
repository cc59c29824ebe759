"""Two runs that differ in one thing, side by side: what the sections on augmentation and on joint training are made of.

A difference and its 95% interval are the paired ones of `make compare`, on the rows that both runs were tested on;
without a comparison the difference is that of the two scores, and has no interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import altair as alt
import polars as pl

from fastfer.evaluation.metrics import METRICS
from fastfer.evaluation.paired import DIFFERENCES, paired_difference, read_pairs, read_seeds
from fastfer.report.charts import Figure, dots
from fastfer.report.locale import Locale
from fastfer.report.runs import Interval, Result, Run
from fastfer.report.tables import Column, Table, translated

HEADLINE: Final = "balanced_accuracy"
SHOWN: Final = (HEADLINE, *(name for name in DIFFERENCES if name != HEADLINE))
TITLES: Final = {metric.name: metric.title for metric in METRICS}
_LEAST_REACH: Final = 0.05
"""What the axis of differences spans at least, to both sides."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """What `make compare` found, as far as it was run, and the command that runs it."""

    pairs: pl.DataFrame | None = None
    seeds: pl.DataFrame | None = None

    @classmethod
    def read(cls, results: Path | None) -> Self:
        """From the folder of the result tables.

        Raises:
            InputError: a table there is broken.
        """
        return cls() if results is None else cls(pairs=read_pairs(results), seeds=read_seeds(results))


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """A run against the one it is measured by, on one test set."""

    run: Run
    base: Run
    result: Result
    base_result: Result

    def difference(self, metric: str, pairs: pl.DataFrame | None) -> Interval:
        """How far the run is above its base."""
        if pairs is not None:
            names = {"run": self.run.name, "base": self.base.name, "tested_on": self.result.dataset}
            if (found := paired_difference(pairs, metric, **names)) is not None:
                return dict(zip(("value", "low", "high"), found, strict=True))
        above, below = (result.scores[metric]["value"] for result in (self.result, self.base_result))
        return {"value": None if above is None or below is None else above - below, "low": None, "high": None}

    def is_paired(self, pairs: pl.DataFrame | None) -> bool:
        """Whether its difference has an interval."""
        return self.difference(HEADLINE, pairs)["low"] is not None


def alike_but(one: Run, other: Run, free: set[str]) -> bool:
    """Whether two runs have the same settings, `free` ones and the records they read set aside."""
    names = (one.config.keys() | other.config.keys()) - free - {"records_sha256"}
    return all(one.config.get(name) == other.config.get(name) for name in names)


def contrast_table(
    name: str,
    title: str,
    named: Sequence[tuple[dict[str, Any], Contrast]],
    *,
    settings: dict[str, str],
    sides: tuple[str, str],
    pairs: pl.DataFrame | None,
    _: Locale,
) -> Table:
    """Scores of both sides and their difference, for each of `SHOWN`.

    Args:
        name: the table's.
        title: likewise.
        named: each contrast with what names it.
        settings: the columns of what names a contrast: their titles by their keys.
        sides: what the base is called, and the run.
        pairs: see `Compared`.
        _: the language; title and note are in it already.
    """
    columns = [Column(key=key, title=heading) for key, heading in settings.items()]
    for metric in SHOWN:
        columns += [
            Column(key=f"{metric}_base", title=f"{TITLES[metric]}, {sides[0]} ↑", kind="score"),
            Column(key=f"{metric}_run", title=f"{TITLES[metric]}, {sides[1]} ↑", kind="score"),
            Column(key=f"{metric}_difference", title="Difference", kind="difference"),
        ]
    records = [
        words
        | {f"{metric}_base": contrast.base_result.scores[metric] for metric in SHOWN}
        | {f"{metric}_run": contrast.result.scores[metric] for metric in SHOWN}
        | {f"{metric}_difference": contrast.difference(metric, pairs) for metric in SHOWN}
        for words, contrast in named
    ]
    return Table(name=name, title=title, columns=translated(columns, _), records=records)


def contrast_figure(
    name: str,
    title: str,
    note: str,
    named: Sequence[tuple[str, str, Contrast]],
    *,
    series_title: str,
    pairs: pl.DataFrame | None,
    _: Locale,
) -> Figure:
    """Differences in balanced accuracy around zero: a band for each label, a colour for each series.

    Args:
        name: the figure's.
        title: likewise.
        note: what is above zero.
        named: label, series and contrast.
        series_title: what the series are.
        pairs: see `Compared`.
        _: the language; title and note are in it already.
    """
    rows = [{"what": label, "run": series, **contrast.difference(HEADLINE, pairs)} for label, series, contrast in named]
    ends = [abs(end) for row in rows for end in (row["value"], row["low"], row["high"]) if isinstance(end, float)]
    reach = max([_LEAST_REACH, *ends]) * 1.05
    series = list(dict.fromkeys(name for _label, name, _contrast in named))
    labels = list(dict.fromkeys(label for label, _name, _contrast in named))
    scale = alt.Scale(domain=[-reach, reach], nice=False)
    return Figure(
        name=name,
        title=title,
        note=note,
        spec=dots(rows, runs=series, whats=labels, legend_title=series_title, scale=scale, _=_),
        legend=tuple(series),
    )
