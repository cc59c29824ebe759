"""The parts of the page about the data that come from the raw images: the photographs, and the faces in them."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fastfer.analysis.photographs import FACE_PX, MEASURES, QUANTILES, WORK_PX, Measure, Photographs, summary_of
from fastfer.labels import CLASSES
from fastfer.report.charts import Figure
from fastfer.report.distributions import bars_spec, histogram_figure
from fastfer.report.document import Section
from fastfer.report.eda_subject import Subject, missing_photographs
from fastfer.report.locale import Locale
from fastfer.report.tables import Column, Record, Table, translated

NAMED: Final = 5
"""Unreadable images of each kind that the table names."""
STANDINGS: Final = {"is_largest": "largest", "is_most_central": "most central", "is_sharpest": "sharpest"}
FACE_COUNTS: Final = {"alone": "Alone in their image", "several": "Among several"}
FACE_SHARES: Final = {
    "is_largest": "Of these largest",
    "is_most_central": "Of these most central",
    "is_sharpest": "Of these sharpest",
    "all_three": "All three",
    "none": "None of them",
}


def photographs_section(subjects: Sequence[Subject], _: Locale) -> Section:
    """How the images spread in size, light and quality."""
    section = Section(
        title=_("Photographs"),
        paragraphs=[
            _(
                "Every image with a usable line of the annotation, as it lies on disk. Brightness, contrast and "
                "sharpness are measured on its gray levels with the longer side drawn {work_px} px long; sharpness is "
                "the variance of the Laplacian (Pech-Pacheco et al., 2000). The JPEG quality is the one whose libjpeg "
                "quantisation table (ITU-T T.81, table K.1, scaled) is nearest to the file's (after Kornblum, 2008).",
                work_px=WORK_PX,
            )
        ],
        missing=[part for one in subjects for part in missing_photographs(one, _)],
    )
    measured = _measured(subjects)
    section.figures = _histograms(measured, "images", _)
    if measured:
        section.tables = [_quantile_table(measured, _), _unreadable_table(measured, _)]
    return section


def _measured(subjects: Sequence[Subject]) -> dict[str, Photographs]:
    return {one.dataset: one.photographs for one in subjects if one.photographs is not None}


def _histograms(measured: dict[str, Photographs], of: str, _: Locale) -> list[Figure]:
    figures = []
    for measure in MEASURES:
        if measure.of == of:
            found = {dataset: _values(one, measure) for dataset, one in measured.items()}
            figures += [histogram_figure(measure, found, _)] if any(map(len, found.values())) else []
    return figures


def _values(photographs: Photographs, measure: Measure) -> NDArray[np.float64]:
    table = {"images": photographs.images, "faces": photographs.faces}[measure.of]
    return table[measure.name].cast(pl.Float64).drop_nulls().to_numpy()


def _quantile_table(measured: dict[str, Photographs], _: Locale) -> Table:
    records = [
        {"measure": _(measure.title), "dataset": dataset, **_rounded(row, measure)}
        for measure in MEASURES
        for dataset, one in measured.items()
        for row in summary_of(one).filter(pl.col("measure") == measure.name).to_dicts()
    ]
    columns = (
        Column(key="measure", title="Measure"),
        Column(key="dataset", title="Dataset"),
        Column(key="n", title="Known", kind="number"),
        *(Column(key=name, title=name) for name in QUANTILES),
    )
    return Table(name="eda-quantiles", title=_("Quantiles"), columns=translated(columns, _), records=records)


def _rounded(row: Record, measure: Measure) -> Record:
    """Each measure has digits of its own, so that its cells are texts."""
    texts = {name: "–" if row[name] is None else f"{row[name]:,.{measure.digits}f}" for name in QUANTILES}
    return {"n": row["n"], **texts}


def _unreadable_table(measured: dict[str, Photographs], _: Locale) -> Table:
    """The images that are skipped, some by name."""
    records = [
        {
            "dataset": dataset,
            "problem": _(row["problem"]),
            "images": row["images"],
            "such_as": ", ".join(row["image_path"][:NAMED]),
        }
        for dataset, one in measured.items()
        for row in one.unreadable.group_by("problem", maintain_order=True)
        .agg("image_path", pl.len().alias("images"))
        .to_dicts()
    ]
    columns = (
        Column(key="dataset", title="Dataset"),
        Column(key="problem", title="Problem"),
        Column(key="images", title="Images", kind="number"),
        Column(key="such_as", title="Such as"),
    )
    title = _("Images that cannot be measured")
    return Table(name="eda-unreadable", title=title, columns=translated(columns, _), records=records)


def faces_section(subjects: Sequence[Subject], _: Locale) -> Section:
    """Where the annotated face stands in its image."""
    section = Section(
        title=_("Annotated faces"),
        paragraphs=[
            _(
                "Where an image has several annotated faces, one of them has the largest box, one the centre nearest "
                "to the image's, and one is the sharpest (variance of the Laplacian of its box, drawn {face_px} x "
                "{face_px} px). A rule that takes one face of each image loses the others; classes that are seldom "
                "the chosen one lose more.",
                face_px=FACE_PX,
            )
        ],
        missing=[part for one in subjects for part in missing_photographs(one, _)],
    )
    measured = _measured(subjects)
    section.figures = _histograms(measured, "faces", _)
    records = [_standing(dataset, one.faces) for dataset, one in measured.items()]
    if records:
        columns = (
            Column(key="dataset", title="Dataset"),
            *(Column(key=key, title=title, kind="number") for key, title in FACE_COUNTS.items()),
            *(Column(key=key, title=title, kind="number", digits=3) for key, title in FACE_SHARES.items()),
        )
        title = _("One face among several")
        section.tables = [Table(name="eda-standing", title=title, columns=translated(columns, _), records=records)]
    for dataset, one in measured.items():
        section.figures += _standing_figures(dataset, one.faces, _)
    return section


def _several(faces: pl.DataFrame) -> pl.DataFrame:
    """The faces in images with several whose boxes can be compared."""
    return faces.filter(pl.col("faces_annotated") > 1).drop_nulls(list(STANDINGS))


def _standing(dataset: str, faces: pl.DataFrame) -> Record:
    several = _several(faces)
    shares = several.select(
        *(pl.col(name).mean() for name in STANDINGS),
        all_three=pl.all_horizontal(*STANDINGS).mean(),
        none=(~pl.any_horizontal(*STANDINGS)).mean(),
    )
    alone = int((faces["faces_annotated"] == 1).sum())
    return {"dataset": dataset, "alone": alone, "several": len(several), **shares.row(0, named=True)}


def _standing_figures(dataset: str, faces: pl.DataFrame, _: Locale) -> list[Figure]:
    several = _several(faces)
    if several.is_empty():
        return []
    by_class = several.group_by("label").agg(pl.col(name).mean() for name in STANDINGS).sort("label")
    rows = [
        {"series": _(title), "what": CLASSES[row["label"]], "value": row[name]}
        for row in by_class.to_dicts()
        for name, title in STANDINGS.items()
    ]
    titles = tuple(_(title) for title in STANDINGS.values())
    return [
        Figure(
            name=f"eda-standing-{dataset}",
            title=_("Faces of {dataset} that stand out among several, by class", dataset=dataset),
            note=_("Share of the faces of a class in images with more than one annotated face."),
            spec=bars_spec(rows, series=titles, whats=CLASSES, title=_("share of faces"), number_format=".0%", _=_),
            legend=titles,
        )
    ]
