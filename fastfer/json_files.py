"""The small JSON files of a run: settings, environment, summary, scores."""

import json
from pathlib import Path
from typing import Any

from pipelines.errors import InputError
from pipelines.records import write_atomically


def read_json(path: Path) -> dict[str, Any]:
    """Read a small JSON object.

    Raises:
        InputError: it is none, cut short, or cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} cannot be read ({error}): remove it, and give the command that wrote it again"
        ) from None
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a small JSON file, atomically."""
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
