"""The report's answers: what augmentation changes, what joint training changes, and what is more than chance."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from fastfer.report import statistics
from fastfer.report.commands import evaluate_command, train_command
from fastfer.report.contrasts import Compared, Contrast, alike_but, contrast_figure, contrast_table
from fastfer.report.document import Missing, Section
from fastfer.report.locale import Locale
from fastfer.report.runs import Result, Run

DEFAULT_RESULTS: Final = Path("results")
BASELINE: Final = {"aug": "none", "variant": "preprocessed"}
AUGMENTED: Final = {"aug": "online", "variant": "augmented"}
SETTINGS: Final = {"arch": "Architecture", "aug": "Augmentation", "variant": "Variant", "seed": "Seed"}


def comparison_sections(
    runs: Sequence[Run], labels: dict[str, str], compared: Compared, results: Path | None, _: Locale
) -> dict[str, Section]:
    """The sections by their anchors on the page.

    Args:
        runs: of the report.
        labels: their labels.
        compared: what `make compare` found.
        results: the folder that was read from, for the command that fills it.
        _: the language.
    """
    where = "" if results in {None, DEFAULT_RESULTS} else f" RESULTS={shlex.quote(str(results))}"
    command = f"make compare{where}"
    return {
        "augmentation": _augmentation(runs, labels, compared, command, _),
        "together": _together(runs, compared, command, _),
        "statistics": statistics.section(runs, labels, compared, command, _),
    }


def _augmentation(runs: Sequence[Run], labels: dict[str, str], compared: Compared, command: str, _: Locale) -> Section:
    contrasts, missing = _augmentation_material(runs, labels, _)
    section = Section(
        title=_("Baseline against augmented"),
        paragraphs=[
            _(
                "Runs trained with augmentation beside those trained without, alike in everything else, on the test "
                "set of the dataset they were trained on."
            )
        ],
        missing=[*missing, *_unpaired(contrasts, compared, command, _)],
    )
    if not contrasts:
        return section
    section.tables.append(
        contrast_table(
            "augmentation",
            _("Baseline against augmented"),
            [({"trained_on": one.run.dataset, **_settings(one.run)}, one) for one in contrasts],
            settings={"trained_on": "Trained on", **SETTINGS},
            sides=("none", "augmented"),
            pairs=compared.pairs,
            _=_,
        )
    )
    section.figures.append(
        contrast_figure(
            "augmentation-change",
            _("What augmentation changes"),
            _(
                "Balanced accuracy with augmentation less that without: right of zero, augmentation is better →. "
                "Lines are 95% paired bootstrap intervals."
            ),
            [(f"{one.run.dataset}, {_cell(one.run, _)}", str(one.run.config["aug"]), one) for one in contrasts],
            series_title="augmentation",
            pairs=compared.pairs,
            _=_,
        )
    )
    return section


def _augmentation_material(
    runs: Sequence[Run], labels: dict[str, str], _: Locale
) -> tuple[list[Contrast], list[Missing]]:
    """What can be contrasted, and the runs that lack their counterpart."""
    finished = [run for run in runs if run.result and run.config.get("variant") != "raw"]
    augmented = [run for run in finished if run.config.get("aug") != "none"]
    baselines = [run for run in finished if run.config.get("aug") == "none"]
    free = {"aug", "variant"}
    contrasts = [
        Contrast(run=run, base=base, result=run.result, base_result=base.result)
        for base in baselines
        for run in augmented
        if alike_but(run, base, free) and run.result and base.result
    ]
    missing = [
        Missing(sentence=f"{run.dataset}, {labels[run.name]} {lacks}", command=_with(run, **changes))
        for lonely, others, changes, lacks in (
            (augmented, baselines, BASELINE, _("has no baseline without augmentation")),
            (baselines, augmented, AUGMENTED, _("has no augmented counterpart")),
        )
        for run in lonely
        if not any(alike_but(run, other, free) for other in others)
    ]
    if not finished:
        missing.append(Missing(sentence=_("No run has been tested yet"), command="make study"))
    return contrasts, missing


def _together(runs: Sequence[Run], compared: Compared, command: str, _: Locale) -> Section:
    contrasts, missing = _together_material(runs, _)
    section = Section(
        title=_("Together"),
        paragraphs=[
            _(
                "Runs trained on several datasets together beside those trained on one of them alone, alike in "
                "everything else, on the test set of that one. The difference is over the faces both were tested on."
            )
        ],
        missing=[*missing, *_unpaired(contrasts, compared, command, _)],
    )
    if not contrasts:
        return section
    datasets = [{"tested_on": one.result.dataset, "trained_on": one.run.dataset} for one in contrasts]
    section.tables.append(
        contrast_table(
            "together",
            _("Together against alone"),
            [(names | _settings(one.run), one) for names, one in zip(datasets, contrasts, strict=True)],
            settings={"tested_on": "Tested on", "trained_on": "Trained together on", **SETTINGS},
            sides=("alone", "together"),
            pairs=compared.pairs,
            _=_,
        )
    )
    section.figures.append(
        contrast_figure(
            "together-change",
            _("What training together changes"),
            _(
                "Balanced accuracy of the run trained together less that of the one trained alone: right of zero, "
                "together is better →. Lines are 95% paired bootstrap intervals."
            ),
            [(f"{one.run.config['aug']}, {_cell(one.run, _)}", one.result.dataset, one) for one in contrasts],
            series_title="tested on",
            pairs=compared.pairs,
            _=_,
        )
    )
    return section


def _together_material(runs: Sequence[Run], _: Locale) -> tuple[list[Contrast], list[Missing]]:
    """What can be contrasted, by test set, and what that lacks."""
    contrasts, missing = [], []
    joint = [run for run in runs if run.result and "+" in run.dataset]
    for run in joint:
        for dataset, part in _parts(run):
            single = [one for one in runs if one.dataset == dataset and alike_but(one, run, {"dataset", "sampling"})]
            alone = [(one, one.result) for one in single if one.result]
            if part is None:
                sentence = _("{run} was not tested on {dataset} alone", run=run.name, dataset=dataset)
                missing.append(Missing(sentence=sentence, command=evaluate_command(run, dataset)))
            elif not alone:
                sentence = _("{run} has no counterpart trained on {dataset} alone", run=run.name, dataset=dataset)
                missing.append(Missing(sentence=sentence, command=_with(run, dataset=dataset, sampling=None)))
            else:
                contrasts += [Contrast(run=run, base=one, result=part, base_result=result) for one, result in alone]
    if not joint:
        sentence = _("No run was trained on several datasets together")
        missing.append(Missing(sentence=sentence, command="make study TOGETHER=1"))
    return sorted(contrasts, key=lambda one: one.result.dataset), missing


def _parts(run: Run) -> Iterator[tuple[str, Result | None]]:
    """Each dataset of a joint run, and its result there, if it was tested."""
    tested = {part.dataset: part for part in run.parts}
    for dataset in run.dataset.split("+"):
        yield dataset, tested.get(dataset)


def _settings(run: Run) -> dict[str, Any]:
    return {key: run.config.get(key, "–") for key in SETTINGS}


def _cell(run: Run, _: Locale) -> str:
    return _("{arch} · seed {seed}", **_settings(run))


def _with(run: Run, **changes: Any) -> str:
    """The command that trains a run with some settings changed."""
    return train_command(replace(run, config=run.config | changes))


def _unpaired(contrasts: Sequence[Contrast], compared: Compared, command: str, _: Locale) -> list[Missing]:
    """What says that differences lack their intervals, if some do."""
    lacking = sum(not one.is_paired(compared.pairs) for one in contrasts)
    sentence = _(
        "{lacking} of {all} differences have no paired interval, as the runs were not compared",
        lacking=lacking,
        all=len(contrasts),
    )
    return [Missing(sentence=sentence, command=command)] if lacking else []
