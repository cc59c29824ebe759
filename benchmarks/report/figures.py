"""Which figures a group of cases gets: rates and memory as bars, by architecture too, or as curves along an axis."""

from collections.abc import Iterator, Mapping
from typing import Final

from benchmarks.report.charts import bars, curves, ends_of, is_wide
from benchmarks.report.found import ARCH, Group
from benchmarks.report.ratios import rate_interval
from benchmarks.report.tables import fastest_first, measure_title
from benchmarks.report.words import told
from benchmarks.schema import MEASURES, Case
from fastfer.report.charts import Figure, Row
from fastfer.report.distributions import bars_spec
from fastfer.report.locale import Locale

COSTS: Final = (
    "gpu_memory_mib", "allocated_mib", "reserved_mib", "pss_mib", "rss_mib", "worker_rss_mib",
    "rafdb_epoch_s", "expw_epoch_s",
)  # fmt: skip
"""Measures that are drawn too: memory and time."""
SHARED_OUT: Final = frozenset({"workers", "threads", "processes", "gpus", "cores", "ranks"})
"""Axes along which the work is shared out: the straight line is a rate in proportion to them; elsewhere it is one that
stays as it is."""
PER_SECOND: Final = {"images": "images a second", "faces": "faces a second", "copies": "copies a second"}


def group_figures(name: str, subject: str, group: Group, _: Locale) -> list[Figure]:
    """The group's figures; their names begin with `name`."""
    if group.is_curve:
        return list(_curve_figures(name, subject, group, _))
    rates = ["rates"] if any(case.contenders for case in group.cases) else []
    costs = [key for key in COSTS if _has(group, key)]
    if group.by_arch:
        return [_architecture_figure(name, subject, group, key, _) for key in rates + costs]
    figures = [_rates_figure(name, subject, group, _)] if rates else []
    return figures + [_bars_figure(name, subject, group, key, _) for key in costs]


def _has(group: Group, key: str) -> bool:
    """Whether two places or contenders have this measure, so that there is something to see."""
    entries = [entry for case in group.cases for entry in case.contenders.values()]
    return sum(entry.measures.get(key) is not None for entry in entries) > 1


def _rates_figure(name: str, subject: str, group: Group, _: Locale) -> Figure:
    (case,) = group.cases
    rows: list[Row] = [
        {"name": contender, "role": entry.role, **rate_interval(entry)} for contender, entry in fastest_first(case)
    ]
    note = _("Medians with 95% intervals, higher is better ↑; a limit is what nobody can exceed.")
    return Figure(
        name=f"{name} rates",
        title=group.name,
        note=f"{note}{_logarithmic(rows, _)}",
        subject=subject,
        spec=bars(rows, title=_(PER_SECOND[case.unit]), _=_),
        legend=tuple(_(role) for role in dict.fromkeys(row["role"] for row in rows)),
    )


def _bars_figure(name: str, subject: str, group: Group, key: str, _: Locale) -> Figure:
    (case,) = group.cases
    found = [(contender, entry, entry.measures.get(key)) for contender, entry in case.contenders.items()]
    rows: list[Row] = [
        {"name": contender, "role": entry.role, "value": value, "low": None, "high": None}
        for contender, entry, value in found
        if value is not None
    ]
    return Figure(
        name=f"{name} {key}",
        title=f"{group.name}: {_(MEASURES[key].title)}",
        note=f"{_('Lower is better ↓.')}{_logarithmic(rows, _)}",
        subject=subject,
        spec=bars(sorted(rows, key=lambda row: row["value"]), title=_(MEASURES[key].unit), _=_),
        legend=tuple(_(role) for role in dict.fromkeys(row["role"] for row in rows)),
    )


def _logarithmic(rows: list[Row], _: Locale) -> str:
    return " " + _("The axis is logarithmic.") if is_wide(ends_of(rows)) else ""


def _curve_figures(name: str, subject: str, group: Group, _: Locale) -> Iterator[Figure]:
    rates = [
        {"name": contender, "at": at, **rate_interval(entry)}
        for at, case in _placed(group)
        for contender, entry in case.contenders.items()
    ]
    yield _curve(name, "rates", subject, group, rates, _(PER_SECOND[group.cases[0].unit]), _)
    for key in COSTS:
        if _has(group, key):
            costs: list[Row] = [
                {"name": contender, "at": at, "value": value, "low": None, "high": None}
                for at, case in _placed(group)
                for contender, entry in case.contenders.items()
                if (value := entry.measures.get(key)) is not None
            ]
            yield _curve(name, key, subject, group, costs, _(MEASURES[key].unit), _)


def _placed(group: Group) -> Iterator[tuple[float, Case]]:
    return ((case.axis.value, case) for case in group.cases if case.axis)


def _curve(name: str, what: str, subject: str, group: Group, rows: list[Row], title: str, _: Locale) -> Figure:
    axis = group.axis or ""
    names = tuple(dict.fromkeys(row["name"] for row in rows))
    in_proportion = what != "rates" or axis.lower() in SHARED_OUT
    straight = _straight(group.cases[0].ours, rows, in_proportion=in_proportion)
    better = _("Lower is better ↓.") if what in MEASURES else _("Medians with 95% intervals, higher is better ↑.")
    dashed = {
        True: _("Dashed: ours at the first place, in proportion from there."),
        False: _("Dashed: ours at the first place, unchanged from there."),
    }
    return Figure(
        name=f"{name} {what}",
        title=group.name if what == "rates" else f"{group.name}: {_(MEASURES[what].title)}",
        note=f"{better} {dashed[in_proportion]}" if straight else better,
        subject=subject,
        spec=curves(
            rows, names=names, axis=told(axis, _), title=title, straight=straight, in_proportion=in_proportion, _=_
        ),
        legend=names,
    )


def _straight(ours: str, rows: list[Row], *, in_proportion: bool) -> Mapping[float, float] | None:
    """The straight line through ours at its first place; None where ours is not there, or has one place only."""
    of_ours = {row["at"]: row["value"] for row in rows if row["name"] == ours}
    if len(of_ours) < 2:
        return None
    first = min(of_ours)
    if in_proportion and first <= 0:
        return None
    return {at: of_ours[first] * (at / first if in_proportion else 1.0) for at in sorted(of_ours)}


def _architecture_figure(name: str, subject: str, group: Group, key: str, _: Locale) -> Figure:
    """The rates or a measure: a band for each architecture, a bar for each contender."""
    rows = [
        {"what": str(case.settings[ARCH]), "series": contender, "value": value}
        for case in group.cases
        for contender, value in (_rates(case) if key == "rates" else _measured(case, key)).items()
    ]
    series = tuple(dict.fromkeys(str(row["series"]) for row in rows))
    whats = list(dict.fromkeys(str(row["what"]) for row in rows))
    what = _(PER_SECOND[group.cases[0].unit]) if key == "rates" else measure_title(key, _)
    return Figure(
        name=f"{name} {key}",
        title=_("{case}, by architecture: {what}", case=group.name, what=what),
        note=_("Medians, higher is better ↑.") if key == "rates" else _("Lower is better ↓."),
        subject=subject,
        spec=bars_spec(rows, series=series, whats=whats, title=what, number_format=",.3~r", _=_),
        legend=series,
    )


def _rates(case: Case) -> dict[str, float]:
    return {name: entry.per_s.median for name, entry in case.contenders.items()}


def _measured(case: Case, key: str) -> dict[str, float]:
    values = {name: entry.measures.get(key) for name, entry in case.contenders.items()}
    return {name: value for name, value in values.items() if value is not None}
