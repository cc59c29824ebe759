"""Writes a page, with its figures, tables and pictures as files beside it: all of it or nothing."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from fastfer import __version__
from fastfer.report.files import write_figures
from fastfer.report.latex import latex
from fastfer.report.locale import locale_of
from fastfer.report.naming import file_names
from fastfer.report.page import GENERATOR, Page, render
from pipelines.errors import InputError
from pipelines.progress import Track, untracked
from pipelines.records import atomic_folder, write_csv

PAGE_NAME: Final = "index.html"


def write_page(
    page: Page, out: Path, *, source: str, beside: Mapping[str, str] | None = None, track: Track = untracked
) -> Path:
    """Write `index.html` and, beside it, the page's figures and tables, all of it or nothing; returns its path.

    Args:
        page: what to write.
        out: its folder; an earlier page there is replaced.
        source: what it is made from.
        beside: further text files of the folder, by name.
        track: told of each figure drawn.

    Raises:
        InputError: `out` holds something else than such a page.
    """
    _refuse_foreign(out)
    now = datetime.now().astimezone()
    made = locale_of(page.lang)(
        "Made {when} by fastfer {version} from {source}",
        when=f"{now:%Y-%m-%d %H:%M %Z}",
        version=__version__,
        source=source,
    )
    with atomic_folder(out) as folder:
        _write(page, folder, made, track)
        for name, text in (beside or {}).items():
            (folder / name).write_text(text, encoding="utf-8")
    return out / PAGE_NAME


def _write(page: Page, folder: Path, made: str, track: Track) -> None:
    figures, tables, pictures = list(page.figures()), list(page.tables()), list(page.pictures())
    figure_files = file_names(figure.name for figure in figures)
    table_files = file_names(table.name for table in tables)
    write_figures(figures, figure_files, folder / "figures", track)
    (folder / "tables").mkdir()
    for table in tables:
        path = folder / "tables" / table_files[table.name]
        write_csv(Path(f"{path}.csv"), table.frame())
        Path(f"{path}.tex").write_text(latex(table), encoding="utf-8")
    if pictures:
        (folder / "pictures").mkdir()
    for picture in pictures:
        (folder / "pictures" / f"{picture.name}.jpg").write_bytes(picture.jpeg)
    html = render(page, figure_files=figure_files, table_files=table_files, made=made)
    (folder / PAGE_NAME).write_text(html, encoding="utf-8")


def _refuse_foreign(out: Path) -> None:
    """Replacing removes what was there: only an earlier report, or nothing."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    page = out / PAGE_NAME
    if not page.is_file() or GENERATOR not in page.read_text(encoding="utf-8", errors="replace")[:1000]:
        raise InputError(f"{out} holds something else than a report, which would be lost: choose another folder")
