"""From run folders to one self-contained page, its figures and its tables."""

from fastfer.report.build import make_report
from fastfer.report.data import DataFolders
from fastfer.report.sections_file import PERFORMANCE
from fastfer.report.write import PAGE_NAME

__all__ = ["PAGE_NAME", "PERFORMANCE", "DataFolders", "make_report"]
