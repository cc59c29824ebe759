"""What the page about the datasets shows beside its sentences: tables, figures and contact sheets."""

from collections.abc import Sequence
from typing import Any, Final

import altair as alt
import numpy as np
from numpy.typing import NDArray

from fastfer.analysis.case import Case, Comparison, DatasetFacts
from fastfer.analysis.separability import MEASURES
from fastfer.analysis.statistics import Share
from fastfer.labels import CLASSES
from fastfer.report.case_text import Speaker
from fastfer.report.charts import Figure, matrix_spec, spec_of
from fastfer.report.document import Picture
from fastfer.report.sheets import Tile, contact_sheet
from fastfer.report.tables import Column, Table
from fastfer.report.theme import SERIES, SHAPES

SHEET_TILES: Final = 48


def comparison_table(compared: Sequence[Comparison], names: Sequence[str], speaker: Speaker) -> Table:
    """Medians and quartiles of the photographs, with the difference of two datasets."""
    records = []
    for row in compared:
        record: dict[str, Any] = {"quantity": speaker.word(row.quantity)}
        for name in names:
            low, median, high = row.quartiles[name]
            record |= {f"{name} q1": low, f"{name} median": median, f"{name} q3": high}
        record |= {
            "delta": row.difference.delta if row.difference else None,
            "size": speaker.word(row.difference.size) if row.difference else "–",
            "p": row.p_adjusted,
        }
        records.append(record)
    columns = [Column(key="quantity", title=speaker.word("quantity"))]
    for name in names:
        columns += [
            Column(key=f"{name} {part}", title=f"{name}, {part}", kind="number", digits=2)
            for part in ("q1", "median", "q3")
        ]
    columns += [
        Column(key="delta", title=speaker.word("effect"), kind="number", digits=2),
        Column(key="size", title=speaker.word("size")),
        Column(key="p", title=speaker.word("p"), kind="p"),
    ]
    return Table(name="photographs", title=speaker.say("photographs"), columns=tuple(columns), records=records)


def share_table(name: str, title: str, rows: Sequence[tuple[str, str, Share]], speaker: Speaker) -> Table:
    """Shares with their intervals: rows are (dataset, measure, share)."""
    columns = (
        Column(key="dataset", title=speaker.word("dataset")),
        Column(key="measure", title=speaker.word("measure")),
        Column(key="share", title=speaker.word("value"), kind="score"),
        Column(key="faces", title="n", kind="number"),
    )
    records = [
        {"dataset": dataset, "measure": measure, "share": share.as_interval(), "faces": share.n}
        for dataset, measure, share in rows
    ]
    return Table(name=name, title=title, columns=columns, records=records)


def class_matrix(
    name: str,
    share_KK: NDArray[np.float64],
    *,
    title: str,
    note: str,
    subject: str,
    axes: tuple[str, str],
    speaker: Speaker,
) -> Figure:
    """Shares by class, `K x K`, as a coloured matrix; `axes` title its rows and columns."""
    classes = [speaker.word(one) for one in CLASSES]
    cells = [
        {"true": row, "predicted": column, "share": float(share_KK[i, j])}
        for i, row in enumerate(classes)
        for j, column in enumerate(classes)
    ]
    spec = matrix_spec(cells, classes, field="share", highest=1, number_format=".2f", axes=axes, share=title)
    return Figure(name=name, title=title, note=note, spec=spec, subject=subject)


def separability_table(case: Case, speaker: Speaker) -> Table:
    """Every measure by features and dataset."""
    columns = (
        Column(key="features", title=speaker.word("features")),
        Column(key="dataset", title=speaker.word("dataset")),
        *(Column(key=key, title=speaker.word(key), kind="score") for key in MEASURES),
        Column(key="per_class", title=f"{speaker.word('faces')} / {speaker.word('class')}", kind="number"),
    )
    records = [
        {"features": features, "dataset": name, **one.measures, "per_class": one.per_class}
        for features, found in case.separability.items()
        for name, one in found.items()
    ]
    return Table(name="separability", title=speaker.say("separability"), columns=columns, records=records)


def plane(dataset: str, point_N2: NDArray[np.float64], label_N: NDArray[np.int64], speaker: Speaker) -> Figure:
    """Faces as points of a plane, coloured by label."""
    classes = [speaker.word(name) for name in CLASSES]
    values = [
        {"x": round(float(x), 2), "y": round(float(y), 2), "class": classes[label]}
        for (x, y), label in zip(point_N2, label_N, strict=True)
    ]
    colours = [SERIES[i % len(SERIES)] for i in range(len(classes))]
    shapes = [SHAPES[i // len(SERIES)] for i in range(len(classes))]
    axis = alt.Axis(labels=False, ticks=False, grid=False, domain=False)
    chart = (
        alt.Chart(alt.InlineData(values=values))
        .mark_point(filled=True, size=26, opacity=0.8)
        .encode(
            x=alt.X("x:Q", title=None, axis=axis),
            y=alt.Y("y:Q", title=None, axis=axis),
            color=alt.Color("class:N", scale=alt.Scale(domain=classes, range=colours)),
            shape=alt.Shape("class:N", scale=alt.Scale(domain=classes, range=shapes)),
            tooltip=["class:N"],
        )
        .properties(height=380)
    )
    return Figure(
        name=f"plane-{dataset}",
        title=speaker.word("plane"),
        note=speaker.word("plane_note"),
        spec=spec_of(chart),
        subject=dataset,
        legend=tuple(classes),
    )


def noise_table(known: Sequence[DatasetFacts], speaker: Speaker) -> Table:
    """Estimated wrong labels by class, then of all."""
    columns = (
        Column(key="dataset", title=speaker.word("dataset")),
        Column(key="class", title=speaker.word("class")),
        Column(key="share", title=speaker.word("share_wrong"), kind="score"),
        Column(key="faces", title=speaker.word("faces"), kind="number"),
    )
    records = []
    for one in known:
        assert one.noise is not None
        assert one.faces is not None
        of_class = zip(CLASSES, one.noise.by_class, one.faces.counts().tolist(), strict=True)
        records += [
            {"dataset": one.name, "class": speaker.word(name), "share": share, "faces": count}
            for name, share, count in of_class
        ]
        whole = {"class": speaker.word("all"), "share": one.noise.overall, "faces": len(one.faces)}
        records.append({"dataset": one.name, **whole})
    return Table(name="label-noise", title=speaker.say("noise"), columns=columns, records=records)


def suspects_sheet(one: DatasetFacts, speaker: Speaker) -> Picture:
    """The most suspicious faces with the label that is written, and the one suggested."""
    assert one.faces is not None
    tiles = [
        Tile(
            one.faces.img_NHW[row["place"]],
            (f"{speaker.word(row['label'])} -> {speaker.word(row['suggested'])}", row["key"]),
        )
        for row in one.suspects[:SHEET_TILES]
    ]
    title = f"{speaker.word('suspects')}: {one.name}"
    note = speaker.word("suspects_note")
    return Picture(name=f"suspects-{one.name}", title=title, note=note, jpeg=contact_sheet(tiles, title))
