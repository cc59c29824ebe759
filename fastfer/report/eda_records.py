"""The parts of the page about the data that come from the records: classes, detector, near-duplicates."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from fastfer.analysis.photographs import QUANTILES
from fastfer.labels import CLASSES
from fastfer.leaks import duplicates_of, pair_counts
from fastfer.report.charts import Figure
from fastfer.report.distributions import SPREAD, bars_spec, spread_spec
from fastfer.report.document import Missing, Section
from fastfer.report.eda_subject import Subject, missing_records
from fastfer.report.locale import Locale
from fastfer.report.tables import Column, Record, Table, translated
from pipelines.errors import InputError

LISTED: Final = 30
"""Pairs that the table names; how many there are in all is said above it."""
PAIR_COLUMNS: Final = {"image": "Image", "other": "Other image", "split": "Split", "other_split": "Other split"}


def classes_section(subjects: Sequence[Subject], _: Locale) -> Section:
    """Counts and imbalance by split."""
    records = [
        {"dataset": one.dataset, "split": _(split), **of, "all": sum(of.values()), "imbalance": _imbalance(of)}
        for one in subjects
        for split, of in one.counts.items()
        if any(of.values())
    ]
    section = Section(
        title=_("Classes"),
        paragraphs=[
            _(
                "Faces of each class in the records, by split. The imbalance is the count of the largest class over "
                "that of the smallest; balanced accuracy and macro F1 weigh all classes alike whatever it is."
            )
        ],
        missing=[part for one in subjects for part in missing_records(one, _)],
    )
    if records:
        columns = (
            Column(key="dataset", title="Dataset"),
            Column(key="split", title="Split"),
            *(Column(key=name, title=name.capitalize(), kind="number") for name in CLASSES),
            Column(key="all", title="All", kind="number"),
            Column(key="imbalance", title="Imbalance ↓", kind="number", digits=2),
        )
        title = _("Faces by class")
        section.tables = [Table(name="eda-classes", title=title, columns=translated(columns, _), records=records)]
        section.figures = _class_figures(subjects, _)
        section.figures += [_split_figure(one, _) for one in subjects if one.counts]
    return section


def _imbalance(counts: dict[str, int]) -> float | None:
    return max(counts.values()) / min(counts.values()) if min(counts.values()) else None


def _class_figures(subjects: Sequence[Subject], _: Locale) -> list[Figure]:
    train = {one.dataset: one.counts["train"] for one in subjects if sum(one.counts.get("train", {}).values())}
    rows = [
        {"series": dataset, "what": name, "value": of[name] / sum(of.values())}
        for dataset, of in train.items()
        for name in CLASSES
    ]
    if not rows:
        return []
    return [
        Figure(
            name="eda-class-shares",
            title=_("Shares of the classes in train"),
            note=_("Of all faces in the train split of each dataset."),
            spec=bars_spec(
                rows, series=tuple(train), whats=CLASSES, title=_("share of train"), number_format=".0%", _=_
            ),
            legend=tuple(train),
        )
    ]


def _split_figure(subject: Subject, _: Locale) -> Figure:
    splits = tuple(_(split) for split in subject.counts)
    rows = [
        {"series": _(split), "what": name, "value": of[name]}
        for split, of in subject.counts.items()
        for name in CLASSES
    ]
    return Figure(
        name=f"eda-splits-{subject.dataset}",
        title=_("Faces of {dataset} by class and split", dataset=subject.dataset),
        note=_("Train is balanced by light copies; validation and test never are."),
        spec=bars_spec(rows, series=splits, whats=CLASSES, title=_("faces"), number_format=",d", _=_),
        legend=splits,
    )


def detector_section(subjects: Sequence[Subject], _: Locale) -> Section:
    """How the annotated face was found, by class."""
    section = Section(
        title=_("Detector"),
        paragraphs=[
            _(
                "How each kept face was found, and how its box overlaps the annotated one (intersection over union). A "
                "class that is missed more often is cropped more often by its annotation, not by the detector."
            )
        ],
        missing=[part for one in subjects for part in missing_records(one, _)],
    )
    present = {one.dataset: one.kept for one in subjects if one.kept is not None}
    sought = {name: kept for name, kept in present.items() if kept["faces_seen"].is_not_null().any()}
    section.paragraphs += [
        _("No face of {dataset} was sought: its images are faces.", dataset=name)
        for name in present
        if name not in sought
    ]
    records = [record for name, kept in sought.items() for record in _outcomes(name, kept)]
    if records:
        hows = sorted({how for record in records for how in record["how"]})
        columns = (
            Column(key="dataset", title="Dataset"),
            Column(key="class", title="Class"),
            Column(key="faces", title="Faces", kind="number"),
            *(Column(key=how, title=f"Share, {how}", kind="number", digits=3) for how in hows),
            *(Column(key=name, title=f"IoU, {name} ↑", kind="number", digits=3) for name in SPREAD),
        )
        rows = [dict.fromkeys(hows, 0.0) | record["how"] | record for record in records]
        title = _("Outcome by class")
        section.tables = [Table(name="eda-detector", title=title, columns=translated(columns, _), records=rows)]
        section.figures = _iou_figures(records, _)
    return section


def _outcomes(dataset: str, kept: pl.DataFrame) -> list[Record]:
    quantiles = [pl.col("iou").quantile(QUANTILES[name], "linear").alias(name) for name in SPREAD]
    records = []
    for label, name in enumerate(CLASSES):
        rows = kept.filter(pl.col("label") == label)
        if len(rows):
            how = {key: count / len(rows) for key, count in rows["how"].drop_nulls().value_counts().rows()}
            of_iou = rows.select(quantiles).row(0, named=True)
            records.append({"dataset": dataset, "class": name, "faces": len(rows), "how": how, **of_iou})
    return records


def _iou_figures(records: Sequence[Record], _: Locale) -> list[Figure]:
    rows = [
        {"series": record["dataset"], "what": record["class"], **{name: record[name] for name in SPREAD}}
        for record in records
        if record["median"] is not None
    ]
    if not rows:
        return []
    series = list(dict.fromkeys(row["series"] for row in rows))
    return [
        Figure(
            name="eda-iou",
            title=_("Overlap of the detected and the annotated box"),
            note=_("Box: the middle half, with the median; line: 5% to 95%. Higher is better ↑."),
            spec=spread_spec(rows, series=series, whats=CLASSES, _=_),
            legend=tuple(series),
        )
    ]


def duplicates_section(subjects: Sequence[Subject], shards: Path, _: Locale) -> Section:
    """Images that show the same, within and between datasets."""
    section = Section(
        title=_("Near-duplicates"),
        paragraphs=[
            _(
                "Pairs of images that show the same, by a perceptual hash and then by their pixels. Those across "
                "splits or datasets would let a model be tested on what it was trained on; make duplicates lists them "
                "all."
            )
        ],
        missing=[part for one in subjects for part in missing_records(one, _)],
    )
    present = [one.dataset for one in subjects if one.manifest is not None]
    try:
        pairs = duplicates_of(shards, present)
    except InputError:
        sentence = _("Near-duplicates are not known, as the images' fingerprints are not there")
        section.missing.append(Missing(sentence=sentence, command=f"make shards DATASET={present[0]}"))
        return section
    if present:
        section.tables = [_pair_count_table(pairs, _), _pair_table(pairs, _)]
    return section


def _pair_count_table(pairs: pl.DataFrame, _: Locale) -> Table:
    titles = {"pairs": "Pairs", "identical": "Identical files", "two_splits": "In two splits"}
    columns = (
        Column(key="dataset", title="Of"),
        Column(key="other_dataset", title="And"),
        *(Column(key=key, title=title, kind="number") for key, title in titles.items()),
    )
    counts = pair_counts(pairs).to_dicts()
    return Table(name="eda-duplicates", title=_("Near-duplicates"), columns=translated(columns, _), records=counts)


def _pair_table(pairs: pl.DataFrame, _: Locale) -> Table:
    shown = (
        pairs.sort("difference", maintain_order=True)
        .head(LISTED)
        .with_columns(
            image=pl.concat_str("dataset", "image_path", separator="/"),
            other=pl.concat_str("other_dataset", "other_path", separator="/"),
        )
    )
    columns = (
        *(Column(key=key, title=title) for key, title in PAIR_COLUMNS.items()),
        Column(key="difference", title="Difference", kind="number", digits=3),
    )
    records = [
        row | {"split": _(row["split"]), "other_split": _(row["other_split"])} for row in shown.iter_rows(named=True)
    ]
    title = _("The most alike pairs, {shown} of {all:,}", shown=len(shown), all=len(pairs))
    return Table(name="eda-pairs", title=title, columns=translated(columns, _), records=records)
