"""Tables for an article: what LaTeX gets is text and numbers, never a command from a file."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfer.report.latex import ESCAPES, escaped, latex
from fastfer.report.tables import Column, Table

NUMBERS = (
    Column(key="run", title="Run_1"),
    Column(key="up", title="Accuracy ↑", kind="score", best="high"),
    Column(key="down", title="Seconds ↓", kind="number", digits=1, best="low", absent="not measured"),
    Column(key="change", title="A − B", kind="difference"),
)
SPECIAL = re.compile(r"(?<!\\)[&%$#_{}~^]")
OURS = sorted(ESCAPES.values(), key=len, reverse=True)


def interval(value: float, low: float | None, high: float | None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high}


def rows_of(table: Table) -> list[list[str]]:
    body = latex(table).split(r"\midrule")[1].split(r"\bottomrule")[0].strip()
    return [line.removesuffix(r" \\").split(" & ") for line in body.splitlines()]


@pytest.fixture
def table() -> Table:
    records = [
        {"run": "50% & more", "up": interval(0.5, 0.4, 0.6), "down": 1.25, "change": interval(-0.1, -0.2, 0.05)},
        {"run": "b", "up": interval(0.75, None, None), "down": None, "change": interval(0.1, None, None)},
        {"run": "c", "up": interval(0.25, 0.2, 0.3), "down": 1000.0, "change": interval(0.0, -0.1, 0.1)},
    ]
    return Table(name="t", title="100% {wide}", columns=NUMBERS, records=records)


def test_the_best_is_bold_and_intervals_stand_beside_the_values(table: Table) -> None:
    assert rows_of(table) == [
        [r"50\% \& more", "0.500 (0.400--0.600)", r"\textbf{1.2}", r"$-$0.100 ([$-$0.200, +0.050])"],
        ["b", r"\textbf{0.750}", "not measured", "+0.100"],
        ["c", "0.250 (0.200--0.300)", "1,000.0", "+0.000 ([$-$0.100, +0.100])"],
    ]


def test_it_is_one_table_with_numbers_to_the_right(table: Table) -> None:
    text = latex(table)
    assert r"\begin{tabular}{lrrr}" in text
    assert r"\caption{100\% \{wide\}}" in text
    assert r"Run\_1 & Accuracy $\uparrow$ & Seconds $\downarrow$ & A $-$ B \\" in text
    for kind in ("table", "tabular"):
        assert text.count(rf"\begin{{{kind}}}") == text.count(rf"\end{{{kind}}}") == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("<script>alert(1)</script>", r"\textless{}script\textgreater{}alert(1)\textless{}/script\textgreater{}"),
        ("a & b_c #1 $5 ~ ^", r"a \& b\_c \#1 \$5 \textasciitilde{} \textasciicircum{}"),
        ("one\ntwo\r\n\tthree", "one two three"),
        ("\x00bell\x07\u2028end", "bell end"),
        ("a" + "\n\n" + r"\end{tabular}", r"a \textbackslash{}end\{tabular\}"),
        ("félicité 0.5–0.6", "félicité 0.5--0.6"),
        ("", ""),
    ],
)
def test_specials_are_text(text: str, expected: str) -> None:
    assert escaped(text) == expected


@given(st.text())
def test_nothing_that_is_escaped_is_a_command_or_leaves_its_line(text: str) -> None:
    rest = escaped(text)
    for ours in OURS:  # what `escaped` writes is the only thing that may be special
        rest = rest.replace(ours, " ")
    assert "\\" not in rest
    assert not SPECIAL.search(rest)
    assert rest.isprintable() or not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", rest)
    assert len(escaped(text).splitlines()) <= 1


def test_hostile_records_keep_a_row_a_line(table: Table) -> None:
    hostile = {**table.records[0], "run": "x \\\\ \n\\end{table}\u2028& y"}
    (row,) = rows_of(Table(name="t", title="t", columns=NUMBERS, records=[hostile]))
    assert row[0] == r"x \textbackslash{}\textbackslash{} \textbackslash{}end\{table\} \& y"


def test_every_table_of_a_report_is_written_as_latex_too(study: Any) -> None:
    folder = study.report / "tables"
    tables = {path.stem for path in folder.glob("*.csv")}
    assert {path.stem for path in folder.glob("*.tex")} == tables
    for name in tables:
        assert (folder / f"{name}.tex").read_text().startswith("\\begin{table}\n"), name
    page = (study.report / "index.html").read_text()
    assert set(re.findall(r'href="tables/([^"]+)\.tex"', page)) == tables - {"confusion"}  # a file only
