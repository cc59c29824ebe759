"""The performance report's folder: the page with its figures and tables, and the same as Markdown."""

from pathlib import Path
from typing import Final

from benchmarks.report.markdown import markdown
from fastfer.report import PERFORMANCE
from fastfer.report.document import Document
from fastfer.report.naming import file_names
from fastfer.report.sections_file import sections_text
from fastfer.report.write import write_page
from pipelines.progress import Track, untracked

MARKDOWN_NAME: Final = "performance.md"


def write_performance_report(document: Document, out: Path, *, source: str, track: Track = untracked) -> Path:
    """Write the page into the folder `out`, all of it or nothing; returns its path.

    Raises:
        InputError: `out` holds something else than such a page.
    """
    names = file_names(figure.name for figure in document.figures())
    pictures = {name: f"figures/{file}.png" for name, file in names.items()}
    beside = {
        MARKDOWN_NAME: markdown(document, pictures),
        PERFORMANCE.name: sections_text(document.sections),  # for the report of the runs
    }
    return write_page(document, out, source=source, beside=beside, track=track)
