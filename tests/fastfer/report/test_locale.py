"""The pages in Portuguese: every text has its entry, no entry is left over, and nothing on a page stays English."""

import ast
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import polars as pl
import pytest

import fastfer.report
from fastfer.analysis.photographs import MEASURES
from fastfer.datasets import Source
from fastfer.evaluation.metrics import METRICS
from fastfer.faces import images
from fastfer.faces.extract import HOW
from fastfer.labels import CLASSES
from fastfer.report import DataFolders, make_report
from fastfer.report.case_text import TEXT, WORDS
from fastfer.report.document import Document
from fastfer.report.eda import make_eda
from fastfer.report.locale import ENGLISH, LOCALES, Locale
from fastfer.report.page import TEMPLATES
from fastfer.report.selection import NO_DETECTOR, STAGES, UNKNOWN, funnel_section
from fastfer.report.words import PAGES_PT, PORTUGUESE
from fastfer.report.write import write_page
from pipelines.augment import STRONG
from pipelines.errors import InputError
from pipelines.records import SPLITS
from tests.fastfer.conftest import DEMO_SETS
from tests.fastfer.report.conftest import write_result, write_run
from tests.fastfer.report.test_comparisons import write_pairs

MODULES = sorted(Path(fastfer.report.__file__).parent.glob("*.py"))
JOINT = "demo-rafdb+demo-expw"
NAMES = {*CLASSES, *(name.capitalize() for name in CLASSES)}
"""They stay as they are."""
ENGLISH_ONLY = [text for text, told in PORTUGUESE.items() if text != told and text not in NAMES]
ENGLISH_WORDS = re.compile(r"\b(the|of|and|with|by|is|are|each|share|split|all|from|to)\b", re.IGNORECASE)
"""No Portuguese sentence has them, whatever the tables of words say."""
TEXT_NODES = """() => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
    while (walker.nextNode())
        if (!walker.currentNode.parentElement.closest('script, style, code, .made, .files'))
            found.push(walker.currentNode.textContent.replaceAll(/\\s+/g, ' ').trim());
    return found.filter(Boolean);
}"""


def constants(node: ast.AST) -> Iterator[str]:
    for one in ast.walk(node):
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield one.value


def in_code(path: Path) -> list[str]:
    """The texts that a module gives to `_`."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    first = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "_" and call.args]
    return [argument.value for argument in first if isinstance(argument, ast.Constant)]


def in_template(path: Path) -> list[str]:
    return re.findall(r'\b_\("([^"]+)"', path.read_text())


def unreadable() -> Iterator[str]:
    """Why an image cannot be read, in all ways."""
    for node in ast.walk(ast.parse(Path(images.__file__).read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "UnreadableImageError":
            yield from constants(node.args[0])


def of_tables() -> set[str]:
    """Texts that pages show from tables of names elsewhere."""
    return {
        *(metric.title for metric in METRICS),
        *(measure.title for measure in MEASURES),
        *(operation.name.replace("_", " ") for operation in STRONG.operations),
        *(limits.name for operation in STRONG.operations for limits in operation.ranges),
        *unreadable(),
        *HOW,
        *SPLITS,
        *STAGES,
        *(stage.capitalize() for stage in (*STAGES, "missed")),
        *TEXT.values(),
        *WORDS.values(),
        UNKNOWN,
        NO_DETECTOR,
    }


def test_every_text_of_modules_and_templates_has_a_portuguese_one() -> None:
    texts = [text for path in MODULES for text in in_code(path)]
    texts += [text for path in TEMPLATES.glob("*.j2") for text in in_template(path)]
    assert len(texts) > 150
    assert sorted({*texts, *of_tables()} - set(PORTUGUESE)) == []


def test_no_entry_is_left_over() -> None:
    texts = {text for path in MODULES for text in constants(ast.parse(path.read_text()))}
    texts |= {part for text in texts for part in ENGLISH.parts(text)}
    texts |= {text.replace("_", " ").capitalize() for text in texts}
    texts |= {text for path in TEMPLATES.glob("*.j2") for text in in_template(path)}
    assert sorted(set(PORTUGUESE) - texts - of_tables()) == []


def test_no_text_has_two_entries() -> None:
    assert sum(len(page.WORDS) for page in PAGES_PT) == len(PORTUGUESE)


@pytest.mark.parametrize("text", PORTUGUESE)
def test_a_translation_takes_the_same_values(text: str) -> None:
    fields = [{(name, form) for _, name, form, _ in Formatter().parse(one) if name} for one in (text, PORTUGUESE[text])]
    assert fields[0] == fields[1]


def test_values_are_never_taken_for_text_to_translate_or_fill_in() -> None:
    assert LOCALES["pt"]("Best on {dataset}", dataset="{x} Runs") == "Melhor em {x} Runs"
    assert ENGLISH("Best on {dataset}", dataset="a") == "Best on a"


def test_a_heading_is_translated_word_by_word() -> None:
    assert LOCALES["pt"].heading("Loader wait, share\u00a0↓") == "Espera do carregador, fração\u00a0↓"
    assert ENGLISH.heading("Loader wait, share ↓") == "Loader wait, share ↓"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every section has something to show, and an unfinished run lacks something."""
    folder = tmp_path_factory.mktemp("locale") / "runs"
    for dataset in ("demo-rafdb", JOINT):
        for aug in ("none", "online"):
            run = write_run(folder, dataset=dataset, aug=aug, name=f"{dataset}-{aug}", cross=["demo-expw"])
            write_result(run / "cross" / "demo-rafdb", "demo-rafdb")
    write_run(folder, arch="vit", finished=False, epochs=0, name="unfinished")
    return folder


class Asked(dict[str, str]):
    """The words in Portuguese, which also notes what it was asked for and has not."""

    def __init__(self) -> None:
        super().__init__(PORTUGUESE)
        self.missing: set[str] = set()

    def get(self, text: str, default: str = "") -> str:  # type: ignore[override]
        if text not in self and text not in NAMES:
            self.missing.add(text)
        return super().get(text, default)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    words = Asked()
    monkeypatch.setitem(LOCALES, "pt", Locale("pt", words))
    return words


def left_in_english(path: Path, open_page: Callable[..., Any]) -> list[str]:
    """Texts of a page that are English, by the tables of words or by their own words."""
    opened = open_page(path, width=390)
    assert opened.page.locator("html").get_attribute("lang") == "pt"
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
    assert opened.errors == []
    told = set(opened.page.evaluate(TEXT_NODES))
    assert len(told) > 5
    patterns = [re.sub(r"\\{.+?\\}", ".+", re.escape(text)) for text in ENGLISH_ONLY]
    known = re.compile("|".join(patterns))
    return sorted(text for text in told if known.fullmatch(text) or ENGLISH_WORDS.search(text))


def test_whatever_is_asked_for_while_a_report_is_made_has_an_entry(
    raw: Path, shards: Path, runs: Path, tmp_path: Path, asked: Asked
) -> None:
    write_pairs(tmp_path / "results", [("demo-rafdb-none", "demo-rafdb-online", "demo-rafdb", -0.05)])
    make_report(
        runs,
        tmp_path / "report",
        lang="pt",
        results=tmp_path / "results",
        data=DataFolders(data_root=raw, shards=shards),
        performance=tmp_path / "sections.json",
    )
    assert asked.missing == set()


def test_the_report_is_portuguese_throughout(runs: Path, tmp_path: Path, open_page: Callable[..., Any]) -> None:
    path = make_report(runs, tmp_path / "report", lang="pt")
    opened = open_page(path, width=390)
    assert opened.page.locator("html").get_attribute("lang") == "pt"
    for selector in ("h1", "h2", "nav a", "th button", "figcaption strong", ".section > p", "summary"):
        told = {text.strip() for text in opened.page.locator(selector).all_text_contents()}
        assert not told & set(ENGLISH_ONLY), selector
    headings = opened.page.locator("h2").all_text_contents()
    assert "Referência contra aumento de dados" in headings
    assert "Curvas e confusão" in headings
    assert "Acurácia balanceada ↑" in opened.page.locator(".chart svg.marks text").all_text_contents()
    assert r"\caption{Todas as execuções}" in (path.parent / "tables" / "runs.tex").read_text()
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
    assert opened.errors == []


def test_the_page_about_the_data_is_portuguese_throughout(
    raw: Path, shards: Path, tmp_path: Path, open_page: Callable[..., Any], asked: Asked
) -> None:
    shutil.copytree(shards, tmp_path / "shards")  # the page leaves a file there
    sources = [Source(dataset=name, root=raw / name) for name in DEMO_SETS]
    sources.append(Source(dataset="rafdb", root=tmp_path / "nowhere"))
    path = make_eda(sources, tmp_path / "shards", tmp_path / "page", lang="pt")
    assert asked.missing == set()
    assert left_in_english(path, open_page) == []
    page = path.read_text()
    assert "As fotografias de rafdb não podem ser lidas: <code>make check DATASET=rafdb DATA_ROOT=&lt;sua pasta" in page
    assert "Esta parte precisa dos registros pré-processados de rafdb: <code>make shards DATASET=rafdb" in page
    classes = pl.read_csv(path.parent / "tables" / "eda-classes.csv")
    assert classes.columns[2:9] == list(CLASSES)
    assert set(classes["split"]) == {"treinamento", "validação", "teste", "treinamento, balanceado"}


def test_the_funnel_is_portuguese_throughout(
    shards: Path, tmp_path: Path, open_page: Callable[..., Any], asked: Asked
) -> None:
    sections = [funnel_section(shards, dataset, LOCALES["pt"]) for dataset in (*DEMO_SETS, "rafdb")]
    document = Document(title="Funil", sections=sections, lang="pt")
    path = write_page(document, tmp_path / "page", source="registros")
    assert asked.missing == set()
    assert left_in_english(path, open_page) == []
    assert "Como as faces de demo-expw foram escolhidas" in path.read_text()
    svg = (path.parent / "figures" / "funnel-demo-expw.svg").read_text(encoding="utf-8")
    assert all(f">{word}" in svg for word in ("happiness", "todas", "encontradas", "legíveis"))


def test_an_unknown_language_is_refused(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no locale 'xx': choose one of en, pt"):
        make_report(runs, tmp_path / "report", lang="xx")
