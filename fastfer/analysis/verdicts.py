"""The suspicious labels as a table that a person fills in, and what the person found."""

import csv
import io
from pathlib import Path
from typing import Any, Final

import numpy as np

from fastfer.analysis.faces import AlignedFaces
from fastfer.analysis.label_noise import LabelNoise
from fastfer.analysis.statistics import Share, share_of
from fastfer.labels import CLASSES
from pipelines.errors import InputError
from pipelines.records import write_atomically

VERDICTS: Final = ("agree", "disagree", "unclear")
"""Agree: the written label is right."""
COLUMNS: Final = ("key", "label", "suggested", "confidence", "verdict")
MOST: Final = 200


def read_verdicts(path: Path) -> dict[str, str]:
    """Verdicts by key, as far as the file at `path` is filled in; none if it is not there.

    Raises:
        InputError: it lacks a column, or holds a verdict that is none of `VERDICTS`.
    """
    if not path.is_file():
        return {}
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig", errors="replace"), newline=""))
    if missing := {"key", "verdict"} - set(rows.fieldnames or ()):
        raise InputError(
            f"{path} has no column {', '.join(sorted(missing))}: its first line should be {','.join(COLUMNS)}"
        )
    found = {}
    for number, row in enumerate(rows, start=2):
        verdict = (row["verdict"] or "").strip().lower()
        if verdict and verdict not in VERDICTS:
            raise InputError(f"{path}, line {number}: {verdict!r} is no verdict: write one of {', '.join(VERDICTS)}")
        if verdict:
            found[row["key"]] = verdict
    return found


def write_suspects(path: Path, faces: AlignedFaces, noise: LabelNoise) -> list[dict[str, Any]]:
    """Write the most suspicious labels (`COLUMNS`) to `path`; verdicts that are there are kept, suspect or not.

    Returns:
        The suspects written, the most suspicious first, with their `place` among the faces.

    Raises:
        InputError: the verdicts that are there cannot be read.
    """
    verdicts = read_verdicts(path)
    place_of = {key: place for place, key in enumerate(faces.key_N.tolist())}
    judged = [place_of[key] for key in verdicts if key in place_of]
    places = list(dict.fromkeys([*noise.suspects[:MOST].tolist(), *judged]))
    rows = [
        {
            "key": faces.key_N[place],
            "label": CLASSES[faces.label_N[place]],
            "suggested": CLASSES[noise.suggested_N[place]],
            "confidence": round(float(noise.confidence_N[place]), 4),
            "verdict": verdicts.get(faces.key_N[place], ""),
            "place": place,
        }
        for place in places
    ]
    rows += [dict.fromkeys(COLUMNS, "") | {"key": key, "verdict": word, "place": None}
             for key, word in verdicts.items() if key not in place_of]  # fmt: skip
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.getvalue().encode())
    return [row for row in rows if row["place"] is not None]


def judged_wrong(verdicts: dict[str, str]) -> Share:
    """Of the suspects that a person was sure of: the share whose written label is wrong."""
    sure = np.array([verdict == "disagree" for verdict in verdicts.values() if verdict != "unclear"], np.bool_)
    return share_of(sure, np.arange(len(sure)))
