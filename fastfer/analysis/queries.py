"""What ExpW's file names promise: the emotion word of the web query beside the annotated label."""

import re
from pathlib import PurePosixPath
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fastfer.analysis.statistics import Share, share_of
from fastfer.labels import CLASSES, SYNONYMS

WORDS: Final = SYNONYMS | {
    "furious": 0, "mad": 0, "annoyed": 0, "enraged": 0, "irritated": 0, "rage": 0, "revolted": 1, "disgusting": 1,
    "afraid": 2, "frightened": 2, "terrified": 2, "panicked": 2, "anxious": 2, "horrified": 2, "joyful": 3,
    "laughing": 3, "laugh": 3, "smiling": 3, "smile": 3, "cheerful": 3, "delighted": 3, "excited": 3, "glad": 3,
    "crying": 4, "cry": 4, "unhappy": 4, "depressed": 4, "sorrowful": 4, "tearful": 4, "miserable": 4, "grief": 4,
    "astonished": 5, "amazed": 5, "shocked": 5, "startled": 5, "expressionless": 6, "serious": 6,
}  # fmt: skip
"""Words of queries and the class that each asks for. Words that ask for none of the seven are not here."""


def query_class(image_path: str) -> int | None:
    """The class that the file's name asks for, by its first word of `WORDS`; None if it has none."""
    words = re.split(r"[^a-z]+", PurePosixPath(image_path).stem.lower())
    return next((WORDS[word] for word in words if word in WORDS), None)


def with_queries(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows (`image_path`, `label`, ...) whose file name has an emotion word, with `query`, its class."""
    query = pl.Series("query", [query_class(path) for path in rows["image_path"]], pl.Int64)
    return rows.with_columns(query).drop_nulls(["query", "label"])


def agreement(rows: pl.DataFrame) -> Share:
    """How many of `with_queries` are labelled as their name asks."""
    return share_of((rows["query"] == rows["label"]).to_numpy(), rows["image_path"].to_numpy())


def queries_by_labels(rows: pl.DataFrame) -> NDArray[np.int64]:
    """Faces of `with_queries` by the query's class (rows) and the label (columns), `K x K`."""
    counts_KK = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    np.add.at(counts_KK, (rows["query"].to_numpy(), rows["label"].to_numpy()), 1)
    return counts_KK
