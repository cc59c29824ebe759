"""What a report says, before it is a page: sections of figures, tables and sentences, made from the runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastfer.report import charts, commands, tables
from fastfer.report.charts import Figure
from fastfer.report.comparisons import comparison_sections
from fastfer.report.contrasts import Compared
from fastfer.report.document import Missing, Picture, Section
from fastfer.report.locale import ENGLISH, Locale
from fastfer.report.naming import run_labels
from fastfer.report.runs import Result, Run
from fastfer.report.settings import flattened, split_shared
from fastfer.report.summary import Headline, Unfinished, headlines, unfinished
from fastfer.report.tables import Table

NOTHING_COMPARED: Final = Compared()
NOTHING: Final[Mapping[str, Section]] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetSection:
    """The runs tested on one dataset, compared."""

    name: str
    figures: list[Figure]
    tables: list[Table]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSection:
    """One run by itself."""

    name: str
    label: str
    dataset: str
    facts: tuple[str, ...]
    figures: list[Figure]
    missing: list[Missing]
    config: dict[str, str]  # what differs from the other runs
    environment: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossSection:
    """The runs on the test sets of datasets they were not trained on."""

    figures: list[Figure]
    table: Table
    confusions: list[tuple[str, list[Figure]]]
    missing: list[Missing]


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Everything the page shows."""

    template: str = "index.html.j2"
    lang: str
    title: str
    num_runs: int
    headlines: list[Headline]
    unfinished: list[Unfinished]
    data: dict[str, Section]  # by their anchors, as the comparisons
    runs_table: Table
    datasets: list[DatasetSection]
    comparisons: dict[str, Section]
    runs: list[RunSection]
    cross: CrossSection
    cost: Table
    performance: dict[str, Section]
    confusion: Table  # a file only: on the page the matrices are drawn
    shared_config: dict[str, str]
    shared_environment: dict[str, str]
    steps: list[str]  # commands from the raw data to this page

    def figures(self) -> Iterator[Figure]:
        """Every figure, in the order of the page."""
        for section in self.data.values():
            yield from section.figures
        for compared in self.datasets:
            yield from compared.figures
        for section in self.comparisons.values():
            yield from section.figures
        for run in self.runs:
            yield from run.figures
        yield from self.cross.figures
        for __, figures in self.cross.confusions:
            yield from figures
        for section in self.performance.values():
            yield from section.figures

    def tables(self) -> Iterator[Table]:
        """Every table, in the order of the page."""
        for section in self.data.values():
            yield from section.tables
        yield self.runs_table
        for compared in self.datasets:
            yield from compared.tables
        for section in self.comparisons.values():
            yield from section.tables
        yield from (self.cross.table, self.cost, self.confusion)
        for section in self.performance.values():
            yield from section.tables

    def pictures(self) -> Iterator[Picture]:
        """Every picture, in the order of the page."""
        for section in self.data.values():
            yield from section.pictures


def compose(
    runs: Sequence[Run],
    title: str | None,
    compared: Compared = NOTHING_COMPARED,
    results: Path | None = None,
    data: Mapping[str, Section] = NOTHING,
    performance: Mapping[str, Section] = NOTHING,
    _: Locale = ENGLISH,
) -> Report:
    """Work out the whole report; nothing is drawn or written yet."""
    labels = run_labels(runs)
    shared_config, own_configs = split_shared([flattened(run.config) for run in runs])
    shared_environment, own_environments = split_shared([flattened(run.environment or {}) for run in runs])
    own = dict(zip([run.name for run in runs], zip(own_configs, own_environments, strict=True), strict=True))
    return Report(
        lang=_.lang,
        title=title or _("Facial expression recognition: the study's runs"),
        num_runs=len(runs),
        headlines=headlines(runs, labels, _),
        unfinished=unfinished(runs, _),
        data=dict(data),
        runs_table=tables.runs_table(runs, labels, _),
        datasets=_dataset_sections(runs, labels, _),
        comparisons=comparison_sections(runs, labels, compared, results, _),
        runs=[_run_section(run, labels[run.name], *own[run.name], _) for run in runs],
        cross=_cross_section(runs, labels, _),
        cost=tables.cost_table(runs, labels, _),
        performance=dict(performance),
        confusion=tables.confusion_table(runs, labels, _),
        shared_config=shared_config,
        shared_environment=shared_environment,
        steps=_steps(runs),
    )


def _dataset_sections(runs: Sequence[Run], labels: dict[str, str], _: Locale) -> list[DatasetSection]:
    tested: dict[str, list[tuple[str, Result]]] = {}
    for run in runs:
        if run.result:
            tested.setdefault(run.result.dataset, []).append((labels[run.name], run.result))
    return [
        DatasetSection(
            name=name,
            figures=[charts.metric_figure(name, results, _), charts.class_figure(name, results, _)],
            tables=[tables.metrics_table(name, results, _), tables.classes_table(name, results, _)],
        )
        for name, results in sorted(tested.items())
    ]


def _run_section(run: Run, label: str, config: dict[str, str], environment: dict[str, str], _: Locale) -> RunSection:
    train = commands.train_command(run)
    figures = charts.curve_figures(run, label, _)
    missing = []
    if not figures:
        missing.append(Missing(sentence=_("No epoch is logged, so there are no curves"), command=train))
    if run.result:
        confusion = charts.confusion_figures(run, label, run.result, _)
        figures += confusion
        if not confusion:
            command = commands.evaluate_command(run, run.result.dataset)
            missing.append(Missing(sentence=_("There is no confusion.csv, so no confusion matrix"), command=command))
    else:
        missing.append(Missing(sentence=_("The run is unfinished, so there are no scores"), command=train))
    return RunSection(
        name=run.name,
        label=label,
        dataset=run.dataset,
        facts=_facts(run, _),
        figures=figures,
        missing=missing,
        config=config,
        environment=environment,
    )


def _facts(run: Run, _: Locale) -> tuple[str, ...]:
    if run.result is None:
        return ()
    training = run.result.training
    details = {key: value for key, value in run.result.test_set.items() if key != "dataset"}
    test_set = ", ".join([run.result.dataset, *(f"{key} {value}" for key, value in flattened(details).items())])
    told = (
        ("balanced accuracy", run.result.scores["balanced_accuracy"]["value"], "{:.3f}"),
        ("best epoch", training.get("best_epoch"), "{}"),
        ("epochs run", training.get("epochs_run"), "{}"),
        ("parameters", training.get("parameters"), "{:,}"),
        ("tested on", f"{test_set}: {run.result.n:,} {_('faces')}", "{}"),
    )
    return tuple(f"{_(name)} {form.format(value)}" for name, value, form in told if value is not None)


def _cross_section(runs: Sequence[Run], labels: dict[str, str], _: Locale) -> CrossSection:
    tested = [run for run in runs if run.cross]
    missing = []
    untested = [f"{run.dataset}, {labels[run.name]}" for run in runs if run.result and not run.cross and not run.parts]
    if not tested:
        missing.append(Missing(sentence=_("No run was tested on another dataset yet"), command="make cross"))
    elif untested:
        sentence = _("Not tested on another dataset yet: {runs}", runs="; ".join(untested))
        missing.append(Missing(sentence=sentence, command="make cross"))
    return CrossSection(
        figures=[
            charts.cross_figure(name, [(labels[run.name], run) for run in tested if run.dataset == name], _)
            for name in sorted({run.dataset for run in tested})
        ],
        table=tables.cross_table(runs, labels, _),
        confusions=[
            (f"{run.dataset}, {labels[run.name]}, {_('on {dataset}', dataset=result.dataset)}", figures)
            for run in tested
            for result in run.cross
            if (figures := charts.confusion_figures(run, labels[run.name], result, _))
        ],
        missing=missing,
    )


def _steps(runs: Sequence[Run]) -> list[str]:
    """From the raw data to this report; a joint set is made from its members."""
    variants = {(name, str(run.config.get("variant"))) for run in runs for name in run.dataset.split("+")}
    single = sorted({name for name, __ in variants})
    return [
        *commands.data_commands(single, variants),
        *(commands.train_command(run) for run in runs),
        "make cross",
        "make report",
    ]
