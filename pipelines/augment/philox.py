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
_WORDS_PER_BLOCK: Final = 4


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
    keys_R21 = (np.array(key, np.uint64) + _KEY_STEPS_R2 & _WORD)[:, :, None]
    for key_21 in keys_R21:
        product_2N = even_2N * _MULTIPLIERS
        even_2N = (product_2N >> _WORD_BITS)[::-1] ^ odd_2N ^ key_21
        odd_2N = (product_2N & _WORD)[::-1]
    words_N22 = np.stack([even_2N, odd_2N]).transpose(2, 1, 0)
    return words_N22.reshape(-1, _WORDS_PER_BLOCK).astype(np.uint32)


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
    for name, value in (("seed", seed), ("epoch", epoch)):
        if not 0 <= value < 2**32:
            raise ValueError(f"{name} must be in 0..2**32-1, got {value}")
    num_blocks = -(-count // _WORDS_PER_BLOCK)
    shape = np.broadcast_shapes(rows.shape, np.shape(operation))
    row_bits = np.broadcast_to(rows, shape).astype(np.int64).view(np.uint64)[..., None]
    counter = np.empty((*shape, num_blocks, 4), dtype=np.uint32)
    counter[..., 0] = row_bits & _WORD
    counter[..., 1] = row_bits >> _WORD_BITS
    counter[..., 2] = np.asarray(operation)[..., None]
    counter[..., 3] = np.arange(num_blocks)
    words = philox4x32(counter.reshape(-1, 4), (seed, epoch))
    words_per_row = words.reshape(*shape, num_blocks * _WORDS_PER_BLOCK)[..., :count]
    return words_per_row.astype(np.float64) * 2.0**-32
