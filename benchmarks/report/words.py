"""The performance report's languages: those of the study's report, and its own words."""

from dataclasses import replace
from typing import Final

from fastfer.report.locale import Locale
from fastfer.report.locale import locale_of as report_locale

PORTUGUESE: Final[dict[str, str]] = {}
WORDS: Final = {"pt": PORTUGUESE}
"""By the code of the language; the texts themselves are English."""


def locale_of(lang: str) -> Locale:
    """The language of a code.

    Raises:
        InputError: there is none.
    """
    locale = report_locale(lang)
    return replace(locale, words={**locale.words, **WORDS.get(lang, {})})
