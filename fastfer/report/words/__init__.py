"""The words of the pages in other languages, by the English ones: a module for each page and language."""

from typing import Final

from fastfer.report.words import case_pt, eda_pt, report_pt, shared_pt

PAGES_PT: Final = (shared_pt, report_pt, eda_pt, case_pt)
"""No two of them have a text in common."""
PORTUGUESE: Final[dict[str, str]] = {text: told for page in PAGES_PT for text, told in page.WORDS.items()}
"""What is the same in both languages stands here too, so that nothing is forgotten."""
