"""The performance report's tables; their CSV files hold every number as it stands in the result file."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.report.found import ARCH, CHAPTERS, Found, Group
from benchmarks.report.ratios import UNKNOWN, bound, fastest_peer, rate_interval, ratio
from benchmarks.report.words import title_told, told
from benchmarks.schema import MEASURES, Case, Entry
from fastfer.report.locale import Locale
from fastfer.report.tables import NOT_MEASURED, Column, Record, Table

ARROWS: Final[Mapping[bool | None, str]] = {True: "\u00a0↑", False: "\u00a0↓", None: ""}
MICROSECONDS: Final = 1e6
UNITS: Final = {"images": "Images/s", "faces": "Faces/s", "copies": "Copies/s"}
"""Headings of the rates."""


def summary_table(found: Sequence[Found], _: Locale) -> Table:
    """A row for each case that has ours: its rate, beside the fastest peer and what binds it; curves are left out."""
    columns = (
        Column(key="case", title=_("Measured")),
        Column(key="ours", title=_("Ours")),
        _rate("rate", _("Items/s") + ARROWS[True]),
        _rate("to_peer", _("Ours, times the peer") + ARROWS[True]),
        Column(key="peer", title=_("Fastest peer")),
        _rate("of_limit", _("Ours, times the limit") + ARROWS[True]),
        Column(key="limit", title=_("Limit")),
        _number("us", _("Microseconds an item") + ARROWS[False]),
        Column(key="machine", title=_("On")),
    )
    records = [
        _summary(one, case, _)
        for one in found
        for group in one.groups()
        if not group.is_curve
        for case in group.cases
        if case.ours in case.contenders
    ]
    title = _("Ours beside the fastest peer and the limit")
    return Table(name="performance-summary", title=title, columns=columns, records=records)


def _summary(found: Found, case: Case, _: Locale) -> Record:
    ours = case.contenders[case.ours]
    peer, limit = fastest_peer(case), bound(case)
    at = "" if case.axis is None else f", {told(case.axis.name, _)} {case.axis.value:g}"
    return {
        "case": f"{chapter_title(found, _)}: {title_told(case.title, _)}{at}",
        "machine": found.label,
        "ours": case.ours,
        "rate": rate_interval(ours),
        "us": MICROSECONDS / ours.per_s.median,
        "peer": peer or "–",
        "to_peer": UNKNOWN if peer is None else ratio(ours, case.contenders[peer]),
        "limit": limit or "–",
        "of_limit": UNKNOWN if limit is None else ratio(ours, case.contenders[limit]),
    }


def chapter_title(found: Found, _: Locale) -> str:
    """The heading of its suite; one that no chapter knows is called by its name."""
    suite = found.result.suite
    return _(CHAPTERS[suite].title) if suite in CHAPTERS else suite


def rates_table(name: str, title: str, group: Group, _: Locale) -> Table:
    """Every contender, fastest first: its rate, ours beside it, and what part of each limit it reaches."""
    limits = list(
        dict.fromkeys(name for case in group.cases for name, entry in case.contenders.items() if entry.role == "limit")
    )
    columns = (
        Column(key="contender", title=_("Contender")),
        *_place_columns(group, _),
        Column(key="role", title=_("Role")),
        _rate("rate", _(UNITS[group.cases[0].unit]) + ARROWS[True]),
        _rate("ours", _("Ours, times this") + ARROWS[True]),
        *(_rate(f"of_{number}", _("This, times {limit}", limit=limit)) for number, limit in enumerate(limits)),
        Column(key="repetitions", title=_("Repetitions"), kind="number"),
        Column(key="items", title=_("Items of each"), kind="number"),
    )
    records = [
        {
            "contender": contender,
            **_place(case),
            "role": _(entry.role),
            "rate": rate_interval(entry),
            "ours": _ratio(case, case.ours, contender),
            **{f"of_{number}": _ratio(case, contender, limit) for number, limit in enumerate(limits)},
            "repetitions": len(entry.seconds),
            "items": entry.items,
        }
        for case in group.cases
        for contender, entry in fastest_first(case)
    ]
    return Table(name=name, title=title, columns=columns, records=records)


def measures_table(name: str, title: str, group: Group, _: Locale) -> Table | None:
    """What else was measured of each contender; None where nothing was."""
    entries = [(case, contender, entry) for case in group.cases for contender, entry in fastest_first(case)]
    measures = [key for key in MEASURES if any(key in entry.measures for _case, _name, entry in entries)]
    if not measures:
        return None
    columns = (
        Column(key="contender", title=_("Contender")),
        *_place_columns(group, _),
        *(
            _number(key, measure_title(key, _) + ARROWS[MEASURES[key].more_is_better], _(NOT_MEASURED))
            for key in measures
        ),
    )
    records = [
        {"contender": contender, **_place(case), **{key: entry.measures.get(key) for key in measures}}
        for case, contender, entry in entries
    ]
    return Table(name=name, title=title, columns=columns, records=records)


def measure_title(key: str, _: Locale) -> str:
    """A measure's title and unit."""
    kind = MEASURES[key]
    return f"{_(kind.title)}, {_(kind.unit)}" if kind.unit else _(kind.title)


def machines_table(found: Sequence[Found], _: Locale) -> Table:
    """The facts of every machine, and which run it was: a row for each result."""
    titles = {
        "suite": "Suite", "processor": "Processor", "cores": "Cores", "memory_gib": "Memory GiB", "device": "GPU",
        "driver": "Driver", "power_limit_w": "Power limit W", "system": "System", "python": "Python",
        "libraries": "Libraries", "commit": "Commit", "date": "Date", "quick": "Kind of run",
    }  # fmt: skip
    numbers = {"cores", "memory_gib", "power_limit_w"}
    columns = tuple(
        _number(key, _(title)) if key in numbers else Column(key=key, title=_(title)) for key, title in titles.items()
    )
    records = [_facts(one, _) for one in found]
    return Table(name="performance-machines", title=_("Machines"), columns=columns, records=records)


def _facts(found: Found, _: Locale) -> Record:
    facts = found.result.machine.model_dump()
    texts: dict[str, Any] = {
        key: "–" if facts[key] is None else facts[key]
        for key in ("processor", "device", "driver", "system", "python", "commit", "date")
    }
    return {
        **texts,
        "suite": chapter_title(found, _),
        "libraries": _versions(facts["libraries"]),
        "quick": _("quick look") if found.result.quick else _("whole"),
        **{key: facts[key] for key in ("cores", "memory_gib", "power_limit_w")},
    }


def versions_table(found: Sequence[Found], _: Locale) -> Table:
    """What each contender ran with."""
    rows = dict.fromkeys(
        (chapter_title(one, _), name, _versions(entry.versions))
        for one in found
        for case in one.result.cases
        for name, entry in case.contenders.items()
        if entry.versions
    )
    titles = {"suite": "Suite", "contender": "Contender", "versions": "Versions"}
    columns = tuple(Column(key=key, title=_(title)) for key, title in titles.items())
    records = [dict(zip(titles, row, strict=True)) for row in rows]
    return Table(name="performance-versions", title=_("Versions of the contenders"), columns=columns, records=records)


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def fastest_first(case: Case) -> list[tuple[str, Entry]]:
    """The contenders by their median rates."""
    return sorted(case.contenders.items(), key=lambda item: -item[1].per_s.median)


def _ratio(case: Case, above: str, below: str) -> dict[str, float | None]:
    """Likewise of two of a case's contenders, where both are there and are two."""
    if above == below or above not in case.contenders or below not in case.contenders:
        return UNKNOWN
    return ratio(case.contenders[above], case.contenders[below])


def _place_columns(group: Group, _: Locale) -> list[Column]:
    """What the group's cases differ in."""
    if group.axis is not None:
        return [_number("axis", told(group.axis, _))]
    return [Column(key=ARCH, title=_("Architecture"))] if group.by_arch else []


def _place(case: Case) -> Record:
    """Where a case stands in its group."""
    return {"axis": case.axis.value if case.axis else None, ARCH: case.settings.get(ARCH)}


def _rate(key: str, title: str) -> Column:
    return Column(key=key, title=title, kind="rate")


def _number(key: str, title: str, absent: str = "–") -> Column:
    return Column(key=key, title=title, kind="figure", absent=absent)
