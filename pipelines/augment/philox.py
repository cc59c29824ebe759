"""Random numbers as a pure function of (seed, epoch, row, operation): the counter-based generator Philox4x32-10.

Nothing is kept between calls, so a row's draw is the same in any batch, order, rank, loader or resumed run.
Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011, and its library Random123.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

_ROUNDS: Final = 10
_MULTIPLIERS: Final = np.array([[0xD2511F53], [0xCD9E8D57]], dtype=np.uint64)  # Random123's PHILOX_M4x32_0, _1
# golden ratio and sqrt(3) - 1: the key's Weyl sequence, for each round
_KEY_STEPS_R2: Final = np.arange(_ROUNDS, dtype=np.uint64)[:, None] * np.array([0x9E3779B9, 0xBB67AE85], np.uint64)
_WORD: Final = np.uint64(0xFFFFFFFF)
_WORD_BITS: Final = np.uint64(32)
BLOCK: Final = 4
"""Numbers that one counter gives."""


def philox4x32(counter_N4: NDArray[np.uint32], key: tuple[int, int]) -> NDArray[np.uint32]:
    """Ten rounds of Philox4x32 for every counter under one key.

    Args:
        counter_N4: uint32 [N, 4].
        key: two words, each in 0..2**32 - 1.

    Returns:
        uint32 [N, 4], four random words per counter.
    """
    counter_4N = counter_N4.T.astype(np.uint64)
    even_2N, odd_2N = counter_4N[[0, 2]], counter_4N[[1, 3]]
    _ten_rounds(even_2N, odd_2N, key)
    return np.stack([even_2N[0], odd_2N[0], even_2N[1], odd_2N[1]], axis=1).astype(np.uint32)


def _ten_rounds(even_2N: NDArray[np.uint64], odd_2N: NDArray[np.uint64], key: tuple[int, int]) -> None:
    """Turn counters, as their even and their odd words, into random words in place."""
    product_2N, high_2N = np.empty_like(even_2N), np.empty_like(even_2N)
    keys_R21 = (np.array(key, np.uint64) + _KEY_STEPS_R2 & _WORD)[:, :, None]
    for key_21 in keys_R21:  # in the same memory: fresh pages for every step cost as much as the step
        np.multiply(even_2N, _MULTIPLIERS, out=product_2N)
        np.right_shift(product_2N, _WORD_BITS, out=high_2N)
        np.bitwise_xor(high_2N[::-1], odd_2N, out=even_2N)
        np.bitwise_xor(even_2N, key_21, out=even_2N)
        np.bitwise_and(product_2N[::-1], _WORD, out=odd_2N)


def uniform_blocks(
    seed: int, epoch: int, row_N: NDArray[np.int64], operation_N: NDArray[np.int64], block_N: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Four uniform numbers in [0, 1) for each (row, operation, block); see `uniforms`, whose numbers these are.

    Args:
        seed: 0..2**32 - 1.
        epoch: 0..2**32 - 1.
        row_N: int64.
        operation_N: int64, 0..2**32 - 1.
        block_N: int64, 0..2**32 - 1.

    Returns:
        float64 [N, 4].

    Raises:
        ValueError: seed or epoch does not fit 32 bits.
    """
    for name, value in (("seed", seed), ("epoch", epoch)):
        if not 0 <= value < 2**32:
            raise ValueError(f"{name} must be in 0..2**32-1, got {value}")
    row_bits_N = row_N.view(np.uint64)
    even_2N, odd_2N = np.empty((2, 2, len(row_N)), np.uint64)
    even_2N[0], odd_2N[0] = row_bits_N & _WORD, row_bits_N >> _WORD_BITS
    even_2N[1], odd_2N[1] = operation_N, block_N
    _ten_rounds(even_2N, odd_2N, (seed, epoch))
    uniforms_N4 = np.empty((len(row_N), BLOCK))
    uniforms_N4[:, 0::2], uniforms_N4[:, 1::2] = even_2N.T, odd_2N.T
    uniforms_N4 *= 2.0**-32
    return uniforms_N4


def uniforms(seed: int, epoch: int, rows: NDArray[np.int64], operation: ArrayLike, count: int) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), each a pure function of (seed, epoch, row, operation, its place in `count`).

    The key is (seed, epoch); the counter is (row's low word, row's high word, operation, block of four draws). A number
    has 32 random bits.

    Args:
        seed: 0..2**32 - 1.
        epoch: 0..2**32 - 1.
        rows: int64, any shape: what the draw belongs to, such as the row of the manifest.
        operation: the stream's number, 0..2**32 - 1; an int or an array that broadcasts against `rows`.
        count: how many numbers for each (row, operation).

    Returns:
        float64 of the broadcast shape of rows and operation, plus a last axis of `count`.

    Raises:
        ValueError: seed or epoch does not fit 32 bits.
    """
    blocks = np.arange(-(-count // BLOCK))
    shape = np.broadcast_shapes(rows.shape, np.shape(operation))
    flat = (
        np.broadcast_to(part, (*shape, len(blocks))).ravel()
        for part in (rows[..., None], np.asarray(operation, np.int64)[..., None], blocks)
    )
    return uniform_blocks(seed, epoch, *flat).reshape(*shape, len(blocks) * BLOCK)[..., :count]
