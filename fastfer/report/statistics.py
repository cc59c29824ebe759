"""The section of tests: pairs of runs by their mistakes, and how far seeds alone move a score."""

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from fastfer.evaluation.paired import DIFFERENCES, PAIRS_NAME
from fastfer.report.charts import Figure, dots
from fastfer.report.contrasts import HEADLINE, TITLES, Compared
from fastfer.report.document import Missing, Section
from fastfer.report.locale import Locale
from fastfer.report.runs import Run
from fastfer.report.tables import Column, Table, translated

LEVEL: Final = 0.05
FACTORS: Final = (("dataset",), ("arch",), ("variant", "aug"), ("seed",))
"""What a study varies; the pairs shown differ in one of them at most."""
CONDITIONS: Final = ("trained_on", "variant", "arch", "aug", "tested_on")
PAIR_COLUMNS: Final = (
    Column(key="run_a", title="A"),
    Column(key="run_b", title="B"),
    Column(key="tested_on", title="Tested on"),
    Column(key="n", title="Shared faces", kind="number"),
    Column(key="only_a_right", title="Only A right", kind="number"),
    Column(key="only_b_right", title="Only B right", kind="number"),
    Column(key="test", title="McNemar's test"),
    Column(key="p", title="p", kind="p"),
    Column(key="p_holm", title="p, Holm", kind="p"),
    Column(key="cohens_g", title="Cohen's g", kind="number", digits=3),
    Column(key="odds_ratio", title="Odds ratio", kind="number", digits=2),
    *(
        Column(key=f"{metric}_difference", title=f"{TITLES[metric]}, A − B", kind="difference")
        for metric in DIFFERENCES
    ),
)
SEED_COLUMNS: Final = (
    *(Column(key=key, title=key.replace("_", " ").capitalize()) for key in CONDITIONS),
    Column(key="metric", title="Metric"),
    Column(key="seeds", title="Seeds", kind="number"),
    *(
        Column(key=key, title=title, kind="number", digits=3)
        for key, title in (("mean", "Mean"), ("std", "Standard deviation"), ("min", "Lowest"), ("max", "Highest"))
    ),
)


def section(runs: Sequence[Run], labels: dict[str, str], compared: Compared, command: str, _: Locale) -> Section:
    """The tests of the report's runs; what is not there is told with the command that makes it."""
    made = Section(title=_("Statistics"))
    pairs = _pairs(runs, compared.pairs)
    if pairs is None or pairs.is_empty():
        made.missing.append(Missing(sentence=_("The runs were not compared with one another"), command=command))
    else:
        _add_pairs(made, runs, labels, pairs, _)
    seeds = _seeds(runs, compared.seeds)
    if seeds is None or seeds.is_empty():
        sentence = _("No settings were compared over several seeds")
        made.missing.append(Missing(sentence=sentence, command=f"make study SEEDS=0,1,2 && {command}"))
    else:
        made.paragraphs.append(
            _("Over seeds: runs that differ in nothing else, so what chance in training alone does.")
        )
        made.figures.append(_seeds_figure(seeds, _))
        made.tables.append(
            Table(name="seeds", title=_("Over seeds"), columns=translated(SEED_COLUMNS, _), records=_titled(seeds, _))
        )
    return made


def _pairs(runs: Sequence[Run], pairs: pl.DataFrame | None) -> pl.DataFrame | None:
    """The pairs of which both are in the report."""
    names = [run.name for run in runs]
    return None if pairs is None else pairs.filter(pl.col("run_a").is_in(names), pl.col("run_b").is_in(names))


def _add_pairs(made: Section, runs: Sequence[Run], labels: dict[str, str], pairs: pl.DataFrame, _: Locale) -> None:
    by_name = {run.name: run for run in runs}
    shown = [
        line
        for line in pairs.iter_rows(named=True)
        if differing_factors(by_name[line["run_a"]], by_name[line["run_b"]]) <= 1
    ]
    clear = sum(line["p_holm"] < LEVEL for line in shown)
    made.paragraphs += [
        _(
            "{shown} of {all} pairs of runs are shown, those that differ in the dataset, the architecture, "
            "the augmentation with its variant, or the seed alone; {file} has them all. {clear} of those shown "
            "differ at the 5% level after Holm's adjustment, which is over all pairs of the same test set.",
            shown=len(shown),
            all=len(pairs),
            file=PAIRS_NAME,
            clear=clear,
        ),
        _(
            "McNemar's test (1947) asks whether two models err alike: exact below 25 faces that only one of them gets "
            "right, else chi-squared with continuity correction. Cohen's g is small from 0.05, medium from 0.15, large "
            "from 0.25. The test speaks of two trained models, not of how they were trained: another seed may turn it "
            "round."
        ),
    ]
    records = [
        _record(line, {name: f"{run.dataset}, {labels[name]}" for name, run in by_name.items()}) for line in shown
    ]
    made.tables.append(
        Table(name="comparisons", title=_("Pairs of runs"), columns=translated(PAIR_COLUMNS, _), records=records)
    )


def differing_factors(one: Run, other: Run) -> int:
    """In how many of `FACTORS` two runs differ."""
    return sum(any(one.config.get(name) != other.config.get(name) for name in names) for names in FACTORS)


def _record(line: dict[str, Any], titles: dict[str, str]) -> dict[str, Any]:
    differences = {
        f"{metric}_difference": {
            part: line[f"{metric}_difference{side}"]
            for part, side in (("value", ""), ("low", "_low"), ("high", "_high"))
        }
        for metric in DIFFERENCES
    }
    return line | differences | {side: titles[line[side]] for side in ("run_a", "run_b")}


def _seeds(runs: Sequence[Run], seeds: pl.DataFrame | None) -> pl.DataFrame | None:
    """The lines of settings in the report that were trained with several seeds, for each of `DIFFERENCES`."""
    if seeds is None:
        return None
    known = [(run.dataset, *(run.config.get(name) for name in ("variant", "arch", "aug"))) for run in runs]
    trained = pl.DataFrame(known, schema=dict.fromkeys(CONDITIONS[:4], pl.String), orient="row").unique()
    several = seeds.filter(pl.col("seeds") > 1, pl.col("metric").is_in(DIFFERENCES))
    return several.join(trained, on=CONDITIONS[:4], how="semi", maintain_order="left")


def _titled(seeds: pl.DataFrame, _: Locale) -> list[dict[str, Any]]:
    return [line | {"metric": f"{_(TITLES[line['metric']])} ↑"} for line in seeds.iter_rows(named=True)]


def _seeds_figure(seeds: pl.DataFrame, _: Locale) -> Figure:
    rows = [
        {
            "what": f"{line['trained_on']}, {line['arch']} · {line['aug']} on {line['variant']}",
            "run": line["tested_on"],
            "value": line["mean"],
            "low": line["min"],
            "high": line["max"],
        }
        for line in seeds.filter(pl.col("metric") == HEADLINE).iter_rows(named=True)
    ]
    tested, whats = (list(dict.fromkeys(row[key] for row in rows)) for key in ("run", "what"))
    return Figure(
        name="seeds",
        title=_("Balanced accuracy over seeds"),
        note=_("Means, with lines from the lowest to the highest seed; higher is better ↑."),
        spec=dots(rows, runs=tested, whats=whats, legend_title="test set", _=_),
        legend=tuple(tested),
    )
