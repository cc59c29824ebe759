"""The performance report from made results: numbers, page, Markdown, documentation."""

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.machine import RESULTS
from benchmarks.report import sections, words
from benchmarks.report.docs import BEGIN, END, between_markers, docs_texts, write_docs
from benchmarks.report.floors import FLOORS
from benchmarks.report.found import CHAPTERS, find_results
from benchmarks.report.markdown import escaped
from benchmarks.report.ratios import bound, ratio
from benchmarks.report.sections import make_performance_report
from benchmarks.report.verbs import REPOSITORY
from benchmarks.report.write import write_performance_report
from benchmarks.schema import MEASURES, read_result
from fastfer.report.document import Document
from fastfer.report.locale import Locale
from fastfer.report.tables import Table, three_figures
from pipelines.errors import InputError
from tests.benchmarks import made

BEYOND_THE_EDGE = """() => [...document.querySelectorAll('body *')]
    .filter((one) => !one.closest('.scroll') && one.getBoundingClientRect().right > innerWidth + 0.5)
    .map((one) => one.outerHTML.slice(0, 100))"""
GPU = "Made GPU 80GB, 2 cores of Made Processor"
CPU = "2 cores of Made Processor"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.write_all(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def document(results: Path) -> Document:
    return make_performance_report([results])


@pytest.fixture(scope="module")
def page(document: Document, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_performance_report(document, tmp_path_factory.mktemp("report") / "performance", source="made results")


def table(document: Document, *words: str) -> Table:
    (found,) = [one for one in document.tables() if all(word in one.name for word in words)]
    return found


def titles(document: Document) -> list[str]:
    return [section.title for section in document.sections]


def section(document: Document, title: str) -> Any:
    (found,) = [one for one in document.sections if one.title == title]
    return found


def drawn(spec: dict[str, Any], layer: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that a layer of a chart draws."""
    rows: list[dict[str, Any]] = spec["datasets"][layer["data"]["name"]]
    return rows


def test_sections_come_in_order_with_what_is_absent_and_what_is_unknown(document: Document) -> None:
    loaders = [f"Loading, on {CPU}", f"Loading, on {GPU}"]
    assert titles(document) == [
        "Summary", "Faces", "Balancing", *loaders, "Augmentation", "Training", "Inference",
        "Scaling", made.HOSTILE, "How far from the floor", "Machines", "What could not run", "What was not measured",
        "How the numbers are made",
    ]  # fmt: skip
    for title, command in (("Faces", "make bench SUITE=faces"), ("Inference", "make bench SUITE=inference")):
        (missing,) = section(document, title).missing
        assert missing.command == command
    assert section(document, "Summary").missing == []  # a GPU was there


def test_without_a_gpu_the_report_says_so(tmp_path: Path) -> None:
    made.write(tmp_path, "a", made.loaders())
    (missing,) = section(make_performance_report([tmp_path]), "Summary").missing
    assert (missing.sentence, missing.command) == ("Nothing has been measured on a GPU yet", "make bench")


def test_the_files_hold_the_numbers_of_the_results(page: Path) -> None:
    (path,) = (page.parent / "tables").glob(f"loaders-{CPU.replace(' ', '-')}-Wide*rates.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = {row["contender"]: row for row in csv.DictReader(file)}
    entries = made.loaders().cases[0].contenders
    assert list(rows) == sorted(entries, key=lambda name: -entries[name].per_s.median)
    markdown = (page.parent / "performance.md").read_text(encoding="utf-8")
    for name, entry in entries.items():
        rate = entry.per_s
        told = tuple(float(rows[name][key]) for key in ("rate", "rate_low", "rate_high"))
        assert told == (rate.median, rate.low, rate.high)
        assert (int(rows[name]["repetitions"]), int(rows[name]["items"])) == (5, 1000)
        shown = f"{three_figures(rate.median)} ({three_figures(rate.low)}–{three_figures(rate.high)})"
        assert f"| {escaped(name)} | {entry.role} | {shown} |" in markdown
    assert float(rows["peer"]["ours"]) == entries["ours"].per_s.median / entries["peer"].per_s.median
    assert rows["ours"]["ours"] == ""
    memcpy = entries["limit: memcpy"].per_s.median
    assert float(rows["ours"]["of_0"]) == entries["ours"].per_s.median / memcpy


def test_what_was_not_measured_is_never_a_number(document: Document) -> None:
    measures = table(document, f"/ {CPU}", "Wide", "measures")
    by_name = {record["contender"]: record for record in measures.records}
    assert by_name["ours"]["power_w"] is None
    assert by_name["ours"]["pss_mib"] == 123.456
    titles_of = [column.title for column in measures.columns]
    cells = dict(zip(titles_of, measures.rows()[list(by_name).index("ours")], strict=True))
    assert cells["Power, W\u00a0↓"].text == "not measured"
    assert cells["Peak PSS of all processes, MiB\u00a0↓"].text == "123"
    sentences = [part.sentence for part in section(document, "What was not measured").missing]
    assert f"Loading, {CPU}: not measured of some or all contenders: GPU utilisation, share; Power, W" in sentences
    assert all("Training" not in sentence for sentence in sentences)


def test_what_was_measured_alike_is_told_once_with_what_each_case_has_of_its_own(document: Document) -> None:
    assert section(document, "Training").paragraphs[2:] == [
        "By a test. With batch 16. Repetitions of each contender: 2.",
        "resnet: model resnet50.",
        "vit: model vit_small.",
        "Training bf16: precision bf16.",
    ]
    growth = ["By a test. With batch 64. Repetitions of each contender: 2, 3."]
    assert section(document, "Scaling").paragraphs[2:] == growth
    wide, near = section(document, f"Loading, on {CPU}").groups
    assert wide == ("Wide rates", ["By a test. With batch 64. Repetitions of each contender: 5."])
    assert near[1] == [f"As {made.SPECIALS}. With batch 64. Repetitions of each contender: 3."]


def test_a_failed_contender_is_named_with_its_sentence(document: Document) -> None:
    groups = section(document, "What could not run").groups
    assert [heading for heading, _said in groups] == [f"Loading, {where}: Wide rates" for where in (CPU, GPU)]
    assert groups[0][1] == ["broken: it has ended; it said: <b>no such file</b> |"]


def test_the_summary_has_the_fastest_peer_and_the_limit_that_binds(document: Document) -> None:
    first = next(row for row in table(document, "summary").records if "Wide" in row["case"])
    assert (first["ours"], first["peer"], first["limit"]) == ("ours", "peer", "limit: memcpy")
    assert first["us"] == 1e6 / first["rate"]["value"]
    assert first["to_peer"]["low"] < first["to_peer"]["value"] < first["to_peer"]["high"]
    machines = {row["machine"] for row in table(document, "summary").records}
    assert {CPU, GPU} < machines
    assert not [row for row in table(document, "summary").records if "Growth" in row["case"]]  # a curve


def test_ours_above_all_limits_is_bound_by_the_highest() -> None:
    limits = {"slow": made.entry("limit", [2.0]), "less slow": made.entry("limit", [1.5])}
    assert bound(made.case("c", {"ours": made.entry("ours", [1.0]), **limits})) == "less slow"
    assert bound(made.case("c", {"ours": made.entry("ours", [1.0])})) is None


def test_cases_along_an_axis_become_curves_with_a_straight_line(document: Document) -> None:
    figures = {figure.title: figure for figure in section(document, "Scaling").figures}
    assert list(figures) == [
        "Growth by images", "Growth by images: Peak PSS of all processes",
        "Sharing by workers", "Sharing by workers: Peak PSS of all processes",
    ]  # fmt: skip

    def straight(title: str) -> dict[float, float]:
        spec = figures[title].spec
        return {row["at"]: row["value"] for row in drawn(spec, spec["layer"][0])}

    rate = made.scaling().cases[0].contenders["ours"].per_s.median
    assert straight("Growth by images") == {100: rate, 1000: rate, 10000: rate}
    assert straight("Growth by images: Peak PSS of all processes") == {100: 110, 1000: 1100, 10000: 11000}
    assert straight("Sharing by workers") == {1: 1000, 2: 2000, 4: 4000}
    encodings = [figure.spec["layer"][0]["encoding"] for figure in figures.values()]
    scales = [tuple(encoding[axis]["scale"].get("type", "linear") for axis in "xy") for encoding in encodings]
    # A proportion is straight where both axes are of one kind; the rates of a growing set are held against a level.
    assert scales == [("log", "linear"), ("log", "log"), ("log", "log"), ("linear", "linear")]
    places = [record["axis"] for record in table(document, "Growth", "rates").records]
    assert places == [100, 100, 1000, 1000, 10000, 10000]


def test_architectures_stand_side_by_side(document: Document) -> None:
    figures = {figure.title: figure for figure in section(document, "Training").figures}
    spec = figures["Training, by architecture: Peak GPU memory allocated (torch), MiB"].spec
    assert [(row["what"], row["value"]) for row in drawn(spec, spec)] == [("resnet", 812.5), ("vit", 2048.25)]
    assert "Training, by architecture: Epoch of RAF-DB's size, s" in figures
    assert "Training, by architecture: images a second" in figures
    assert "Training bf16, by architecture: images a second" in figures
    assert spec["datasets"] != figures["Training bf16, by architecture: images a second"].spec["datasets"]
    rows = table(document, "Training bf16", "rates").records
    assert [(row["arch"], row["contender"]) for row in rows] == [
        ("resnet", "ours"), ("resnet", "plain"), ("vit", "ours"), ("vit", "plain"),
    ]  # fmt: skip
    assert [row["allocated_mib"] for row in table(document, "Training bf16", "measures").records[::2]] == [512.5, 999.0]
    assert len([one for one in document.tables() if one.name.startswith("training /")]) == 4
    summed = [row["case"] for row in table(document, "summary").records if "Training" in row["case"]]
    assert summed == [f"Training: Training {case}" for case in ("resnet", "vit", "resnet, bf16", "vit, bf16")]


def test_cases_of_one_architecture_the_same_one_twice_or_measured_otherwise_stand_alone(tmp_path: Path) -> None:
    resnet, vit, _, vit_bf16 = made.training().cases
    cases = [resnet, resnet, vit.model_copy(update={"how": "Otherwise."}), vit_bf16]
    path = made.write(tmp_path, "a", made.result("training", *cases))
    (found,) = find_results([path.parent])
    names = ["Training resnet", "Training resnet (2)", "Training vit", "Training vit, bf16"]
    assert [group.name for group in found.groups()] == names
    assert not any(group.by_arch for group in found.groups())


@pytest.mark.parametrize("width", [1200, 390])
def test_the_page_opens_and_shows_hostile_names_as_text(
    page: Path, document: Document, open_page: Callable[..., Any], width: int
) -> None:
    opened = open_page(page, width=width)
    assert opened.page.locator(".chart svg.marks").count() == len(list(document.figures())) > 10
    assert opened.page.locator("script").count() == 3
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width
    assert opened.page.evaluate(BEYOND_THE_EDGE) == []
    assert made.HOSTILE in opened.page.locator("h2").all_inner_texts()
    assert opened.page.locator("td", has_text=made.SPECIALS).count() > 0
    assert opened.errors == []
    assert opened.requests == [page.as_uri()]


def test_every_figure_and_table_is_a_file(page: Path, document: Document) -> None:
    folder = page.parent
    for kind in ("pdf", "png", "svg"):
        assert len(list((folder / "figures").glob(f"*.{kind}"))) == len(list(document.figures()))
    for kind in ("csv", "tex"):
        assert len(list((folder / "tables").glob(f"*.{kind}"))) == len(list(document.tables()))
    markdown = (folder / "performance.md").read_text(encoding="utf-8")
    pictures = re.findall(r"^!\[.*\]\((figures/[^)]+)\)$", markdown, re.MULTILINE)
    assert len(pictures) == len(list(document.figures()))
    assert all((folder / picture).is_file() for picture in pictures)
    assert "<script>" not in markdown
    latex = "".join(path.read_text(encoding="utf-8") for path in (folder / "tables").glob("*.tex"))
    assert r"50\% of \textbackslash{}textbf\{x\} \& a\_b" in latex


@given(st.text())
def test_escaped_text_is_neither_markup_nor_a_new_cell(text: str) -> None:
    told = escaped(text)
    assert not re.search(r"[<>\n]", told)
    assert not re.search(r"(?<!\\)(\\\\)*[|`*_\[\]]", told)


RATES = st.lists(st.floats(0.01, 100), min_size=1, max_size=6)


@given(RATES, RATES)
def test_a_ratio_lies_in_its_interval_and_within_what_was_seen(above: list[float], below: list[float]) -> None:
    found = ratio(made.entry("ours", above), made.entry("peer", below))
    least, most = min(below) / max(above), max(below) / min(above)
    near = 1 + 1e-9
    assert least / near <= found["low"] <= found["high"] <= most * near
    same = ratio(made.entry("ours", above), made.entry("ours", above))
    assert same["value"] == 1
    assert same["low"] <= 1 <= same["high"]


def test_no_results_are_refused_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no result of a benchmark in .*nowhere: make bench"):
        find_results([tmp_path / "nowhere"])
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(InputError, match=r"bad\.json is no result"):
        find_results([tmp_path])
    with pytest.raises(InputError, match="no locale 'xx'"):
        make_performance_report([tmp_path], "xx")


def test_a_quick_run_and_a_second_run_on_a_machine_are_told_apart(tmp_path: Path) -> None:
    made.write(tmp_path / "a", "a", made.loaders())
    made.write(tmp_path / "b", "a", made.loaders())
    made.write(tmp_path / "c", "a", made.loaders().model_copy(update={"quick": True}))
    labels = [one.label for one in find_results([tmp_path / name for name in "abc"])]
    assert labels == [CPU, f"{CPU}, 2026-01-02", f"{CPU}, quick look"]


def test_floors_are_made_of_measured_rows(tmp_path: Path) -> None:
    title = "From records to uint8 batches"
    rows = {"fastfer, resident": made.entry("ours", [0.02]), "limit: memcpy": made.entry("limit", [0.01])}
    made.write(tmp_path, "a", made.result("loaders", made.case(title, rows)))
    alone = {"fastfer, compiled": made.entry("ours", [0.1])}
    made.write(tmp_path, "b", made.result("augment", made.case("Augmentation alone", alone)))
    first, second = table(make_performance_report([tmp_path]), "floors").records
    assert (first["us"], first["floor_us"], first["times"]) == pytest.approx((20, 10, 2))
    assert (second["us"], second["floor_us"], second["times"]) == pytest.approx((100, 25, 4))  # 2.5 times the bytes


TEXT = f"before\n{BEGIN}\nold\n{END}\nafter\n"


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    assert between_markers(TEXT, "| new |", "x.md") == f"before\n{BEGIN}\n| new |\n{END}\nafter\n"


@pytest.mark.parametrize(
    "text", ["", BEGIN, END, f"{END}{BEGIN}", TEXT * 2, TEXT.replace(END, ""), TEXT.replace(BEGIN, END)]
)
def test_markers_that_are_missing_or_out_of_order_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"x\.md must hold"):
        between_markers(text, "| new |", "x.md")


def test_when_one_file_cannot_be_written_none_is(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    good, bad = tmp_path / "docs" / "performance.md", tmp_path / "README.md"
    good.write_text(TEXT)
    results = tmp_path / "results"
    made.write(results, "a", made.result("faces", made.case("One", {"ours": made.entry("ours", [1.0])})))
    for text, said in ((None, "cannot be read"), ("", "must hold")):
        if text is not None:
            bad.write_text(text)
        with pytest.raises(InputError, match=rf"README\.md {said}"):
            write_docs(tmp_path, results)
        assert good.read_text() == TEXT


def test_the_documentation_is_written_and_then_stays(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name in ("docs/performance.md", "README.md"):
        (tmp_path / name).write_text(TEXT)
    results = made.write_all(tmp_path / "results")
    paths = write_docs(tmp_path, results)
    texts = [path.read_text(encoding="utf-8") for path in paths]
    assert all("Wide rates" in text and "old" not in text for text in texts)
    write_docs(tmp_path, results)
    assert [path.read_text(encoding="utf-8") for path in paths] == texts


def test_the_committed_documentation_says_what_the_committed_results_say() -> None:
    for path, text in docs_texts(REPOSITORY, REPOSITORY / RESULTS).items():
        told = path.read_text(encoding="utf-8")
        assert told == text, f"{path.name} is out of date: make bench-report"


def test_every_text_of_the_report_has_a_portuguese_one(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()

    class Words(dict[str, str]):
        def get(self, text: str, default: str = "") -> str:  # type: ignore[override]
            asked.add(text)
            return super().get(text, default)

    known = words.locale_of("pt")
    monkeypatch.setattr(sections, "locale_of", lambda lang: Locale(lang, Words(known.words)))
    document = make_performance_report([results], "pt")
    constants = {kind.title for kind in MEASURES.values()} | {kind.unit for kind in MEASURES.values() if kind.unit}
    constants |= {text for chapter in CHAPTERS.values() for text in chapter} | {floor.arithmetic for floor in FLOORS}
    assert len(asked) > 80
    of_the_files = {"By a test.", f"As {made.SPECIALS}."}
    assert sorted((asked | constants) - known.words.keys() - of_the_files) == []
    assert document.lang == "pt"
    assert "O que não foi medido" in titles(document)
    rates = table(document, "/ 2 núcleos de Made Processor /", "Near", "rates")
    assert rates.columns[2].title == "Imagens/s\u00a0↑"


def test_what_the_committed_results_say_has_a_portuguese_text() -> None:
    marked = Locale("pt", dict.fromkeys(words.locale_of("pt").words, "<told>"))
    for path in sorted((REPOSITORY / RESULTS).glob("*.json")):
        for case in read_result(path).cases:
            assert words.title_told(case.title, marked).startswith("<told>")
            named = {case.how, *case.settings, *([case.axis.name] if case.axis else [])}
            assert {words.told(text, marked) for text in named} == {"<told>"}


def test_a_title_is_told_as_far_as_it_is_known() -> None:
    locale = Locale("pt", {"Inference": "Inferência", "Inference in batches": "Inferência em lotes"})
    titles = ["Inference in batches, vit", "Inference, vit", "Inferences", "Ours {0}"]
    told = ["Inferência em lotes, vit", "Inferência, vit", "Inferences", "Ours {0}"]
    assert [words.title_told(title, locale) for title in titles] == told


def test_translations_take_the_same_values() -> None:
    def fields(text: str) -> list[str]:
        return sorted(re.findall(r"{[^}]*}", text))

    assert [text for text, told in words.WORDS["pt"].items() if fields(text) != fields(told)] == []
