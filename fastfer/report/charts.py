"""What the report draws: each figure one Altair chart, used both on the page and for the files.

Charts have no width, title or colours of ground: the page fits them to their box, the files to 680 px, and both bring
the theme. Every number drawn is the one in the run folder. Orders are given as scale domains, not as sorts, because
Vega-Lite writes a sort's values into expressions, where some names (U+2028 in them) do not parse.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import altair as alt

from fastfer.evaluation.metrics import METRICS, Metric
from fastfer.report.locale import Locale
from fastfer.report.runs import Confusion, Result, Run
from fastfer.report.theme import SERIES, SHAPES

Labelled: TypeAlias = Sequence[tuple[str, Result]]
"""Results to compare, each with the label of its run."""

Row: TypeAlias = dict[str, Any]

_LOSS_SERIES: Final = (("training", "train_loss"), ("validation", "val_loss"))
_ACCURACY_SERIES: Final = (
    ("training accuracy", "train_accuracy"),
    ("validation accuracy", "val_accuracy"),
    ("validation macro F1", "val_macro_f1"),
)
_DASHES: Final = ([1, 0], [6, 3], [2, 2])
_SCORE_FORMAT: Final = ".3f"
UNIT: Final = alt.Scale(domain=[0, 1])
"""Of scores."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One chart and the words around it."""

    name: str  # unique in a report; its files are named after it
    title: str
    note: str  # what is drawn and which direction is better
    spec: dict[str, Any]  # Vega-Lite, without width, title and theme
    subject: str = ""  # whose figure it is, where the page says so around it and a file by itself must
    legend: tuple[str, ...] = ()  # the legend's labels, whose length decides how many stand side by side

    @property
    def full_title(self) -> str:
        """The title that stands alone."""
        return f"{self.title}: {self.subject}" if self.subject else self.title


def metric_figure(dataset: str, results: Labelled, _: Locale) -> Figure:
    """All bounded metrics of the runs tested on one dataset."""
    rows = [
        {"run": label, "what": _with_arrow(metric, _), **_numbers(result.scores[metric.name])}
        for metric in METRICS
        if metric.highest == 1.0
        for label, result in results
    ]
    return Figure(
        name=f"metrics-{dataset}",
        title=_("Metrics on the {dataset} test set", dataset=dataset),
        note=_(
            "Points with 95% intervals. ↑ higher is better, ↓ lower is better. "
            "Values below 0 (MCC, kappa) and log loss are in the table."
        ),
        spec=dots(
            rows, runs=[label for label, __ in results], whats=[_with_arrow(metric, _) for metric in METRICS], _=_
        ),
        legend=tuple(label for label, __ in results),
    )


def class_figure(dataset: str, results: Labelled, _: Locale) -> Figure:
    """F1 by class of the runs tested on one dataset."""
    supports = {name: found["support"] for __, result in results for name, found in result.per_class.items()}
    titles = {name: f"{name} ({support})" for name, support in supports.items()}
    rows = [
        {"run": label, "what": titles[name], **_numbers(found["f1"])}
        for name in titles
        for label, result in results
        if (found := result.per_class.get(name))
    ]
    return Figure(
        name=f"classes-{dataset}",
        title=_("F1 by class on the {dataset} test set", dataset=dataset),
        note=_("Points with 95% intervals, higher is better ↑; in brackets the faces of the class in the test set."),
        spec=dots(rows, runs=[label for label, __ in results], whats=list(titles.values()), _=_),
        legend=tuple(label for label, __ in results),
    )


def cross_figure(dataset: str, runs: Sequence[tuple[str, Run]], _: Locale) -> Figure:
    """Balanced accuracy of the runs trained on one dataset, on every test set they met."""
    rows = [
        {"run": result.dataset, "what": label, **_numbers(result.scores["balanced_accuracy"])}
        for label, run in runs
        for result in run.results()
    ]
    tested = sorted({row["run"] for row in rows}, key=lambda name: (name != dataset, name))
    return Figure(
        name=f"cross-{dataset}",
        title=_("Trained on {dataset}: balanced accuracy by test set", dataset=dataset),
        note=_("Points with 95% intervals, higher is better ↑; the gap between the sets is what does not carry over."),
        spec=dots(rows, runs=tested, whats=[label for label, __ in runs], legend_title="test set", _=_),
        legend=tuple(tested),
    )


def curve_figures(run: Run, label: str, _: Locale) -> list[Figure]:
    """Loss, and accuracy with macro F1, by epoch; none where no epoch was logged."""
    if run.epochs is None or run.epochs.is_empty():
        return []
    best = run.result.training.get("best_epoch") if run.result else None
    kept = " " + _("The vertical line is epoch {best}, whose weights were kept.", best=best) if best else ""
    subject = f"{run.dataset}, {label}"
    return [
        Figure(
            name=f"{run.name}-loss",
            title=_("Loss by epoch"),
            subject=subject,
            note=_("Lower is better ↓.") + kept,
            spec=_curves(run, _LOSS_SERIES, best, alt.Scale(zero=True), _),
            legend=tuple(_(name) for name, __ in _LOSS_SERIES),
        ),
        Figure(
            name=f"{run.name}-accuracy",
            title=_("Accuracy by epoch"),
            subject=subject,
            note=_("Higher is better ↑.") + kept,
            spec=_curves(run, _ACCURACY_SERIES, best, alt.Scale(domain=[0, 1]), _),
            legend=tuple(_(name) for name, __ in _ACCURACY_SERIES),
        ),
    ]


def confusion_figures(run: Run, label: str, result: Result, _: Locale) -> list[Figure]:
    """The confusion matrix as counts, and as shares of each true class; none where it was not written."""
    if result.confusion is None:
        return []
    where = "" if result is run.result else f" on {result.dataset}"
    told = "" if result is run.result else " " + _("on {dataset}", dataset=result.dataset)
    subject = f"{run.dataset}, {label}{told}"
    name = f"{run.name}{where}"
    return [
        Figure(
            name=f"{name}-confusion",
            title=_("Confusion matrix, counts"),
            subject=subject,
            note=_("Faces of each true class (rows) by predicted class (columns). The diagonal is right."),
            spec=_matrix(result.confusion, field="faces", number_format=",", _=_),
        ),
        Figure(
            name=f"{name}-confusion-normalised",
            title=_("Confusion matrix, normalised"),
            subject=subject,
            note=_("Share of each true class (rows sum to 1). The diagonal is recall: higher is better ↑."),
            spec=_matrix(result.confusion, field="share", number_format=".2f", _=_),
        ),
    ]


def _with_arrow(metric: Metric, _: Locale) -> str:
    return f"{_(metric.title)} {metric.arrow}"


def _numbers(interval: dict[str, float | None]) -> Row:
    return {key: interval[key] for key in ("value", "low", "high")}


def dots(
    rows: Iterable[Row],
    *,
    runs: Sequence[str],
    whats: Sequence[str],
    legend_title: str = "run",
    scale: alt.Scale = UNIT,
    _: Locale,
) -> dict[str, Any]:
    """Points with intervals: a band for each `what`, in it a line for each `run`.

    Args:
        rows: `what`, `run`, and `value` with its `low` and `high`; values off the scale are left out.
        runs: the order of the lines.
        whats: the order of the bands.
        legend_title: what a line is.
        scale: the horizontal one; where it holds zero inside, a line stands there.
        _: the language.
    """
    lowest, highest = scale["domain"]
    drawn = [row for row in rows if row["value"] is not None and lowest <= row["value"] <= highest]
    present = {row["what"] for row in drawn}
    step_px = 15 if len(runs) <= 8 else 9
    picked = alt.selection_point(fields=["run"], bind="legend", name="picked")
    base = alt.Chart(alt.InlineData(values=drawn)).encode(
        y=alt.Y("what:N")
        .title(None)
        .scale(domain=[what for what in whats if what in present], padding=0)
        .axis(tickBand="extent", grid=True, ticks=False, domain=False, labelPadding=8),
        yOffset=alt.YOffset("run:N").scale(domain=list(runs), paddingOuter=0.5),
        color=alt.Color("run:N").scale(domain=list(runs), range=cycled(SERIES, len(runs))),
        opacity=alt.when(picked).then(alt.value(1.0)).otherwise(alt.value(0.12)),
        tooltip=[
            alt.Tooltip("run:N", title=_(legend_title)),
            alt.Tooltip("what:N", title=_("of")),
            *(alt.Tooltip(f"{key}:Q", title=_(key), format=_SCORE_FORMAT) for key in ("value", "low", "high")),
        ],
    )
    shapes = [SHAPES[i // len(SERIES) % len(SHAPES)] for i in range(len(runs))]
    intervals = base.mark_rule(strokeWidth=2, clip=True).encode(x=_axis("low", scale), x2="high:Q")
    points = base.mark_point(filled=True, size=58).encode(
        x=_axis("value", scale), shape=alt.Shape("run:N").scale(domain=list(runs), range=shapes)
    )
    height_px = max(1, len(present)) * (len(runs) * step_px + 14)
    zero = alt.Chart(alt.InlineData(values=[{"zero": 0}] if lowest < 0 else []))
    middle = zero.mark_rule(strokeWidth=1, stroke=alt.ExprRef("muted_ink")).encode(x=_axis("zero", scale))
    return spec_of(alt.layer(middle, intervals, points.add_params(picked)).properties(height=height_px))


def _axis(field: str, scale: alt.Scale) -> alt.X:
    return alt.X(f"{field}:Q").title(None).scale(scale).axis(tickCount=6)


def cycled(values: Sequence[str], length: int) -> list[str]:
    """The first `length` of the values, which begin again where they end."""
    return [values[i % len(values)] for i in range(length)]


def _curves(
    run: Run, series: Sequence[tuple[str, str]], best: int | None, scale: alt.Scale, _: Locale
) -> dict[str, Any]:
    assert run.epochs is not None
    rows = [
        {"epoch": epoch["epoch"], "series": _(name), "value": epoch[column]}
        for name, column in series
        for epoch in run.epochs.iter_rows(named=True)
        if epoch[column] is not None
    ]
    names = [_(name) for name, __ in series]
    last = max([2, *run.epochs["epoch"]])
    epochs = alt.Scale(domain=[1, last], zero=False, nice=False)
    lines = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(point=alt.OverlayMarkDef(size=26, filled=True), strokeWidth=2)
        .encode(
            x=alt.X("epoch:Q")
            .title(_("epoch"))
            .scale(epochs)
            .axis(values=list(range(1, last + 1, -(-last // 12))), format="d", grid=False),
            y=alt.Y("value:Q").title(None).scale(scale).axis(tickCount=5),
            color=alt.Color("series:N")
            .scale(domain=names, range=cycled(SERIES, len(names)))
            .legend(symbolType="stroke", symbolSize=400),
            strokeDash=alt.StrokeDash("series:N").scale(domain=names, range=_DASHES[: len(names)]),
            tooltip=[alt.Tooltip(f"{name}:{kind}", title=_(name)) for name, kind in (("series", "N"), ("epoch", "Q"))]
            + [alt.Tooltip("value:Q", title=_("value"), format=".4f")],
        )
    )
    kept = alt.Chart(alt.InlineData(values=[{"epoch": best}] if best else []))
    rule = kept.mark_rule(strokeWidth=1, strokeDash=[3, 3], stroke=alt.ExprRef("muted_ink")).encode(
        x=alt.X("epoch:Q").title(_("epoch")).scale(epochs)
    )
    return spec_of(alt.layer(rule, lines).properties(height=220))


def _matrix(confusion: Confusion, *, field: str, number_format: str, _: Locale) -> dict[str, Any]:
    highest = max(int(confusion.counts_KK.max()), 1) if field == "faces" else 1
    shown = (alt.Tooltip("faces:Q", title=_("faces"), format=","),)
    return matrix_spec(
        confusion.cells(),
        confusion.classes,
        field=field,
        highest=highest,
        number_format=number_format,
        axes=(_("true"), _("predicted")),
        share=_("share of the true class"),
        more=shown,
    )


def matrix_spec(
    cells: list[Row],
    classes: Sequence[str],
    *,
    field: str,
    highest: float,
    number_format: str,
    axes: tuple[str, str],
    share: str,
    more: Sequence[alt.Tooltip] = (),
) -> dict[str, Any]:
    """Coloured cells with their numbers: rows are `true`, columns `predicted`, titled `axes`; `field` is drawn."""
    row, column = axes
    base = alt.Chart(alt.InlineData(values=cells)).encode(
        x=alt.X("predicted:N", title=column or None)
        .scale(domain=list(classes))
        .axis(labelAngle=-40, ticks=False, domain=False, labelLimit=110, labelPadding=6),
        y=alt.Y("true:N", title=row or None)
        .scale(domain=list(classes))
        .axis(ticks=False, domain=False, labelLimit=110, labelPadding=6),
        tooltip=[
            alt.Tooltip("true:N", title=row or " "),
            alt.Tooltip("predicted:N", title=column or " "),
            *more,
            alt.Tooltip("share:Q", title=share, format=_SCORE_FORMAT),
        ],
    )
    marks = base.mark_rect(cornerRadius=2).encode(color=alt.Color(f"{field}:Q").scale(domain=[0, highest]).legend(None))
    is_high = f"datum.{field} > {highest} * ink_turns_at"
    numbers = base.mark_text(fontSize=11).encode(
        text=alt.Text(f"{field}:Q", format=number_format),
        color=alt.when(is_high)
        .then(alt.value(alt.ExprRef("ink_on_high")))
        .otherwise(alt.value(alt.ExprRef("ink_on_low"))),
    )
    return spec_of(alt.layer(marks, numbers).properties(height=max(160, 38 * len(classes))))


def spec_of(chart: alt.Chart | alt.LayerChart | alt.FacetChart) -> dict[str, Any]:
    """The chart as Vega-Lite, without the looks that Altair would add."""
    spec: dict[str, Any] = chart.to_dict()
    spec.pop("config", None)  # Altair's own theme
    return spec
