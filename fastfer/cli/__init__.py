"""The command line: `fastfer <verb>`. The only place that parses arguments and prints."""

from fastfer.cli.app import main

__all__ = ["main"]
