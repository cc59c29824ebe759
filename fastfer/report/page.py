"""The report as one HTML file that needs nothing else: no network, no server, no second file.

Values from run folders reach the page in two ways only: as text through Jinja's escaping, and inside one JSON block
whose `<`, `>` and `&` are written as escapes, so that no value can close it. A content security policy allows the
page's own two scripts by their hashes, and no connection.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fastfer.report.charts import Figure
from fastfer.report.document import Picture
from fastfer.report.files import legend_width_px
from fastfer.report.locale import locale_of
from fastfer.report.tables import Table
from fastfer.report.theme import DARK, LIGHT, VEGALITE, page_config

TEMPLATES: Final = Path(__file__).parent / "templates"
GENERATOR: Final = "fastfer report"
"""Marks a page as ours, so that a folder with anything else in it is never replaced."""

_FITTED: Final = {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}


class Page(Protocol):
    """What can be a page: its template, and the figures and tables in it."""

    @property
    def template(self) -> str:
        """Its file in `TEMPLATES`."""
        ...

    @property
    def lang(self) -> str:
        """The language it is written in, such as `en`."""
        ...

    def figures(self) -> Iterator[Figure]:
        """Every figure, in the order of the page."""
        ...

    def tables(self) -> Iterator[Table]:
        """Every table, in the order of the page."""
        ...

    def pictures(self) -> Iterator[Picture]:
        """Every picture that is no chart, in the order of the page."""
        ...


def render(report: Page, *, figure_files: Mapping[str, str], table_files: Mapping[str, str], made: str) -> str:
    """The whole page.

    Args:
        report: what to say.
        figure_files: the figures' file names without extension, by the figures' names.
        table_files: likewise of the tables.
        made: when and from what, for the page's head.

    Returns:
        HTML.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["_"] = locale_of(report.lang)
    library = _library()
    behaviour = _script((TEMPLATES / "report.js").read_text(encoding="utf-8"))
    return environment.get_template(report.template).render(
        report=report,
        made=made,
        generator=GENERATOR,
        figure_files=figure_files,
        table_files=table_files,
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        library=library,
        behaviour=behaviour,
        charts=_embedded(_charts(report, figure_files)),
        policy=_policy(library, behaviour),
    )


def _charts(report: Page, figure_files: Mapping[str, str]) -> dict[str, Any]:
    return {
        "themes": {"light": page_config(LIGHT), "dark": page_config(DARK)},
        "figures": {
            figure_files[figure.name]: {
                "spec": figure.spec | _FITTED,
                "legend_px": legend_width_px(figure),
            }
            for figure in report.figures()
        },
    }


def _embedded(value: Any) -> Markup:
    """JSON for a script block; the escapes mean the same to JSON and nothing to HTML."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


@cache
def _library() -> Markup:
    """Vega, Vega-Lite and Vega-Embed as one script, 0.9 MB; bundling takes 2 s."""
    return _script(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGALITE))


def _script(source: str) -> Markup:
    """A script of our own for a script block, where `</script` would end it and `<!--` hide what follows."""
    return Markup(source.replace("</script", "<\\/script").replace("<!--", "<\\!--"))


def _policy(*scripts: str) -> str:
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    # Vega compiles a chart's expressions with Function(), hence unsafe-eval; it also sets styles on its marks.
    return f"default-src 'none'; script-src {allowed} 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"
