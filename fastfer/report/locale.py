"""The languages of the pages: every label in English, and what it is in another language (see `words`).

Modules and templates write English, `_("Trained on {dataset}", dataset=name)`; a `Locale` gives it in its language.
Names from files (datasets, runs, classes, settings) and numbers stay as they are, and so do commands.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastfer.report.words import PORTUGUESE
from pipelines.errors import InputError

_BETWEEN: Final = re.compile(r"(, |\s[↑↓])")  # before an arrow also the space that does not break


@dataclass(frozen=True, slots=True)
class Locale:
    """A language: its code for HTML, and its words by the English ones; English needs none."""

    lang: str
    words: Mapping[str, str]

    def __call__(self, text: str, /, **values: Any) -> str:
        """The text in this language with values in the places of their names; an unknown text stays English."""
        return self.words.get(text, text).format(**values)

    def heading(self, text: str) -> str:
        """A column's heading: words with commas and arrows between them, each word by itself."""
        return "".join(part if _BETWEEN.fullmatch(part) else self.words.get(part, part) for part in self.parts(text))

    @staticmethod
    def parts(text: str) -> list[str]:
        """The words of a heading and what is between them."""
        return [part for part in _BETWEEN.split(text) if part]


ENGLISH: Final = Locale("en", {})
LOCALES: Final = {locale.lang: locale for locale in (ENGLISH, Locale("pt", PORTUGUESE))}
"""By their codes."""


def locale_of(lang: str) -> Locale:
    """The language of a code.

    Raises:
        InputError: there is none.
    """
    if lang not in LOCALES:
        raise InputError(f"no locale {lang!r}: choose one of {', '.join(LOCALES)}")
    return LOCALES[lang]
