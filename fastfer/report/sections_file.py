"""Sections kept in a file: the report shows what `make bench-report` found, and the study needs no benchmark."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from fastfer.report.document import Missing, Section
from fastfer.report.locale import Locale
from pipelines.errors import InputError

PERFORMANCE: Final = Path("performance") / "sections.json"
"""Below the folder of all reports."""
_SECTIONS: Final = TypeAdapter(list[Section])


def sections_text(sections: Sequence[Section]) -> str:
    """Sections without pictures, as such a file holds them."""
    return _SECTIONS.dump_json(list(sections)).decode()


def read_sections(path: Path) -> list[Section]:
    """The sections of a file.

    Raises:
        InputError: it cannot be read, holds something else, or a chart in it would load data from elsewhere.
    """
    try:
        sections = _SECTIONS.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(
            f"{path} cannot be read as sections of a report; make bench-report makes it anew ({error})"
        ) from None
    for section in sections:
        for figure in section.figures:
            if _loads(figure.spec):
                raise InputError(f"the chart {figure.name} in {path} would load data from elsewhere: remove the file")
    return sections


def performance_sections(path: Path | None, _: Locale) -> dict[str, Section]:
    """The report's sections about this machine's speed, by their anchors.

    Raises:
        InputError: see `read_sections`.
    """
    if path is None:
        return {}
    if not path.is_file():
        missing = Missing(sentence=_("No benchmark is drawn yet"), command="make bench-report")
        return {"performance": Section(title=_("Benchmarks"), missing=[missing])}
    return {
        f"performance-{number}": replace(section, title=_("Performance: {part}", part=section.title))
        for number, section in enumerate(read_sections(path), 1)
    }


def _loads(spec: Any) -> bool:
    """Whether a part of a chart's description has an address."""
    if isinstance(spec, dict):
        return "url" in spec or any(map(_loads, spec.values()))
    return isinstance(spec, list) and any(map(_loads, spec))
