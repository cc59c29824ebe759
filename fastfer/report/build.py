"""Makes a report from run folders."""

from pathlib import Path

from fastfer.report.content import compose
from fastfer.report.contrasts import Compared
from fastfer.report.data import DataFolders, data_sections
from fastfer.report.locale import locale_of
from fastfer.report.runs import Select, read_runs
from fastfer.report.sections_file import performance_sections
from fastfer.report.write import write_page
from pipelines.progress import Track, untracked


def make_report(
    runs_root: Path,
    out: Path,
    *,
    title: str | None = None,
    lang: str = "en",
    select: Select = "*",
    results: Path | None = None,
    data: DataFolders | None = None,
    performance: Path | None = None,
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
        data: where the runs' data lies; without it the page says nothing of the data.
        performance: the sections that `make bench-report` wrote; without it the page says nothing of benchmarks.
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
        compose(
            runs,
            title,
            compared,
            results,
            data_sections(runs, data, track, _),
            performance_sections(performance, _),
            _,
        ),
        out,
        source=_("{count} runs in {folder}", count=len(runs), folder=runs_root),
        track=track,
    )
