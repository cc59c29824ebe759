"""Makes a report from run folders, all of it or nothing."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from fastfer import __version__
from fastfer.report.content import compose
from fastfer.report.contrasts import Compared
from fastfer.report.files import write_figures
from fastfer.report.latex import latex
from fastfer.report.locale import locale_of
from fastfer.report.naming import file_names
from fastfer.report.page import GENERATOR, Page, render
from fastfer.report.runs import Select, read_runs
from pipelines.errors import InputError
from pipelines.progress import Track, untracked
from pipelines.records import replacing

PAGE_NAME: Final = "index.html"


def make_report(
    runs_root: Path,
    out: Path,
    *,
    title: str | None = None,
    lang: str = "en",
    select: Select = "*",
    results: Path | None = None,
    track: Track = untracked,
) -> Path:
    """Write a report of every run below a folder.

    Makes `out/index.html` (one self-contained file), `out/figures/` (each figure as PNG, PDF and SVG) and
    `out/tables/` (CSV and LaTeX). The folder is made beside `out` and put in its place at the end, so a report is
    never half old.

    Args:
        runs_root: the folder that holds the run folders.
        out: the report's folder; an earlier report there is replaced.
        title: the page's heading, if not the usual one.
        lang: the language of all labels, see `locale_of`.
        select: which runs, by the names of their folders: a glob pattern such as `demo-*`, or what says so of a name.
        results: the folder of what `make compare` wrote, for paired intervals and tests.
        track: told of each figure drawn.

    Returns:
        The path of `index.html`.

    Raises:
        InputError: there is no such language, no run is there or none matches, a run's file is broken, or `out` holds
            something else.
    """
    _ = locale_of(lang)
    runs = read_runs(runs_root, select)
    compared = Compared.read(results)
    return write_page(
        compose(runs, title, compared, results, _),
        out,
        source=_("{count} runs in {folder}", count=len(runs), folder=runs_root),
        track=track,
    )


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
    with replacing(out) as folder:
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
        table.frame().write_csv(f"{path}.csv")
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
