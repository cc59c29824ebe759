"""The generated parts of the committed documentation: text between two markers, from the committed results alone."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks.report.markdown import section_blocks, table_block
from benchmarks.report.sections import make_performance_report
from fastfer.report.document import Document
from pipelines.errors import InputError
from pipelines.records import write_atomically

BEGIN: Final = "<!-- performance:begin -->"
END: Final = "<!-- performance:end -->"


def _all_sections(document: Document) -> str:
    return "\n\n".join(block for section in document.sections for block in section_blocks(section, {}))


def _summary(document: Document) -> str:
    return "\n\n".join(table_block(table) for table in document.sections[0].tables)


PARTS: Final[Mapping[str, Callable[[Document], str]]] = {"docs/performance.md": _all_sections, "README.md": _summary}
"""What each file shows, by its path in the repository."""


def write_docs(repository: Path, committed: Path) -> list[Path]:
    """Rewrite the generated parts from the results in the folder `committed`; returns the files.

    Raises:
        InputError: a file or its markers are missing or out of order, and nothing is written; or there is no result.
    """
    texts = docs_texts(repository, committed)
    for path, text in texts.items():
        write_atomically(path, text.encode())
    return list(texts)


def docs_texts(repository: Path, committed: Path) -> dict[Path, str]:
    """What the files hold when their generated parts are made anew."""
    document = make_performance_report([committed])
    return {repository / name: _replaced(repository / name, part(document)) for name, part in PARTS.items()}


def _replaced(path: Path, part: str) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    return between_markers(text, part, str(path))


def between_markers(text: str, part: str, where: str) -> str:
    """The text with what stands between its two markers replaced.

    Raises:
        InputError: they are not there once each, the first one first.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(END) < text.index(BEGIN):
        raise InputError(f"{where} must hold {BEGIN} and, behind it, {END}, each once: the table goes between them")
    before, rest = text.split(BEGIN)
    _old, after = rest.split(END)
    return f"{before}{BEGIN}\n{part}\n{END}{after}"
