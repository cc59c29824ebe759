import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.augment.philox import philox4x32, uniforms

# Random123's kat_vectors, philox4x32 10: counter, key, expected words.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_known_answers_of_random123(counter: str, key: str, expected: str) -> None:
    first, second = words(key)
    got = philox4x32(np.array([words(counter)], dtype=np.uint32), (first, second))
    assert got.tolist() == [words(expected)]


def test_known_answers_do_not_depend_on_their_neighbours() -> None:
    counters = np.array([words(counter) for counter, _, _ in KNOWN_ANSWERS], dtype=np.uint32)
    assert philox4x32(counters, (0, 0))[0].tolist() == words(KNOWN_ANSWERS[0][2])


def test_uniforms_are_the_words_of_the_documented_counter() -> None:
    row = (5 << 32) | 7
    block = philox4x32(np.array([[7, 5, 11, 1]], dtype=np.uint32), (3, 2))[0]
    got = uniforms(3, 2, np.array([row]), 11, 7)
    assert got.shape == (1, 7)
    assert got[0, 4:].tolist() == (block[:3] / 2**32).tolist()


@given(
    seed=st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 2**32 - 1),
    rows=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20),
    operation=st.integers(0, 2**32 - 1),
    count=st.integers(1, 9),
    data=st.data(),
)
def test_a_row_draws_the_same_in_any_batch_and_order(
    seed: int, epoch: int, rows: list[int], operation: int, count: int, data: st.DataObject
) -> None:
    rows_B = np.array(rows, dtype=np.int64)
    whole = uniforms(seed, epoch, rows_B, operation, count)
    some = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1)))
    assert np.array_equal(uniforms(seed, epoch, rows_B[some], operation, count), whole[some])
    assert np.array_equal(uniforms(seed, epoch, rows_B, operation, count + 3)[:, :count], whole)
    assert whole.min() >= 0
    assert whole.max() < 1


def test_operations_may_differ_by_row() -> None:
    rows_B = np.arange(4)
    operations = np.array([9, 2, 2, 5])
    together = uniforms(1, 0, rows_B, operations, 3)
    alone = [uniforms(1, 0, rows_B[place : place + 1], operations[place], 3)[0] for place in range(4)]
    assert np.array_equal(together, alone)
    assert np.array_equal(uniforms(1, 0, rows_B[:, None], operations, 3)[np.arange(4), np.arange(4)], together)


def test_every_argument_matters() -> None:
    base = uniforms(1, 2, np.array([3]), 4, 4)
    others = [
        uniforms(2, 2, np.array([3]), 4, 4),
        uniforms(1, 3, np.array([3]), 4, 4),
        uniforms(1, 2, np.array([4]), 4, 4),
        uniforms(1, 2, np.array([3 + 2**32]), 4, 4),
        uniforms(1, 2, np.array([3]), 5, 4),
    ]
    assert not any(np.isin(other, base).any() for other in others)


def test_draws_are_uniform_and_uncorrelated() -> None:
    draws = uniforms(0, 0, np.arange(50_000), 0, 4)
    histogram = np.histogram(draws, bins=20, range=(0, 1))[0]
    assert np.abs(histogram / 10_000 - 1).max() < 0.05
    correlations = np.corrcoef(np.concatenate([draws[:-1], draws[1:]], axis=1).T) - np.eye(8)
    assert np.abs(correlations).max() < 0.02


@pytest.mark.parametrize(("seed", "epoch"), [(-1, 0), (2**32, 0), (0, -1), (0, 2**32)])
def test_what_does_not_fit_32_bits_is_refused(seed: int, epoch: int) -> None:
    with pytest.raises(ValueError, match=r"must be in 0\.\.2\*\*32-1"):
        uniforms(seed, epoch, np.array([0]), 0, 1)
