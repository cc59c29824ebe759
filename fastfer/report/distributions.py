"""Charts of how values spread, side by side for each dataset: only counts and quantiles reach the page, never the data.

A histogram of 90,000 faces takes as many bytes as one of 90.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt
import numpy as np
from numpy.typing import NDArray

from fastfer.analysis.photographs import Measure
from fastfer.report.charts import Figure, Row, cycled, spec_of
from fastfer.report.locale import Locale
from fastfer.report.theme import SERIES

BINS: Final = 30
MOST_WHOLE_BINS: Final = 100
TAILS: Final = (0.005, 0.995)
"""Quantiles between which the bins lie; the few values beyond are counted in the outermost bins."""
TAIL_NOTE: Final = "The outermost bins hold what lies beyond them, at most 0.5% at each end."
SHARE_NOTES: Final = {
    "images": "Share of each dataset's images.",
    "faces": "Share of each dataset's faces.",
}
SPREAD: Final = ("p5", "q25", "median", "q75", "p95")
HISTOGRAM_PX: Final = 190
THOUSANDS: Final = 10_000
"""Axes that reach this far are labelled 10k, 20k."""
BAR_PX: Final = 10
BETWEEN_PX: Final = 8


def histogram_figure(measure: Measure, values: Mapping[str, NDArray[np.float64]], _: Locale) -> Figure:
    """The shares of each dataset's values (finite, at least one in all) that fall into common bins.

    A dataset without values is not drawn, but keeps its place among the colours.
    """
    edges = bin_edges(measure, np.concatenate(list(values.values())))
    rows = [row for dataset, found in values.items() for row in _binned(dataset, found, edges)]
    known = [dataset for dataset, found in values.items() if len(found)]
    chart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_bar(opacity=0.55, binSpacing=0)
        .properties(height=HISTOGRAM_PX)
        .encode(
            x=alt.X("from:Q").title(None).scale(**_scale(measure, edges)).axis(grid=False, **_ticks(measure, edges)),
            x2="to:Q",
            y=alt.Y("share:Q").title(None).stack(None).axis(format="~%", tickCount=4),
            y2=alt.Y2Datum(0),
            color=_colour("dataset", list(values)).legend(values=known),
            tooltip=[
                alt.Tooltip("dataset:N", title=_("dataset")),
                *(alt.Tooltip(f"{key}:Q", title=_(key), format=",.4~g") for key in ("from", "to")),
                alt.Tooltip("share:Q", title=_("Share"), format=".2%"),
            ],
        )
    )
    notes = [SHARE_NOTES[measure.of], *([] if measure.is_whole else [TAIL_NOTE])]
    return Figure(
        name=f"eda-{measure.name}",
        title=_(measure.title),
        note=" ".join(_(note) for note in notes),
        spec=spec_of(chart),
        legend=tuple(known),
    )


def _scale(measure: Measure, edges: NDArray[np.float64]) -> dict[str, Any]:
    domain = {"domain": [float(edges[0]), float(edges[-1])], "nice": False}
    return domain | ({"type": "log"} if measure.is_log else {"zero": False})


def _ticks(measure: Measure, edges: NDArray[np.float64]) -> dict[str, Any]:
    """Whole numbers stand under the middle of their bins; labels never touch."""
    if measure.is_whole and len(edges) <= MOST_WHOLE_BINS:
        middle = (edges[:-1] + 0.5).astype(int).tolist()
        return {"values": middle[:: -(-len(middle) // 10)], "format": "d"}
    return {"tickCount": 6, "format": "~s" if edges[-1] >= THOUSANDS else ",.3~f", "labelSeparation": 10}


def bin_edges(measure: Measure, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges of bins for all values, equally wide (on a logarithmic axis: by ratio) or one for each whole number."""
    low, high = (float(value) for value in np.quantile(values, TAILS))
    if measure.is_whole and values.max() - values.min() < MOST_WHOLE_BINS:
        return np.arange(np.floor(values.min()), np.ceil(values.max()) + 2) - 0.5
    if measure.is_log:
        positive = values[values > 0]
        low = max(low, float(positive.min()) if len(positive) else 1.0)
        return np.geomspace(low / 1.05, max(low, high) * 1.05, BINS + 1)
    margin = max((high - low) / BINS, 1e-3 * max(abs(low), 1.0))
    return np.linspace(low - margin, high + margin, BINS + 1)


def _binned(dataset: str, values: NDArray[np.float64], edges: NDArray[np.float64]) -> list[Row]:
    inside = np.clip(values, edges[0], edges[-1])
    counts, _ = np.histogram(inside, edges)
    shares = counts / max(len(values), 1)
    return [
        {"dataset": dataset, "from": _short(low), "to": _short(high), "share": _short(share)}
        for low, high, share in zip(edges[:-1], edges[1:], shares, strict=True)
        if share > 0
    ]


def _short(value: float) -> float:
    """Enough digits for a chart."""
    return float(f"{value:.6g}")


def bars_spec(
    rows: Sequence[Row], *, series: Sequence[str], whats: Sequence[str], title: str, number_format: str, _: Locale
) -> dict[str, Any]:
    """Bars of `value`, 0 and up: a band for each `what`, in it a bar for each `series`; `title` is in the language."""
    chart = (
        alt.Chart(alt.InlineData(values=list(rows)))
        .mark_bar()
        .properties(height=_height_px(whats, series))
        .encode(
            y=_bands(whats),
            yOffset=alt.YOffset("series:N").scale(domain=list(series)),
            x=alt.X("value:Q")
            .title(title)
            .axis(format=number_format, tickCount=5, labelOverlap="greedy", labelSeparation=8),
            color=_colour("series", series),
            tooltip=[
                alt.Tooltip("what:N", title=_("of")),
                alt.Tooltip("series:N", title=_("in")),
                alt.Tooltip("value:Q", title=title, format=number_format),
            ],
        )
    )
    return spec_of(chart)


def spread_spec(rows: Sequence[Row], *, series: Sequence[str], whats: Sequence[str], _: Locale) -> dict[str, Any]:
    """Quantiles (`SPREAD`): 5% to 95% as a line, the middle half as a box, the median as a tick in it."""
    base = alt.Chart(alt.InlineData(values=list(rows))).encode(
        y=_bands(whats),
        yOffset=alt.YOffset("series:N").scale(domain=list(series)),
        color=_colour("series", series),
        tooltip=[
            alt.Tooltip("what:N", title=_("of")),
            alt.Tooltip("series:N", title=_("in")),
            *(alt.Tooltip(f"{name}:Q", title=_(name), format=".3f") for name in SPREAD),
        ],
    )
    x = alt.X("p5:Q").scale(zero=False).title(None).axis(tickCount=6)
    lines = base.mark_rule(strokeWidth=1.5).encode(x=x, x2="p95:Q")
    boxes = base.mark_bar(size=BAR_PX).encode(x=alt.X("q25:Q"), x2="q75:Q")
    medians = base.mark_tick(thickness=2, size=BAR_PX).encode(x="median:Q", color=alt.value("white"))
    return spec_of(alt.layer(lines, boxes, medians).properties(height=_height_px(whats, series)))


def _bands(whats: Sequence[str]) -> alt.Y:
    bands = alt.Y("what:N").scale(domain=list(whats), padding=0.2).title(None)
    return bands.axis(ticks=False, domain=False, labelPadding=8)


def _height_px(whats: Sequence[str], series: Sequence[str]) -> int:
    return len(whats) * (len(series) * (BAR_PX + 2) + BETWEEN_PX)


def _colour(field: str, names: Sequence[str]) -> alt.Color:
    return alt.Color(f"{field}:N").scale(domain=list(names), range=cycled(SERIES, len(names)))
