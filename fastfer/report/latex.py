"""Tables for an article: LaTeX with booktabs, the best of a column in bold, intervals beside the values."""

import re
from typing import Final

from fastfer.report.tables import Cell, Table

ESCAPES: Final = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\rightarrow$", "·": r"\textperiodcentered{}",
    "×": r"$\times$", "±": r"$\pm$", "κ": r"$\kappa$", "–": "--", "−": "$-$", "≥": r"$\geq$", "≤": r"$\leq$",
}  # fmt: skip


def one_line(text: str) -> str:
    """Text without control characters, which stays on its line."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text).split())


def escaped(text: str) -> str:
    """Text as LaTeX prints it: nothing in it is a command, and it stays on its line."""
    return "".join(ESCAPES.get(character, character) for character in one_line(text))


def latex(table: Table) -> str:
    """The table as a `table` environment; it needs the packages booktabs, and textcomp in old LaTeX."""
    align = "".join("l" if column.kind == "text" else "r" for column in table.columns)
    heads = " & ".join(escaped(column.title) for column in table.columns)
    rows = [" & ".join(map(_cell, row)) + r" \\" for row in table.rows()]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped(table.title)}}}",
            rf"\begin{{tabular}}{{{align}}}",
            r"\toprule",
            rf"{heads} \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _cell(cell: Cell) -> str:
    text = escaped(cell.text)
    text = rf"\textbf{{{text}}}" if cell.is_best else text
    return f"{text} ({escaped(cell.detail)})" if cell.detail else text
