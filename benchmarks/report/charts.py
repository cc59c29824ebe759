"""The performance report's charts: bars of rates or amounts, and curves along an axis.

As in `fastfer.report.charts`: no width, no title, no colours of ground; every number drawn is the result file's.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt

from fastfer.report.charts import Row, cycled, spec_of
from fastfer.report.distributions import THOUSANDS
from fastfer.report.locale import Locale
from fastfer.report.tables import three_figures
from fastfer.report.theme import SERIES

ROLES: Final = ("ours", "peer", "limit")
PEER: Final = "#8a9bb0"
"""Of peers and, as an outline, limits, on light and dark ground; ours alone has a colour."""
WIDE: Final = 10.0
"""Values that span more than so many times are drawn on a logarithmic axis."""
FEW_POWERS: Final = 100.0
"""Below so many times between the ends of a logarithmic axis, twice and five times each power of ten are labelled."""
ROW_PX: Final = 24
CURVE_PX: Final = 260
ROOM_FOR_NUMBERS: Final = 1.45
"""How much longer than the longest interval an axis is."""
MARGIN: Final = 1.4
"""How far a logarithmic axis goes beyond its values, in times."""
PLAIN: Final = ",.4~g"


def is_wide(values: Sequence[float]) -> bool:
    """Whether the values ask for a logarithmic axis."""
    return min(values) > 0 and max(values) / min(values) > WIDE


def bars(rows: Sequence[Row], *, title: str, _: Locale) -> dict[str, Any]:
    """A bar for each row from zero, or a point on a logarithmic axis where they are far apart.

    Args:
        rows: `name`, `role`, `value`, and its `low` and `high` (None: no interval); drawn in this order.
        title: of the axis.
        _: the language.
    """
    names = list(dict.fromkeys(row["name"] for row in rows))
    told = [row | {"shown": three_figures(row["value"]), "role": _(row["role"])} for row in rows]
    roles = [_(role) for role in ROLES if any(row["role"] == role for row in rows)]
    present = [place for place, role in enumerate(ROLES) if _(role) in roles]
    colours = [(SERIES[0], PEER, PEER)[place] for place in present]
    ends = ends_of(rows)
    wide = is_wide(ends)
    x = alt.X("value:Q").title(title).scale(_scale(ends, wide)).axis(tickCount=5, **_ticks(ends, wide))
    base = alt.Chart(alt.InlineData(values=told)).encode(
        y=alt.Y("name:N").title(None).scale(domain=names, padding=0.25).axis(ticks=False, domain=False, labelPadding=8),
        tooltip=[
            alt.Tooltip("name:N", title=_("Contender")),
            *(alt.Tooltip(f"{key}:Q", title=_(key), format=PLAIN) for key in ("value", "low", "high")),
        ],
    )
    filled = [
        "transparent" if ROLES[place] == "limit" else colour for place, colour in zip(present, colours, strict=True)
    ]
    mark = base.mark_point(size=90, strokeWidth=2) if wide else base.mark_bar(strokeWidth=1.5)
    marks = mark.encode(
        x=x,
        stroke=alt.Stroke("role:N").scale(domain=roles, range=colours),
        fill=alt.Fill("role:N").scale(domain=roles, range=filled),
    )
    layers: list[alt.Chart] = [marks]
    if any(row["low"] is not None for row in rows):
        intervals = base.transform_filter("isValid(datum.low)").mark_rule(
            strokeWidth=2, stroke=alt.ExprRef("muted_ink")
        )
        layers.append(intervals.encode(x=alt.X("low:Q"), x2="high:Q"))
    numbers = base.transform_calculate(end="isValid(datum.high) ? datum.high : datum.value").mark_text(
        align="left", dx=8, fontSize=11, fill=alt.ExprRef("muted_ink")
    )
    layers.append(numbers.encode(x=alt.X("end:Q"), text="shown:N"))
    return spec_of(alt.layer(*layers).properties(height=max(2, len(names)) * ROW_PX))


def _scale(ends: Sequence[float], wide: bool) -> alt.Scale:
    if wide:
        room = ROOM_FOR_NUMBERS * MARGIN * (max(ends) / min(ends)) ** (ROOM_FOR_NUMBERS - 1)
        return alt.Scale(type="log", domain=[min(ends) / MARGIN, max(ends) * room], nice=False)
    return alt.Scale(domain=[0, max(ends) * ROOM_FOR_NUMBERS], nice=False)


def _ticks(ends: Sequence[float], is_log: bool) -> dict[str, Any]:
    """Labels that never touch."""
    number_format = "~s" if max(ends) >= THOUSANDS else PLAIN
    shown = {"format": number_format, "labelOverlap": "greedy", "labelSeparation": 10}
    return shown | ({"values": _powers(min(ends), max(ends))} if is_log else {})


def _powers(low: float, high: float) -> list[float]:
    """Round numbers for a logarithmic axis: the powers of ten, with twice and five times each where they are few."""
    exponents = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    steps = (1, 2, 5) if high / low < FEW_POWERS else (1,)
    return [step * 10.0**exponent for exponent in exponents for step in steps]


def curves(
    rows: Sequence[Row],
    *,
    names: Sequence[str],
    axis: str,
    title: str,
    straight: Mapping[float, float] | None,
    in_proportion: bool,
    _: Locale,
) -> dict[str, Any]:
    """A line for each name along an axis, with intervals, and a dashed straight line to hold them against.

    Args:
        rows: `name`, `at` (where on the axis), `value`, and its `low` and `high` (None: no interval).
        names: the order of the colours.
        axis: what differs along the axis.
        title: what is measured.
        straight: the dashed line, value by place; None: none.
        in_proportion: whether it grows in proportion to the place, which is straight where both axes are of one kind.
        _: the language.
    """
    places = sorted({row["at"] for row in rows})
    ends = ends_of(rows) + list((straight or {}).values())
    is_log = {"at": is_wide(places), "value": is_wide(ends)}
    if in_proportion and any(is_log.values()) and min(places) > 0 and min(ends) > 0:
        is_log = dict.fromkeys(is_log, True)
    x = alt.X("at:Q").title(axis).scale(_curve_scale(places, is_log["at"], padding=12))
    x = x.axis(grid=False, **(_ticks(places, False) | {"values": places}))
    y_scale = _curve_scale(ends, is_log["value"], zero=True)
    y = alt.Y("value:Q").title(title).scale(y_scale).axis(tickCount=5, **_ticks(ends, is_log["value"]))
    colour = alt.Color("name:N").scale(domain=list(names), range=cycled(SERIES, len(names)))
    base = alt.Chart(alt.InlineData(values=list(rows))).encode(
        x=x,
        color=colour.legend(symbolType="stroke", symbolSize=400),
        tooltip=[
            alt.Tooltip("name:N", title=_("Contender")),
            alt.Tooltip("at:Q", title=axis, format=PLAIN),
            *(alt.Tooltip(f"{key}:Q", title=_(key), format=PLAIN) for key in ("value", "low", "high")),
        ],
    )
    layers: list[alt.Chart] = []
    if straight:
        values = [{"at": place, "value": value} for place, value in straight.items()]
        dashed = alt.Chart(alt.InlineData(values=values)).mark_line(strokeDash=[5, 4], strokeWidth=1.5)
        layers.append(dashed.encode(x=x, y=y, stroke=alt.value(alt.ExprRef("muted_ink"))))
    if any(row["low"] is not None for row in rows):
        intervals = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2)
        layers.append(intervals.encode(y=alt.Y("low:Q").title(title).scale(y_scale), y2="high:Q"))
    layers.append(base.mark_line(point=alt.OverlayMarkDef(size=34, filled=True), strokeWidth=2).encode(y=y))
    return spec_of(alt.layer(*layers).properties(height=CURVE_PX))


def ends_of(rows: Sequence[Row]) -> list[float]:
    """Every value, and every end of an interval."""
    return [row[key] for row in rows for key in ("value", "low", "high") if row[key] is not None]


def _curve_scale(values: Sequence[float], is_log: bool, *, zero: bool = False, padding: int = 0) -> alt.Scale:
    if is_log:
        return alt.Scale(type="log", domain=[min(values) / MARGIN, max(values) * MARGIN], nice=False)
    return alt.Scale(zero=zero, nice=zero, padding=padding)
