"""The report's first words: the best run on each dataset, and what is not finished."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastfer.report.commands import train_command
from fastfer.report.locale import Locale
from fastfer.report.runs import Interval, Run

_RANKED_BY = "balanced_accuracy"


@dataclass(frozen=True, kw_only=True, slots=True)
class Headline:
    """The best run on one dataset."""

    dataset: str
    run: str
    value: str
    interval: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Unfinished:
    """A run without metrics, how far it came, and how to go on."""

    name: str
    state: str
    command: str


def headlines(runs: Sequence[Run], labels: dict[str, str], _: Locale) -> list[Headline]:
    """The run of the highest balanced accuracy on each dataset's own test set, in the order of the datasets' names."""
    datasets = sorted({run.result.dataset for run in runs if run.result})
    return [_headline(dataset, runs, labels, _) for dataset in datasets]


def _headline(dataset: str, runs: Sequence[Run], labels: dict[str, str], _: Locale) -> Headline:
    tested = [(run, run.result) for run in runs if run.result and run.result.dataset == dataset]
    ranked = sorted(tested, key=lambda pair: -(pair[1].scores[_RANKED_BY]["value"] or 0.0))
    best, result = ranked[0]
    scores = result.scores
    sentences = [
        _(
            "Accuracy is {accuracy}, macro F1 {macro_f1}, on {n:,} test faces; "
            "guessing would give a balanced accuracy of {guessed:.3f}.",
            accuracy=_said(scores["accuracy"], _),
            macro_f1=_said(scores["macro_f1"], _),
            n=result.n,
            guessed=1 / len(result.per_class),
        )
    ]
    if len(ranked) > 1:
        second, other = ranked[1]
        value, low = other.scores[_RANKED_BY]["value"], scores[_RANKED_BY]["low"]
        within = low is not None and value is not None and value >= low
        sentences.append(
            _(
                "Next of {count} runs is {run} with {value}, {where} that interval.",
                count=len(ranked),
                run=labels[second.name],
                value=_plain(value, _),
                where=_("inside") if within else _("below"),
            )
        )
    sentences += [
        _("On {dataset} alone it reaches {score}.", dataset=part.dataset, score=_said(part.scores[_RANKED_BY], _))
        for part in best.parts
    ]
    sentences += [
        _(
            "On {dataset}, which it was not trained on, it reaches {score}.",
            dataset=met.dataset,
            score=_said(met.scores[_RANKED_BY], _),
        )
        for met in best.cross
    ]
    return Headline(
        dataset=dataset,
        run=labels[best.name],
        value=_plain(scores[_RANKED_BY]["value"], _),
        interval=_range(scores[_RANKED_BY], _),
        sentences=tuple(sentences),
    )


def unfinished(runs: Sequence[Run], _: Locale) -> list[Unfinished]:
    """The runs that were not tested yet."""
    return [
        Unfinished(name=run.name, state=_state(run, _), command=train_command(run))
        for run in runs
        if run.result is None
    ]


def _state(run: Run, _: Locale) -> str:
    epochs = 0 if run.epochs is None else len(run.epochs)
    planned = run.config.get("epochs")
    if planned:
        return _("{epochs} of {planned} epochs are logged", epochs=epochs, planned=planned)
    return _("{epochs} epochs are logged", epochs=epochs)


def _plain(value: float | None, _: Locale) -> str:
    return _("undefined") if value is None else f"{value:.3f}"


def _range(interval: Interval, _: Locale) -> str:
    low, high = interval["low"], interval["high"]
    return _("no interval") if low is None or high is None else _("{low:.3f} to {high:.3f}", low=low, high=high)


def _said(interval: Interval, _: Locale) -> str:
    return f"{_plain(interval['value'], _)} ({_range(interval, _)})"
