"""Sections that another program adds to the report."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fastfer.report import make_report
from fastfer.report.charts import Figure
from fastfer.report.document import Missing, Section
from fastfer.report.sections_file import read_sections, sections_text
from fastfer.report.tables import Column, Table
from pipelines.errors import InputError

HOSTILE = "<script>alert(1)</script>"
SPEC = {
    "data": {"values": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]},
    "mark": {"type": "bar"},
    "encoding": {"x": {"field": "a", "type": "quantitative"}, "y": {"field": "b", "type": "nominal"}},
}


def a_section() -> Section:
    columns = (Column(key="name", title="Loader"), Column(key="rate", title="Images/s ↑", kind="score", best="high"))
    records = [{"name": HOSTILE, "rate": {"value": 3.0, "low": 2.5, "high": 3.5}}]
    return Section(
        title=f"Loading {HOSTILE}",
        paragraphs=["Measured."],
        missing=[Missing(sentence="Not measured: training", command="make bench")],
        figures=[Figure(name="bench-loaders", title="Rates", note="Higher is better ↑.", spec=SPEC)],
        tables=[Table(name="bench-loaders", title="Rates", columns=columns, records=records)],
    )


def test_what_is_written_is_read_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "sections.json").write_text(sections_text([a_section()]))
    assert read_sections(tmp_path / "sections.json") == [a_section()]


def test_they_stand_in_the_report_as_text(
    tmp_path: Path, write_run: Callable[..., Path], open_page: Callable[..., Any]
) -> None:
    write_run(tmp_path / "runs")
    (tmp_path / "sections.json").write_text(sections_text([a_section()]))
    page = make_report(tmp_path / "runs", tmp_path / "page", performance=tmp_path / "sections.json")
    opened = open_page(page)
    assert opened.errors == []
    section = opened.page.locator("#performance-1")
    assert section.locator("h2").inner_text() == f"Performance: Loading {HOSTILE}"
    assert section.locator(".chart svg.marks").count() == 1
    assert "Not measured: training: make bench" in section.inner_text()
    assert (tmp_path / "page" / "tables" / "bench-loaders.csv").is_file()


def test_without_the_file_the_report_says_what_makes_it(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    write_run(tmp_path / "runs")
    page = make_report(tmp_path / "runs", tmp_path / "page", performance=tmp_path / "sections.json")
    assert "<code>make bench-report</code>" in page.read_text()


@pytest.mark.parametrize("content", ["", "{", "{}", '[{"title": 1}]', '[{"title": "x", "figures": 1}]', "\x00"])
def test_another_file_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "sections.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"sections\.json"):
        read_sections(path)


def test_a_chart_that_would_load_something_is_refused(tmp_path: Path) -> None:
    section = a_section()
    spec = SPEC | {"data": {"url": "file:///etc/passwd"}}
    section.figures = [replace(section.figures[0], spec={"layer": [spec]})]
    (tmp_path / "sections.json").write_text(sections_text([section]))
    with pytest.raises(InputError, match="would load data from elsewhere"):
        read_sections(tmp_path / "sections.json")
