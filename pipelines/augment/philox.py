"""Random numbers as a pure function of (seed, epoch, row, operation): the counter-based generator Philox4x32-10.

Nothing is kept between calls, so a row's draw is the same in any batch, order, rank, loader or resumed run.
Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011, and its library Random123.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_ROUNDS: Final = 10
_MULTIPLIERS: Final = np.array([[0xD2511F53], [0xCD9E8D57]], dtype=np.uint64)  # Random123's PHILOX_M4x32_0, _1
# golden ratio and sqrt(3) - 1: the key's Weyl sequence, for each round
_KEY_STEPS_R2: Final = np.arange(_ROUNDS, dtype=np.uint64)[:, None] * np.array([0x9E3779B9, 0xBB67AE85], np.uint64)
_WORD: Final = np.uint64(0xFFFFFFFF)
_WORD_BITS: Final = np.uint64(32)
BLOCK: Final = 4
"""Numbers that one counter gives."""


def philox4x32(counter_4N: NDArray[np.uint64], key: tuple[int, int]) -> NDArray[np.uint64]:
    """Ten rounds of Philox4x32 for every counter under one key.

    Args:
        counter_4N: uint64 [4, N], words of 32 bits.
        key: two words, each in 0..2**32 - 1.

    Returns:
        uint64 [4, N], four random words of 32 bits per counter.
    """
    word_4N = counter_4N.copy()
    even_2N, odd_2N = word_4N[0::2], word_4N[1::2]
    product_2N, high_2N = np.empty_like(even_2N), np.empty_like(even_2N)
    keys_R21 = (np.array(key, np.uint64) + _KEY_STEPS_R2 & _WORD)[:, :, None]
    for key_21 in keys_R21:  # in the same memory: fresh pages for every step cost as much as the step
        np.multiply(even_2N, _MULTIPLIERS, out=product_2N)
        np.right_shift(product_2N, _WORD_BITS, out=high_2N)
        np.bitwise_xor(high_2N[::-1], odd_2N, out=even_2N)
        np.bitwise_xor(even_2N, key_21, out=even_2N)
        np.bitwise_and(product_2N[::-1], _WORD, out=odd_2N)
    return word_4N


def uniforms(
    seed: int, epoch: int, row_N: NDArray[np.int64], operation_N: NDArray[np.int64], block_N: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), each a pure function of (seed, epoch, row, operation, block, its place in the block).

    The key is (seed, epoch); the counter is (row's low word, row's high word, operation, block). A number has 32 random
    bits.

    Args:
        seed: 0..2**32 - 1.
        epoch: 0..2**32 - 1.
        row_N: int64, what the draw belongs to, such as the row of the manifest.
        operation_N: int64, the streams' numbers, 0..2**32 - 1.
        block_N: int64, 0..2**32 - 1: a stream has `BLOCK` numbers in each.

    Returns:
        float64 [N, BLOCK].

    Raises:
        ValueError: seed or epoch does not fit 32 bits.
    """
    for name, value in (("seed", seed), ("epoch", epoch)):
        if not 0 <= value < 2**32:
            raise ValueError(f"{name} must be in 0..2**32-1, got {value}")
    row_bits_N = row_N.view(np.uint64)
    counter_4N = np.empty((BLOCK, len(row_N)), np.uint64)
    counter_4N[0], counter_4N[1] = row_bits_N & _WORD, row_bits_N >> _WORD_BITS
    counter_4N[2], counter_4N[3] = operation_N, block_N
    return np.multiply(philox4x32(counter_4N, (seed, epoch)).T, 2.0**-32, order="C")
