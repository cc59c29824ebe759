"""From run folders to one self-contained page, its figures and its tables."""

from fastfer.report.build import make_report

__all__ = ["make_report"]
