"""Near-duplicate images: candidates by perceptual hash, confirmed on their pixels, joined as direct pairs.

Hashes alone join strangers, and chains of pairs join everything: on 300 warps of one portrait, hash distance 4 chained
115 together. So a pair counts only if the thumbnails agree everywhere, once brightness and contrast are made equal;
and a group is one image with its direct near-duplicates.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fastfer.datasets.fingerprints import THUMB_PX

MAX_HASH_DISTANCE: Final = 10
"""Bits of 64 in which candidates may differ; more of them only cost time."""
MAX_DIFFERENCE: Final = 0.25
"""Of near-duplicates, see `difference`: copies resized, recoloured and encoded again came to 0.16 at most, other
expressions on one head in one scene to 0.34 at least (300 warps, 44,850 pairs)."""
BLOCK_PX: Final = 4
LEAST_CONTRAST: Final = 1.0
"""Gray levels: flatter thumbnails (a black image) are not stretched."""
COMPARED_AT_ONCE: Final = 4_000_000
CONFIRMED_AT_ONCE: Final = 8192
PAIR_SCHEMA: Final = pl.Schema(
    {
        "image_path": pl.String(),
        "other_path": pl.String(),
        "identical": pl.Boolean(),  # the same file, byte for byte
        "hash_distance": pl.Int16(),  # of 64 bits
        "difference": pl.Float64(),  # see `difference`
    }
)


def near_duplicates(prints: pl.DataFrame, others: pl.DataFrame | None = None) -> pl.DataFrame:
    """All pairs (`PAIR_SCHEMA`) of near-duplicates within `prints`, or between `prints` and `others`.

    Within one set, files that are identical are each paired with the first of them, which stands for all of them in
    further pairs: a thousand copies of one placeholder are 999 pairs.
    """
    prints = prints.filter(pl.col("phash").is_not_null())
    if others is not None:
        return _confirmed(prints, others.filter(pl.col("phash").is_not_null()))
    first = pl.col("image_path").first().over("sha256")
    copies = prints.select(image_path=first, other_path="image_path").filter(
        pl.col("image_path") != pl.col("other_path")
    )
    same = copies.with_columns(
        identical=True, hash_distance=pl.lit(0, pl.Int16), difference=pl.lit(0.0)
    ).match_to_schema(PAIR_SCHEMA)
    different = prints.unique("sha256", keep="first", maintain_order=True)
    return pl.concat([same, _confirmed(different, different)])


def _confirmed(prints: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """The pairs that are near in hash and pixels; `others` may be `prints` itself."""
    ones, twos = _look_N(prints), _look_N(others)
    names, other_names = prints["image_path"], others["image_path"]
    digests, other_digests = prints["sha256"].to_numpy(), others["sha256"].to_numpy()
    parts = [PAIR_SCHEMA.to_frame()]
    for i_P, j_P, bits_P in _candidates(prints["phash"].to_numpy(), others["phash"].to_numpy(), prints is others):
        differ_P = difference(ones[i_P], twos[j_P])
        near = differ_P <= MAX_DIFFERENCE
        parts.append(
            pl.DataFrame(
                {
                    "image_path": names.gather(i_P[near]),
                    "other_path": other_names.gather(j_P[near]),
                    "identical": digests[i_P[near]] == other_digests[j_P[near]],
                    "hash_distance": bits_P[near].astype(np.int16),
                    "difference": differ_P[near].round(4),
                },
                schema=PAIR_SCHEMA,
            )
        )
    return pl.concat(parts)


def _candidates(
    hash_N: NDArray[np.uint64], hash_M: NDArray[np.uint64], within: bool
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]]:
    """Places of pairs whose hashes are near, and in how many bits they differ; each pair once `within` one set."""
    rows = max(1, COMPARED_AT_ONCE // max(1, len(hash_M)))
    for start in range(0, len(hash_N), rows):
        after = start if within else 0
        bits = np.bitwise_count(hash_N[start : start + rows, None] ^ hash_M[None, after:])
        i_P, j_P = np.nonzero(bits <= MAX_HASH_DISTANCE)
        if within:
            i_P, j_P = i_P[j_P > i_P], j_P[j_P > i_P]
        for at in range(0, len(i_P), CONFIRMED_AT_ONCE):
            i, j = i_P[at : at + CONFIRMED_AT_ONCE], j_P[at : at + CONFIRMED_AT_ONCE]
            yield i + start, j + after, bits[i, j]


def _look_N(prints: pl.DataFrame) -> NDArray[np.uint8]:
    """Thumbnails `N x S x S`."""
    return np.frombuffer(b"".join(prints["thumb"]), np.uint8).reshape(-1, THUMB_PX, THUMB_PX)


def difference(one_PSS: NDArray[np.uint8], two_PSS: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How much each pair of thumbnails differs where it differs most: 0 for the same picture, about 2 for another.

    Both are brought to mean 0 and standard deviation 1, so that exposure and contrast do not count. Of the blocks of
    4 x 4 pixels, the one with the greatest root mean square difference is taken: another expression, or another face
    in a group, changes a small part of a picture.
    """
    gap_PSS = _standardised(one_PSS) - _standardised(two_PSS)
    blocks = THUMB_PX // BLOCK_PX
    square = gap_PSS.reshape(-1, blocks, BLOCK_PX, blocks, BLOCK_PX) ** 2
    return np.asarray(np.sqrt(square.mean(axis=(2, 4)).max(axis=(1, 2), initial=0)))


def _standardised(thumb_PSS: NDArray[np.uint8]) -> NDArray[np.float64]:
    value = thumb_PSS.astype(np.float64)
    spread = np.maximum(value.std(axis=(1, 2), keepdims=True), LEAST_CONTRAST)
    return np.asarray((value - value.mean(axis=(1, 2), keepdims=True)) / spread)


def group_images(pairs: pl.DataFrame) -> dict[str, str]:
    """Each paired image and the name of its group: an image and its direct near-duplicates that are in no other group.

    Images with most near-duplicates make a group first. Nothing is chained: each member is a near-duplicate of the
    one that names the group, or its identical copy.
    """
    stands_for: dict[str, str] = {}
    near: defaultdict[str, set[str]] = defaultdict(set)
    for one, other, identical in pairs.select("image_path", "other_path", "identical").iter_rows():
        if identical:
            stands_for[other] = one
        else:
            near[one].add(other)
            near[other].add(one)
    group: dict[str, str] = {}
    for centre in sorted(near, key=lambda path: (-len(near[path]), path)):
        if centre not in group:
            group |= {path: centre for path in (centre, *near[centre]) if path not in group}
    for path, first in stands_for.items():
        group[path] = group.setdefault(first, first)
    return group
