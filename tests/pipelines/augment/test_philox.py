import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.augment.philox import BLOCK, philox4x32, uniforms

# Random123's kat_vectors, philox4x32 10: counter, key, expected words.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


def counters(*texts: str) -> NDArray[np.uint64]:
    return np.array([words(text) for text in texts], dtype=np.uint64).T


def drawn(seed: int, epoch: int, row: int, operation: int, block: int = 0) -> list[float]:
    """The numbers of one block."""
    (numbers,) = uniforms(seed, epoch, *(np.array([value], dtype=np.int64) for value in (row, operation, block)))
    return numbers.tolist()


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_known_answers_of_random123(counter: str, key: str, expected: str) -> None:
    first, second = words(key)
    assert philox4x32(counters(counter), (first, second)).T.tolist() == [words(expected)]


def test_known_answers_do_not_depend_on_their_neighbours() -> None:
    several = counters(*(counter for counter, _, _ in KNOWN_ANSWERS))
    before = several.copy()
    assert philox4x32(several, (0, 0))[:, 0].tolist() == words(KNOWN_ANSWERS[0][2])
    assert np.array_equal(several, before)


def test_uniforms_are_the_words_of_the_documented_counter() -> None:
    block = philox4x32(np.array([[7], [5], [11], [1]], dtype=np.uint64), (3, 2))[:, 0]
    assert drawn(3, 2, (5 << 32) | 7, 11, 1) == (block / 2**32).tolist()


@given(
    seed=st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 2**32 - 1),
    asked=st.lists(
        st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**32 - 1), st.integers(0, 3)),
        min_size=1,
        max_size=20,
    ),
)
def test_a_block_is_the_same_whatever_is_drawn_beside_it(
    seed: int, epoch: int, asked: list[tuple[int, int, int]]
) -> None:
    whole = uniforms(seed, epoch, *np.array(asked, dtype=np.int64).T)
    assert whole.shape == (len(asked), BLOCK)
    assert whole.tolist() == [drawn(seed, epoch, *one) for one in asked]
    assert whole.min() >= 0
    assert whole.max() < 1


def test_every_argument_matters() -> None:
    base = drawn(1, 2, 3, 4)
    others = [
        drawn(2, 2, 3, 4),
        drawn(1, 3, 3, 4),
        drawn(1, 2, 4, 4),
        drawn(1, 2, 3 + 2**32, 4),
        drawn(1, 2, 3, 5),
        drawn(1, 2, 3, 4, 1),
    ]
    assert not any(np.isin(other, base).any() for other in others)


def test_draws_are_uniform_and_uncorrelated() -> None:
    rows, none = np.arange(50_000), np.zeros(50_000, dtype=np.int64)
    draws = uniforms(0, 0, rows, none, none)
    histogram = np.histogram(draws, bins=20, range=(0, 1))[0]
    assert np.abs(histogram / 10_000 - 1).max() < 0.05
    correlations = np.corrcoef(np.concatenate([draws[:-1], draws[1:]], axis=1).T) - np.eye(8)
    assert np.abs(correlations).max() < 0.02


@pytest.mark.parametrize(("seed", "epoch"), [(-1, 0), (2**32, 0), (0, -1), (0, 2**32)])
def test_what_does_not_fit_32_bits_is_refused(seed: int, epoch: int) -> None:
    with pytest.raises(ValueError, match=r"must be in 0\.\.2\*\*32-1"):
        drawn(seed, epoch, 0, 0)
