"""How charts look: colours that colour-blind readers can tell apart, on light, dark and paper grounds.

Charts carry no looks of their own beyond the series colours, so that one description serves the page in both schemes
and the files. The settings are Vega-Lite's `config`.
"""

from dataclasses import dataclass
from typing import Any, Final

import altair as alt

SERIES: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe & Ito, "Color Universal Design" (2008), without black and yellow, which vanish on dark and light ground."""

SHAPES: Final = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
"""The second round of colours is told from the first by the shape of its points, and so on."""

VEGALITE: Final = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
"""The Vega-Lite that Altair describes charts for: "6.4"."""

_PAGE_FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_FILE_FONT: Final = "Liberation Sans, Arial, Helvetica, sans-serif"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """The colours of one ground."""

    ink: str
    muted: str
    grid: str
    ramp: tuple[str, ...]  # none to all
    ink_on_low: str  # text on the ramp below `ink_turns_at`, and above it: where both can be read as well
    ink_on_high: str
    ink_turns_at: float


LIGHT: Final = Scheme(
    ink="#1b2430",
    muted="#54606e",
    grid="#e3e8ee",
    ramp=("#f2f6fa", "#b5d4ea", "#4f9acb", "#0b4f82"),
    ink_on_low="#1b2430",
    ink_on_high="#ffffff",
    ink_turns_at=0.74,
)
DARK: Final = Scheme(
    ink="#e6ebf1",
    muted="#a3afbd",
    grid="#2c3744",
    ramp=("#1b2530", "#1f4e74", "#3f92c7", "#b4defa"),
    ink_on_low="#e6ebf1",
    ink_on_high="#0c1218",
    ink_turns_at=0.52,
)


def page_config(scheme: Scheme) -> dict[str, Any]:
    """For charts on the page, whose ground shows through."""
    return _config(scheme, font=_PAGE_FONT, background=None)


def file_config(*, legend_columns: int) -> dict[str, Any]:
    """For charts in files, on white."""
    config = _config(LIGHT, font=_FILE_FONT, background="#ffffff")
    config["legend"]["columns"] = legend_columns
    return config | {"padding": 12}


def _config(scheme: Scheme, *, font: str, background: str | None) -> dict[str, Any]:
    return {
        "font": font,
        "background": background,
        "view": {"stroke": None},
        "axis": {
            "labelColor": scheme.muted,
            "titleColor": scheme.muted,
            "titleFontWeight": "normal",
            "labelFontSize": 12,
            "titleFontSize": 12,
            "gridColor": scheme.grid,
            "domainColor": scheme.grid,
            "tickColor": scheme.grid,
            "labelLimit": 220,
        },
        "legend": {
            "orient": "top",
            "title": None,
            "labelColor": scheme.ink,
            "labelFontSize": 12,
            "labelLimit": 320,
            "symbolSize": 90,
            "symbolStrokeWidth": 2,
        },
        "title": {
            "anchor": "start",
            "color": scheme.ink,
            "subtitleColor": scheme.muted,
            "fontSize": 15,
            "subtitleFontSize": 12,
            "offset": 12,
        },
        "range": {"heatmap": list(scheme.ramp)},
        "params": [
            {"name": "ink_on_low", "value": scheme.ink_on_low},
            {"name": "ink_on_high", "value": scheme.ink_on_high},
            {"name": "ink_turns_at", "value": scheme.ink_turns_at},
            {"name": "muted_ink", "value": scheme.muted},
        ],
    }
