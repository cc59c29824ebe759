"""The fourteen mappings, each by name, as FORMATS.md gives them."""

import pytest

from fastfer.labels import CLASSES, EXPW_TO_CANONICAL, RAFDB_TO_CANONICAL

RAFDB = {1: "surprise", 2: "fear", 3: "disgust", 4: "happiness", 5: "sadness", 6: "anger", 7: "neutral"}
EXPW = {0: "anger", 1: "disgust", 2: "fear", 3: "happiness", 4: "sadness", 5: "surprise", 6: "neutral"}


def test_canonical_order() -> None:
    assert CLASSES == ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")


@pytest.mark.parametrize(("number", "name"), RAFDB.items())
def test_rafdb(number: int, name: str) -> None:
    assert CLASSES[RAFDB_TO_CANONICAL[number]] == name


@pytest.mark.parametrize(("number", "name"), EXPW.items())
def test_expw(number: int, name: str) -> None:
    assert CLASSES[EXPW_TO_CANONICAL[number]] == name


def test_no_other_number_is_mapped() -> None:
    assert set(RAFDB_TO_CANONICAL) == set(RAFDB)
    assert set(EXPW_TO_CANONICAL) == set(EXPW)
