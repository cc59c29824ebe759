"""The seven canonical expressions, and how each dataset's own numbers map to them."""

from typing import Final

CLASSES: Final = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""Class names in the order of their canonical labels 0..6, used everywhere."""

RAFDB_TO_CANONICAL: Final = {1: 5, 2: 2, 3: 1, 4: 3, 5: 4, 6: 0, 7: 6}
"""RAF-DB: 1 surprise, 2 fear, 3 disgust, 4 happiness, 5 sadness, 6 anger, 7 neutral."""

EXPW_TO_CANONICAL: Final = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6}
"""ExpW: 0 angry, 1 disgust, 2 fear, 3 happy, 4 sad, 5 surprise, 6 neutral; already in canonical order."""

SYNONYMS: Final = {
    **{name: label for label, name in enumerate(CLASSES)},
    "angry": 0, "disgusted": 1, "fearful": 2, "scared": 2, "happy": 3, "joy": 3, "sad": 4, "surprised": 5,
    "neutrality": 6, "calm": 6,
}  # fmt: skip
"""Names of class folders that are understood, in lower case."""
