"""The performance report's sections: a summary, one for each result, floors, machines, what failed or is missing."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.report.figures import group_figures
from benchmarks.report.floors import floors_table
from benchmarks.report.found import ARCH, CHAPTERS, Found, Group, find_results
from benchmarks.report.tables import (
    chapter_title,
    machines_table,
    measure_title,
    measures_table,
    rates_table,
    summary_table,
    versions_table,
)
from benchmarks.report.words import locale_of, title_told, told
from benchmarks.schema import MEASURES, Case, Scalar
from fastfer.report.document import Document, Missing, Section
from fastfer.report.latex import one_line
from fastfer.report.locale import Locale
from fastfer.report.tables import three_figures

BENCH: Final = "make bench SUITE={suite}"
METHODS: Final = (
    "The contenders of a case run in turn (A B A B ...), after a warm-up, in one run on one machine, so that a slow "
    "minute hits all of them. A rate is the median over repetitions.",
    "Intervals of rates are 95% percentile bootstrap intervals of the median over repetitions (Efron and Tibshirani, "
    "1993); of two or three repetitions they are about their range.",
    "A ratio is that of two medians; its interval draws the repetitions of both anew, each by themselves, 2,000 times.",
    "Peaks of memory are the highest seen while the contender ran; what could not be measured is left empty, and is "
    "never 0 or an estimate.",
)


def make_performance_report(folders: Sequence[Path], lang: str = "en") -> Document:
    """The performance section of the article, from the result files in some folders.

    Raises:
        InputError: there is no such language, a file is no result, or there is none.
    """
    _ = locale_of(lang)
    found = find_results(folders, _)
    return Document(title=_("Performance"), sections=list(_sections(found, _)), lang=lang)


def _sections(found: Sequence[Found], _: Locale) -> Iterator[Section]:
    yield _summary(found, _)
    measured = {one.result.suite for one in found}
    for suite in [*CHAPTERS, *sorted(measured - CHAPTERS.keys())]:
        results = [one for one in found if one.result.suite == suite]
        for one in results:
            yield _chapter(one, _, alone=len(results) == 1)
        if not results:
            yield _absent(suite, _)
    yield _floors(found, _)
    yield Section(title=_("Machines"), tables=[machines_table(found, _), versions_table(found, _)])
    yield _failed(found, _)
    yield _unmeasured(found, _)
    yield Section(title=_("How the numbers are made"), paragraphs=[_(sentence) for sentence in METHODS])


def _summary(found: Sequence[Found], _: Locale) -> Section:
    section = Section(
        title=_("Summary"),
        paragraphs=[
            _(
                "What ours does in each case, beside the fastest peer and the limit that binds it, each measured in "
                "the same run. Machines are not compared with one another, and curves stand in their chapters."
            )
        ],
        tables=[summary_table(found, _)],
    )
    if all(one.result.machine.device is None for one in found):
        section.missing.append(Missing(sentence=_("Nothing has been measured on a GPU yet"), command="make bench"))
    return section


def _absent(suite: str, _: Locale) -> Section:
    missing = Missing(sentence=_("This has not been measured yet"), command=BENCH.format(suite=suite))
    return Section(title=_(CHAPTERS[suite].title), paragraphs=[_(CHAPTERS[suite].asks)], missing=[missing])


def _chapter(found: Found, _: Locale, *, alone: bool) -> Section:
    title = chapter_title(found, _)
    section = Section(title=title if alone else _("{chapter}, on {machine}", chapter=title, machine=found.label))
    if found.result.suite in CHAPTERS:
        section.paragraphs.append(_(CHAPTERS[found.result.suite].asks))
    section.paragraphs.append(_("On {machine}.", machine=found.label))
    if found.result.quick:
        section.paragraphs.append(_("This was a quick run, with small data and few repetitions: a look, not evidence."))
    groups = found.groups(_)
    how = list(_how(groups, _))
    if len(how) == 1:
        section.paragraphs += how[0][1]
    else:
        section.groups += how
    for group in groups:
        name = " / ".join((found.result.suite, found.label, group.name))
        section.figures += group_figures(name, found.label, group, _)
        if any(case.contenders for case in group.cases):
            section.tables.append(rates_table(f"{name} rates", group.name, group, _))
            about = _("{case}: what else it took", case=group.name)
            measures = measures_table(f"{name} measures", about, group, _)
            section.tables += [measures] if measures else []
    return section


def _how(groups: Sequence[Group], _: Locale) -> Iterator[tuple[str, list[str]]]:
    """How numbers were obtained: of groups that were measured alike what they share, then what each has of its own."""
    by_how: dict[str, list[Group]] = {}
    for group in groups:
        by_how.setdefault(group.cases[0].how, []).append(group)
    for how, alike in by_how.items():
        cases = [case for group in alike for case in group.cases]
        shared = _shared(cases)
        counts = sorted({len(entry.seconds) for case in cases for entry in case.contenders.values()})
        sentences = [told(how, _), *([_("With {settings}.", settings=_settings(shared, _))] if shared else [])]
        if counts:
            sentences.append(_("Repetitions of each contender: {counts}.", counts=", ".join(map(str, counts))))
        own = dict.fromkeys(line for group in alike for line in _own(group, shared, _))
        yield "; ".join(group.name for group in alike), [" ".join(sentences), *own]


def _own(group: Group, shared: Collection[str], _: Locale) -> Iterator[str]:
    """The settings that a group has beside the `shared` ones, and each architecture beside those."""
    of_group = _shared(group.cases, besides=shared)
    told_before = {*shared, *of_group, ARCH}
    own = {group.name: of_group}
    if group.by_arch:
        own |= {str(case.settings[ARCH]): _shared([case], besides=told_before) for case in group.cases}
    return (f"{name}: {_settings(settings, _)}." for name, settings in own.items() if settings)


def _shared(cases: Sequence[Case], besides: Collection[str] = ()) -> dict[str, Scalar]:
    """The settings that all cases have alike, without those that say nothing and those named in `besides`."""
    return {
        key: value
        for key, value in cases[0].settings.items()
        if key not in besides and value not in ("", None) and all(case.settings.get(key) == value for case in cases)
    }


def _settings(values: Mapping[str, Scalar], _: Locale) -> str:
    return ", ".join(f"{told(key, _)} {_setting(value)}" for key, value in values.items())


def _setting(value: Scalar) -> str:
    if isinstance(value, float):
        return three_figures(value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _floors(found: Sequence[Found], _: Locale) -> Section:
    table = floors_table(found, _)
    section = Section(
        title=_("How far from the floor"),
        paragraphs=[
            _(
                "The least an image can take by arithmetic: the bytes it must move at the bandwidth that a plain copy "
                "reaches on the same machine, or its decoding by libjpeg-turbo in C."
            )
        ],
    )
    if table.records:
        section.tables.append(table)
    else:
        sentence = _("No stage was measured on a machine whose limits are known")
        section.missing.append(Missing(sentence=sentence, command=BENCH.format(suite="loaders")))
    return section


def _failed(found: Sequence[Found], _: Locale) -> Section:
    section = Section(title=_("What could not run"))
    for one in found:
        for case in one.result.cases:
            if case.failed:
                heading = f"{chapter_title(one, _)}, {one.label}: {title_told(case.title, _)}"
                section.groups.append((heading, [f"{name}: {one_line(why)}" for name, why in case.failed.items()]))
    if not section.groups:
        section.paragraphs.append(_("Every contender ran."))
    return section


def _unmeasured(found: Sequence[Found], _: Locale) -> Section:
    """Figures that a suite looks for and did not get, by result."""
    section = Section(title=_("What was not measured"))
    for one in found:
        entries = [entry for case in one.result.cases for entry in case.contenders.values()]
        absent = [key for key in MEASURES if any(entry.measures.get(key, 0) is None for entry in entries)]
        if absent:
            sentence = _(
                "{chapter}, {machine}: not measured of some or all contenders: {measures}",
                chapter=chapter_title(one, _),
                machine=one.label,
                measures="; ".join(measure_title(key, _) for key in absent),
            )
            section.missing.append(Missing(sentence=sentence, command=BENCH.format(suite=one.result.suite)))
    if not section.missing:
        section.paragraphs.append(_("Every figure that was looked for was measured."))
    return section
