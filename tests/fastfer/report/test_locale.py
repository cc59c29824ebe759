"""The report in Portuguese: every label has its entry, and none stays English."""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

import fastfer.report
from fastfer.evaluation.metrics import METRICS
from fastfer.report import make_report
from fastfer.report.locale import ENGLISH, LOCALES, PORTUGUESE, Locale
from fastfer.report.page import TEMPLATES
from pipelines.errors import InputError
from tests.fastfer.report.conftest import write_result, write_run
from tests.fastfer.report.test_comparisons import write_pairs

MODULES = sorted(Path(fastfer.report.__file__).parent.glob("*.py"))
JOINT = "demo-rafdb+demo-expw"
ENGLISH_ONLY = {text for text, told in PORTUGUESE.items() if text != told}


def in_code(path: Path) -> list[str]:
    """The texts that a module gives to `_`."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    first = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "_" and call.args]
    return [argument.value for argument in first if isinstance(argument, ast.Constant)]


def in_template(path: Path) -> list[str]:
    return re.findall(r'\b_\("([^"]+)"', path.read_text())


def test_every_text_of_modules_and_templates_has_a_portuguese_one() -> None:
    texts = [text for path in MODULES for text in in_code(path)]
    texts += [text for path in TEMPLATES.glob("*.j2") for text in in_template(path)]
    texts += [metric.title for metric in METRICS]
    assert len(texts) > 80
    assert sorted(set(texts) - set(PORTUGUESE)) == []


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


def test_whatever_is_asked_for_while_a_report_is_made_has_an_entry(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing: set[str] = set()

    class Words(dict[str, str]):
        def get(self, text: str, default: str = "") -> str:  # type: ignore[override]
            if text not in PORTUGUESE:
                missing.add(text)
            return PORTUGUESE.get(text, default)

    monkeypatch.setitem(LOCALES, "pt", Locale("pt", Words()))
    write_pairs(tmp_path / "results", [("demo-rafdb-none", "demo-rafdb-online", "demo-rafdb", -0.05)])
    make_report(runs, tmp_path / "report", lang="pt", results=tmp_path / "results")
    assert missing == set()


def test_the_page_is_portuguese_throughout(runs: Path, tmp_path: Path, open_page: Callable[..., Any]) -> None:
    path = make_report(runs, tmp_path / "report", lang="pt")
    opened = open_page(path, width=390)
    assert opened.page.locator("html").get_attribute("lang") == "pt"
    for selector in ("h1", "h2", "nav a", "th button", "figcaption strong", ".section > p", "summary"):
        told = {text.strip() for text in opened.page.locator(selector).all_text_contents()}
        assert not told & ENGLISH_ONLY, selector
    headings = opened.page.locator("h2").all_text_contents()
    assert "Referência contra aumento de dados" in headings
    assert "Curvas e confusão" in headings
    assert "Acurácia balanceada ↑" in opened.page.locator(".chart svg.marks text").all_text_contents()
    assert r"\caption{Todas as execuções}" in (path.parent / "tables" / "runs.tex").read_text()
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
    assert opened.errors == []


def test_an_unknown_language_is_refused(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no locale 'xx': choose one of en, pt"):
        make_report(runs, tmp_path / "report", lang="xx")
