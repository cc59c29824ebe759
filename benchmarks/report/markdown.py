"""A document of sections as Markdown, for a repository's pages and for whoever writes the article."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from fastfer.report.document import Document, Section
from fastfer.report.latex import one_line
from fastfer.report.tables import Cell, Column, Table

SPECIAL: Final = re.compile(r"([\\`*_{}\[\]|~#])")


def escaped(text: str) -> str:
    """Text as Markdown shows it: neither markup nor HTML nor the end of a cell, and on one line."""
    plain = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(r"\\\1", plain)


def markdown(document: Document, figure_files: Mapping[str, str]) -> str:
    """The whole document.

    Args:
        document: what to say.
        figure_files: paths of the figures' pictures, by the figures' names; figures without one are left out.
    """
    blocks = [f"# {escaped(document.title)}"]
    for section in document.sections:
        blocks += section_blocks(section, figure_files)
    return "\n\n".join(blocks) + "\n"


def section_blocks(section: Section, figure_files: Mapping[str, str]) -> Iterator[str]:
    """A section's blocks, between which an empty line stands."""
    yield f"## {escaped(section.title)}"
    yield from map(escaped, section.paragraphs)
    for heading, paragraphs in section.groups:
        yield f"### {escaped(heading)}"
        yield from map(escaped, paragraphs)
    yield from (f"*{escaped(part.sentence)}:* `{one_line(part.command)}`" for part in section.missing)
    for figure in section.figures:
        if figure.name in figure_files:
            yield f"![{escaped(figure.full_title)}]({figure_files[figure.name]})"
            yield escaped(figure.note)
    for table in section.tables:
        yield f"### {escaped(table.title)}"
        yield table_block(table)


def table_block(table: Table) -> str:
    """The table, numbers to the right, intervals in brackets behind them."""
    heads = [escaped(column.title) for column in table.columns]
    rows = [[_cell(cell) for cell in row] for row in table.rows()]
    return "\n".join(map(_line, [heads, [_rule(column) for column in table.columns], *rows]))


def _rule(column: Column) -> str:
    return "---" if column.kind == "text" else "---:"


def _cell(cell: Cell) -> str:
    return f"{escaped(cell.text)} ({escaped(cell.detail)})" if cell.detail else escaped(cell.text)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
