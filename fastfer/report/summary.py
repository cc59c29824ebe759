"""The report's first words: the best run on each dataset, and what is not finished."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastfer.report.commands import train_command
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


def headlines(runs: Sequence[Run], labels: dict[str, str]) -> list[Headline]:
    """The run of the highest balanced accuracy on each dataset's own test set, in the order of the datasets' names."""
    datasets = sorted({run.result.dataset for run in runs if run.result})
    return [_headline(dataset, runs, labels) for dataset in datasets]


def _headline(dataset: str, runs: Sequence[Run], labels: dict[str, str]) -> Headline:
    tested = [(run, run.result) for run in runs if run.result and run.result.dataset == dataset]
    ranked = sorted(tested, key=lambda pair: -(pair[1].scores[_RANKED_BY]["value"] or 0.0))
    best, result = ranked[0]
    scores = result.scores
    sentences = [
        f"Accuracy is {_said(scores['accuracy'])}, macro F1 {_said(scores['macro_f1'])}, on {result.n:,} test faces; "
        f"guessing would give a balanced accuracy of {1 / len(result.per_class):.3f}."
    ]
    if len(ranked) > 1:
        second, other = ranked[1]
        value, low = other.scores[_RANKED_BY]["value"], scores[_RANKED_BY]["low"]
        within = low is not None and value is not None and value >= low
        sentences.append(
            f"Next of {len(ranked)} runs is {labels[second.name]} with {_plain(value)}, "
            f"{'inside' if within else 'below'} that interval."
        )
    sentences += [f"On {part.dataset} alone it reaches {_said(part.scores[_RANKED_BY])}." for part in best.parts]
    sentences += [
        f"On {met.dataset}, which it was not trained on, it reaches {_said(met.scores[_RANKED_BY])}."
        for met in best.cross
    ]
    return Headline(
        dataset=dataset,
        run=labels[best.name],
        value=_plain(scores[_RANKED_BY]["value"]),
        interval=_range(scores[_RANKED_BY]),
        sentences=tuple(sentences),
    )


def unfinished(runs: Sequence[Run]) -> list[Unfinished]:
    """The runs that were not tested yet."""
    return [
        Unfinished(name=run.name, state=_state(run), command=train_command(run)) for run in runs if run.result is None
    ]


def _state(run: Run) -> str:
    epochs = 0 if run.epochs is None else len(run.epochs)
    planned = run.config.get("epochs")
    return f"{epochs} of {planned} epochs are logged" if planned else f"{epochs} epochs are logged"


def _plain(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _range(interval: Interval) -> str:
    low, high = interval["low"], interval["high"]
    return "no interval" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _said(interval: Interval) -> str:
    return f"{_plain(interval['value'])} ({_range(interval)})"
