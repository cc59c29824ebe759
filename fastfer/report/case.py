"""The page about the datasets: is one less precise than the other? Text, tables and figures from `analysis.case`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from fastfer.analysis.case import TRAINING_FREE, Case, CaseConfig, Comparison, DatasetFacts
from fastfer.analysis.separability import DRAWS, Separability
from fastfer.analysis.statistics import Share
from fastfer.evaluation.metrics import normalised
from fastfer.report.case_parts import (
    class_matrix,
    comparison_table,
    noise_table,
    plane,
    separability_table,
    share_table,
    suspects_sheet,
)
from fastfer.report.case_text import Speaker
from fastfer.report.document import Document, Missing, Section
from fastfer.report.write import write_page
from pipelines.progress import Track, untracked

SIGNIFICANT: Final = 0.05
TOLD_SIZES: Final = ("medium", "large")
"""Effects worth a sentence; smaller ones stand in the table."""


def write_case(case: Case, config: CaseConfig, out: Path, *, speaker: Speaker, track: Track = untracked) -> Path:
    """Write the page, its figures and its tables into the folder `out`; returns the page's path.

    Raises:
        InputError: `out` holds something else.
    """
    names = ", ".join(config.datasets)
    document = Document(
        title=speaker.say("title", datasets=names), sections=list(_sections(case, config, speaker)), lang=speaker.locale
    )
    source = speaker.say("source", datasets=names, photographs=config.data_root, records=config.shards)
    return write_page(document, out, source=source, track=track)


def _sections(case: Case, config: CaseConfig, speaker: Speaker) -> Iterator[Section]:
    parts = [
        _photographs(case.compared, speaker),
        _queries(case.facts, speaker),
        _evidence(case.facts, speaker),
        _separability(case, speaker),
        _noise(case.facts, config, speaker),
    ]
    missing = [Missing(sentence=why, command=command) for why, command in case.missing]
    told = [(part.title, part.paragraphs) for part in parts if part.paragraphs]
    yield Section(title=speaker.say("summary"), groups=told, missing=missing)
    for part in parts:
        if part.figures or part.tables or part.pictures:
            yield replace(part, paragraphs=[])
    yield Section(title=speaker.say("how"), paragraphs=list(_methods(case, speaker)))


def _methods(case: Case, speaker: Speaker) -> Iterator[str]:
    yield speaker.say("how_shares")
    yield speaker.say("how_tests")
    if detectors := dict.fromkeys(one.evidence.detector for one in case.facts if one.evidence):
        yield speaker.say("how_evidence", detector=", ".join(detectors))
    for features, found in case.separability.items():
        per_class = next(iter(found.values())).per_class
        if features != TRAINING_FREE:
            yield speaker.say("how_network", features=features)
        yield f"{features}: {speaker.say('how_separability', per_class=per_class, draws=DRAWS)}"
    if any(one.noise for one in case.facts):
        yield speaker.say("how_noise")


def _photographs(compared: Sequence[Comparison], speaker: Speaker) -> Section:
    """The comparative table of the raw images, and a sentence on each difference that is no small one."""
    section = Section(title=speaker.say("photographs"))
    if not compared:
        return section
    names = list(compared[0].quartiles)
    section.tables = [comparison_table(compared, names, speaker)]
    alike = []
    for row in compared:
        if row.difference is None or row.p_adjusted is None:
            continue
        if row.p_adjusted >= SIGNIFICANT:
            alike.append(speaker.word(row.quantity))
        elif row.difference.size in TOLD_SIZES:
            section.paragraphs.append(_told_difference(row, names, speaker))
    if alike:
        section.paragraphs.append(
            speaker.say("no_difference", one=names[0], other=names[1], quantities=", ".join(alike))
        )
    return section


def _told_difference(row: Comparison, names: Sequence[str], speaker: Speaker) -> str:
    assert row.difference is not None
    assert row.p_adjusted is not None
    medians = [row.quartiles[name][1] or 0.0 for name in names]
    return speaker.say(
        "larger",
        quantity=speaker.word(row.quantity),
        one=names[0],
        other=names[1],
        one_median=speaker.number(medians[0], _digits(medians)),
        other_median=speaker.number(medians[1], _digits(medians)),
        size=speaker.word(row.difference.size),
        delta=speaker.number(row.difference.delta, 2),
        p=_p(row.p_adjusted, speaker),
    )


def _digits(values: Sequence[float]) -> int:
    return 0 if max(map(abs, values)) >= 100 else 2


def _p(p: float, speaker: Speaker) -> str:
    return f"< {speaker.number(0.001)}" if p < 0.001 else speaker.number(p)


def _shown(share: Share, speaker: Speaker) -> dict[str, Any]:
    parts = {"share": share.value, "low": share.low, "high": share.high}
    told = {name: "–" if value is None else speaker.percent(value) for name, value in parts.items()}
    return {**told, "n": speaker.number(share.n, 0)}


def _turned(share: Share) -> Share:
    """The share of the others."""
    assert share.value is not None
    assert share.low is not None
    assert share.high is not None
    return Share(share.n, 1 - share.value, 1 - share.high, 1 - share.low)


def _queries(facts: Sequence[DatasetFacts], speaker: Speaker) -> Section:
    section = Section(title=speaker.say("queries"))
    rows = []
    for one in facts:
        if one.queries is None:
            if one.photographs is not None:
                section.paragraphs.append(speaker.say("no_query", dataset=one.name))
            continue
        share = _turned(one.queries)
        rows.append((one.name, speaker.word("disagree"), share))
        section.paragraphs.append(speaker.say("query", dataset=one.name, **_shown(share, speaker)))
        section.figures.append(
            class_matrix(
                f"queries-{one.name}",
                normalised(one.queries_KK),
                title=speaker.word("query_matrix"),
                note=speaker.word("query_note"),
                subject=one.name,
                axes=(speaker.word("query_class"), speaker.word("label")),
                speaker=speaker,
            )
        )
    if rows:
        section.tables = [share_table("queries", speaker.say("queries"), rows, speaker)]
    return section


def _evidence(facts: Sequence[DatasetFacts], speaker: Speaker) -> Section:
    section = Section(title=speaker.say("evidence"))
    rows = []
    for one in facts:
        if one.evidence is None:
            continue
        rows.append((one.name, speaker.word("crowded"), one.evidence.crowded))
        rows += [(one.name, speaker.word(name), share) for name, share in one.evidence.not_so.items()]
        shares = one.evidence.not_so
        section.paragraphs += [
            speaker.say("crowded", dataset=one.name, **_shown(one.evidence.crowded, speaker)),
            speaker.say(
                "not_so",
                dataset=one.name,
                n=speaker.number(shares["is_largest"].n, 0),
                **{
                    place: "{share} ({low}–{high})".format(**_shown(shares[name], speaker))
                    for place, name in (
                        ("largest", "is_largest"),
                        ("central", "is_most_central"),
                        ("sharp", "is_sharpest"),
                    )
                },
            ),
        ]
    if rows:
        section.tables = [share_table("evidence", speaker.say("evidence"), rows, speaker)]
    return section


def _separability(case: Case, speaker: Speaker) -> Section:
    section = Section(title=speaker.say("separability"))
    if not case.separability:
        return section
    section.tables = [separability_table(case, speaker)]
    for features, found in case.separability.items():
        if len(found) == 2:
            section.paragraphs.append(_told_separability(features, found, speaker))
        section.figures += [
            class_matrix(
                f"pairs-{features}-{name}",
                one.pairs_KK,
                title=f"{speaker.word('pairs')}, {features}",
                note=speaker.word("pairs_note"),
                subject=name,
                axes=("", ""),
                speaker=speaker,
            )
            for name, one in found.items()
        ]
    section.figures += [plane(name, *drawn, speaker) for name, drawn in case.planes.items()]
    return section


def _told_separability(features: str, found: dict[str, Separability], speaker: Speaker) -> str:
    (one, first), (other, second) = sorted(
        ((name, of_one.measures["probe"]) for name, of_one in found.items()), key=lambda pair: -pair[1]["value"]
    )
    return speaker.say(
        "apart" if first["low"] > second["high"] else "not_apart",
        features=features,
        one=one,
        other=other,
        one_value=speaker.number(first["value"]),
        other_value=speaker.number(second["value"]),
    )


def _noise(facts: Sequence[DatasetFacts], config: CaseConfig, speaker: Speaker) -> Section:
    section = Section(title=speaker.say("noise"))
    known = [one for one in facts if one.noise is not None]
    for one in known:
        section.paragraphs += _told_noise(one, config, speaker)
        section.pictures.append(suspects_sheet(one, speaker))
    if len(known) == 2:
        section.paragraphs.append(_told_apart(known, speaker))
    if known:
        section.tables = [noise_table(known, speaker)]
    return section


def _told_noise(one: DatasetFacts, config: CaseConfig, speaker: Speaker) -> Iterator[str]:
    assert one.noise is not None
    assert one.faces is not None
    estimate = Share(n=len(one.faces), **one.noise.overall)
    yield speaker.say("wrong", dataset=one.name, probe=speaker.percent(one.noise.probe), **_shown(estimate, speaker))
    if one.judged is not None and one.judged.n:
        yield speaker.say("judged", dataset=one.name, **_shown(one.judged, speaker))
    else:
        yield speaker.say("not_judged", dataset=one.name, file=config.verdicts(one.name))


def _told_apart(known: Sequence[DatasetFacts], speaker: Speaker) -> str:
    (one, first), (other, second) = sorted(
        ((facts.name, facts.noise.overall) for facts in known if facts.noise), key=lambda pair: -pair[1]["value"]
    )
    return speaker.say("more_wrong" if first["low"] > second["high"] else "as_wrong", one=one, other=other)
