"""How faces were chosen, for the article: the funnel as table and figure, and examples of each outcome.

The verb writes files in English; `funnel_section` is the funnel as a part of a page, in any language.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import altair as alt
import numpy as np
import polars as pl
from numpy.typing import NDArray

from fastfer.datasets import find_dataset
from fastfer.datasets.table import kind_of_reason
from fastfer.faces.extract import OUTSIDE
from fastfer.faces.images import UnreadableImageError, read_image
from fastfer.labels import CLASSES
from fastfer.report.charts import Figure, spec_of
from fastfer.report.document import Section
from fastfer.report.eda_subject import Subject, missing_records
from fastfer.report.files import write_figures
from fastfer.report.locale import ENGLISH, Locale
from fastfer.report.sheets import ANNOTATED, COLUMNS, DETECTED, Tile, contact_sheet, marked
from fastfer.report.tables import Column, Table, translated
from fastfer.report.theme import SERIES
from fastfer.variants import open_records
from pipelines.errors import InputError
from pipelines.progress import Track, untracked
from pipelines.records import atomic_folder, read_manifest, write_csv

EXAMPLES: Final = 3 * COLUMNS
VIEW: Final = 2.5
"""An example shows this many times the width of its box."""
FUNNEL_NAME: Final = "funnel.csv"
UNKNOWN: Final = "no label"
NO_DETECTOR: Final = "no detector"
MATCHED: Final = ("matched", "second look", "most prominent")
STAGES: Final[dict[str, pl.Expr]] = {
    "rows": pl.col("row").is_not_null(),
    "readable": (pl.col("status") == "kept") | (pl.col("reason") == OUTSIDE),
    "detected": pl.col("faces_seen") > 0,
    "matched": pl.col("how").is_in(MATCHED),
    "kept": pl.col("status") == "kept",
}
"""The funnel: lines of the annotation; usable ones whose image can be read; with a face seen there; with the annotated
one among them; and those in the records, where a missed face is cropped by its annotation."""


def make_selection_report(
    shards: Path, dataset: str, root: Path, out: Path, *, seed: int = 0, track: Track = untracked
) -> pl.DataFrame:
    """Write `funnel.csv`, `outcomes.csv`, `figures/funnel.*` and `sheets/<outcome>.jpg` into the folder `out`.

    Examples are read from the raw images in `root`; those that are gone are left out.

    Returns:
        The funnel (see `funnel_of`).

    Raises:
        InputError: `preprocessed` is not there, or `out` holds something else than such a report.
    """
    info = open_records(shards, dataset, "preprocessed")
    manifest = read_manifest(shards / dataset / "preprocessed")
    if out.exists() and not (out / FUNNEL_NAME).is_file() and any(out.iterdir()):
        raise InputError(f"{out} holds something else than a selection report: choose another REPORTS=")
    funnel = funnel_of(manifest)
    detector = info.settings["detector"] or NO_DETECTOR
    with atomic_folder(out) as folder:
        write_csv(folder / FUNNEL_NAME, funnel)
        write_csv(folder / "outcomes.csv", outcomes_of(manifest))
        figure = _figure(funnel, dataset, detector)
        write_figures([figure], {figure.name: "funnel"}, folder / "figures", track)
        (folder / "sheets").mkdir()
        groups = list(_examples(manifest, seed))
        with track("Drawing examples", total=len(groups), unit="sheets") as advance:
            for how, rows in groups:
                tiles = [tile for row in rows if (tile := _tile(root, row)) is not None]
                if tiles:
                    title = f"{dataset}, {detector}: {how}. Orange: annotated; blue: detected."
                    (folder / "sheets" / f"{_file_name(how)}.jpg").write_bytes(contact_sheet(tiles, title))
                advance(1)
    return funnel


def funnel_section(shards: Path, dataset: str, _: Locale) -> Section:
    """The funnel of a dataset as a part of a page; where there are no records, what makes them.

    Raises:
        InputError: the dataset is unknown.
    """
    find_dataset(dataset)
    section = Section(title=_("How the faces of {dataset} were chosen", dataset=dataset))
    try:
        info = open_records(shards, dataset, "preprocessed")
    except InputError:
        section.missing = missing_records(Subject(dataset=dataset), _)
        return section
    funnel = funnel_of(read_manifest(shards / dataset / "preprocessed"))
    section.paragraphs = [
        _(
            "Rows are the lines of the annotation; readable are the usable ones whose image can be read; in those "
            "detected some face was seen, and in those matched the annotated one; kept are the faces in the records, "
            "where the missed ones are cropped by their annotation."
        )
    ]
    section.figures = [_figure(funnel, dataset, info.settings["detector"] or _(NO_DETECTOR), _)]
    section.tables = [_table(funnel, dataset, _)]
    return section


def _table(funnel: pl.DataFrame, dataset: str, _: Locale) -> Table:
    """The funnel by class; stages that the dataset has not are empty."""
    stages = [name for name in funnel.columns if name != "class"]
    columns = (
        Column(key="class", title="Class"),
        *(Column(key=name, title=name.capitalize(), kind="number") for name in stages),
    )
    records = [row | {"class": _named(row["class"], _)} for row in funnel.iter_rows(named=True)]
    title = _("Annotated rows of {dataset} by class", dataset=dataset)
    return Table(name=f"funnel-{dataset}", title=title, columns=translated(columns, _), records=records)


def funnel_of(manifest: pl.DataFrame) -> pl.DataFrame:
    """Rows of each class that reach each of `STAGES`, then of all; `missed` of the kept ones are cropped, not found.

    Where nothing was sought, `detected` and `matched` are null.
    """
    sought = manifest["faces_seen"].is_not_null().any()
    known = _labelled(manifest)
    counts = [stage.fill_null(False).sum().alias(name) for name, stage in STAGES.items()]
    by_class = known.group_by("class").agg(counts)
    total = known.select(pl.lit("all").alias("class"), *counts)
    order = {name: number for number, name in enumerate([*CLASSES, UNKNOWN])}
    table = pl.concat(
        [by_class.sort(pl.col("class").replace_strict(order)), total.match_to_schema(by_class.schema)]
    ).with_columns(missed=pl.col("kept") - pl.col("matched"))
    if sought:
        return table
    return table.with_columns(pl.lit(None, pl.UInt32).alias(name) for name in ("detected", "matched", "missed"))


def outcomes_of(manifest: pl.DataFrame) -> pl.DataFrame:
    """Rows by outcome (how a face was chosen, or why a row was dropped) and class."""
    known = _labelled(manifest).with_columns(
        outcome=pl.coalesce("how", pl.lit("dropped: ") + kind_of_reason(pl.col("reason")))
    )
    return (
        known.group_by("status", "outcome", "class")
        .len("rows")
        .sort("status", "outcome", "class", descending=[True, False, False])
    )


def _labelled(manifest: pl.DataFrame) -> pl.DataFrame:
    names = dict(enumerate(CLASSES))
    label = pl.col("label").cast(pl.Int64).replace_strict(names, default=UNKNOWN, return_dtype=pl.String)
    return manifest.with_columns(label.fill_null(UNKNOWN).alias("class"))


def _figure(funnel: pl.DataFrame, dataset: str, detector: str, _: Locale = ENGLISH) -> Figure:
    """Bars of the stages, by class: shares of the class's rows, so that small classes can be read too."""
    stages = {name: _(name) for name in STAGES if funnel[name].null_count() == 0}
    rows = [
        {
            "class": f"{_named(row['class'], _)} ({row['rows']:,})",
            "stage": title,
            "share": row[stage] / row["rows"],
            "rows": row[stage],
        }
        for row in funnel.iter_rows(named=True)
        for stage, title in stages.items()
    ]
    titles = list(stages.values())
    chart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_bar()
        .properties(height=alt.Step(9, **{"for": "offset"}))
        .encode(
            y=alt.Y("class:N", scale=alt.Scale(domain=list(dict.fromkeys(row["class"] for row in rows))), title=None),
            yOffset=alt.YOffset("stage:N", scale=alt.Scale(domain=titles)),
            x=alt.X("share:Q", axis=alt.Axis(format="%"), title=_("Share of the annotated rows")),
            color=alt.Color("stage:N", scale=alt.Scale(domain=titles, range=list(SERIES[: len(titles)]))),
            tooltip=[
                alt.Tooltip("class:N", title=_("class")),
                alt.Tooltip("stage:N", title=_("stage")),
                alt.Tooltip("share:Q", title=_("Share"), format=".1%"),
                alt.Tooltip("rows:Q", title=_("rows"), format=","),
            ],
        )
    )
    return Figure(
        name=f"funnel-{dataset}",
        title=_("From annotated rows to faces in the records"),
        subject=dataset,
        note=_(
            "Detector: {detector}. Kept faces that were not matched are cropped by their annotation.",
            detector=detector,
        ),
        spec=spec_of(chart),
        legend=tuple(titles),
    )


def _named(row: str, _: Locale) -> str:
    """What a row of the funnel is called: classes keep their names."""
    return row if row in CLASSES else _(row)


def _examples(manifest: pl.DataFrame, seed: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Random rows of each outcome: how a kept face was chosen, and `dropped`."""
    outcome = manifest.with_columns(outcome=pl.coalesce("how", pl.lit("dropped")))
    for (name,), rows in sorted(outcome.group_by("outcome"), key=lambda group: str(group[0][0])):
        chosen = rows.sort("row").sample(min(EXAMPLES, len(rows)), seed=seed, shuffle=True)
        yield str(name), chosen.to_dicts()


def _tile(root: Path, row: dict[str, Any]) -> Tile | None:
    """The surroundings of a row's face; None where the image cannot be read."""
    if row["image_path"] is None:
        return None
    try:
        img_HWC = read_image(root, row["image_path"])
    except UnreadableImageError:
        return None
    boxes = [
        (np.array(row[name]), colour) for name, colour in (("box", ANNOTATED), ("face_box", DETECTED)) if row[name]
    ]
    points = None if row["face_landmarks"] is None else np.array(row["face_landmarks"]).reshape(5, 2)
    frame = np.array([0.0, 0.0, img_HWC.shape[1], img_HWC.shape[0]])
    said = row["reason"] or ", ".join(f"{name} {row[name]:.2f}" for name in ("iou", "score") if row[name] is not None)
    view = _around(boxes[0][0]) if boxes and row["status"] == "kept" else frame
    return Tile(marked(img_HWC, view, boxes, points), (row["key"], said or CLASSES[row["label"]]))


def _around(box_xyxy_px: NDArray[np.float64]) -> NDArray[np.float64]:
    centre, half = (box_xyxy_px[:2] + box_xyxy_px[2:]) / 2, (box_xyxy_px[2:] - box_xyxy_px[:2]).max() * VIEW / 2
    return np.concatenate([centre - half, centre + half])


def _file_name(how: str) -> str:
    return how.replace(" ", "-")
