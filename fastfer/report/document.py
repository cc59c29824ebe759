"""A page of sections: what an analysis says, with its figures, tables and pictures."""

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass, field

from PIL import Image

from fastfer.report.charts import Figure
from fastfer.report.tables import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A contact sheet or the like; `name` is safe as a file name."""

    name: str
    title: str
    note: str
    jpeg: bytes

    @property
    def base64(self) -> str:
        """The picture as the page holds it."""
        return base64.b64encode(self.jpeg).decode()

    @property
    def width_px(self) -> int:
        """Its width, so that the page does not jump."""
        return self._size()[0]

    @property
    def height_px(self) -> int:
        """Likewise."""
        return self._size()[1]

    def _size(self) -> tuple[int, int]:
        with Image.open(io.BytesIO(self.jpeg)) as image:
            return image.size


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """A part that is not there, and the command that makes it."""

    sentence: str
    command: str


@dataclass(kw_only=True, slots=True)
class Section:
    """A heading, sentences, and what is shown under them."""

    title: str
    paragraphs: list[str] = field(default_factory=list)
    groups: list[tuple[str, list[str]]] = field(default_factory=list)  # sentences under a heading each
    missing: list[Missing] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A page (see `page.Page`)."""

    title: str
    sections: list[Section]
    lang: str = "en"
    template: str = "document.html.j2"

    @property
    def by_anchor(self) -> dict[str, Section]:
        """The sections by their anchors on the page."""
        return {f"section-{number}": section for number, section in enumerate(self.sections, 1)}

    def figures(self) -> Iterator[Figure]:
        """Every figure, in the order of the page."""
        for section in self.sections:
            yield from section.figures

    def tables(self) -> Iterator[Table]:
        """Every table, in the order of the page."""
        for section in self.sections:
            yield from section.tables

    def pictures(self) -> Iterator[Picture]:
        """Every picture, in the order of the page."""
        for section in self.sections:
            yield from section.pictures
