"""From run folders to one self-contained page, its figures and its tables."""

from fastfer.report.build import PAGE_NAME, make_report

__all__ = ["PAGE_NAME", "make_report"]
