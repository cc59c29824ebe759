"""Near-duplicates: found where planted, nowhere else, and never chained."""

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fastfer.datasets import duplicates
from fastfer.datasets.demo import read_truth
from fastfer.datasets.demo.backdrops import background
from fastfer.datasets.demo.expressions import mimic
from fastfer.datasets.demo.faces import Head, draw_head, pose
from fastfer.datasets.demo.portraits import portraits
from fastfer.datasets.duplicates import (
    MAX_DIFFERENCE,
    MAX_HASH_DISTANCE,
    PAIR_SCHEMA,
    difference,
    group_images,
    near_duplicates,
)
from fastfer.datasets.fingerprints import THUMB_PX, fingerprint_images
from fastfer.datasets.splits import split_rows
from fastfer.labels import CLASSES
from tests.fastfer.conftest import DEMO_SETS, planted_copies

WARPS = 300


def prints_of(root: Path, cache: Path, prefix: str = "") -> pl.DataFrame:
    truth = read_truth(root)
    prints = fingerprint_images(root, truth["image"].unique(maintain_order=True).to_list(), cache)
    return prints.with_columns(image_path=prefix + pl.col("image_path"))


@pytest.fixture(scope="module")
def prints(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    folder = tmp_path_factory.mktemp("prints")
    return {name: prints_of(raw / name, folder / name, f"{name}/") for name in DEMO_SETS}


@pytest.fixture(scope="module")
def warps(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """Fingerprints of one portrait, in one place, light and pose, with 300 faces made."""
    folder = tmp_path_factory.mktemp("warps")
    rng = np.random.default_rng(0)
    scene, portrait = background(400, 400, np.random.default_rng(1)), portraits()[0]
    in_place = pose(centre_px=(200, 170), unit_px=80, roll_deg=0, shear=0, tilt=(0, 0))
    names = [f"{number}.jpg" for number in range(WARPS)]
    for number, name in enumerate(names):
        picture = scene.copy()
        face = mimic(portrait, CLASSES[number % len(CLASSES)], rng)
        head = Head(portrait=portrait, mimic=face, pose_33=in_place, gain_3=np.ones(3), gamma=1.0, light_2=np.zeros(2))
        draw_head(picture, head)
        Image.fromarray(picture).save(folder / name, quality=92)
    return fingerprint_images(folder, names, folder / "cache.parquet")


def as_sets(pairs: pl.DataFrame) -> set[frozenset[str]]:
    return {frozenset(pair) for pair in pairs.select("image_path", "other_path").iter_rows()}


def test_the_planted_copies_are_found_and_nothing_else(raw: Path, prints: dict[str, pl.DataFrame]) -> None:
    """Recall and precision are 1, within both sets and across; at the default size too, where 13 are planted."""
    copies = planted_copies(raw)
    planted = {frozenset(pair) for pair in copies}
    rafdb, expw = (prints[name] for name in DEMO_SETS)
    found = as_sets(near_duplicates(rafdb)) | as_sets(near_duplicates(expw)) | as_sets(near_duplicates(rafdb, expw))
    # A picture planted twice makes its two copies a pair too.
    copies_of: dict[str, list[str]] = {}
    for copy, original in copies:
        copies_of.setdefault(original, []).append(copy)
    siblings = {frozenset((a, b)) for of_one in copies_of.values() for a in of_one for b in of_one if a != b}
    assert len(planted) >= 7
    assert found - siblings == planted


def test_all_pairs_within_are_those_across_with_oneself(prints: dict[str, pl.DataFrame]) -> None:
    one = prints["demo-expw"]
    across = {pair for pair in as_sets(near_duplicates(one, one)) if len(pair) == 2}
    assert as_sets(near_duplicates(one)) == across


def test_other_expressions_in_one_scene_are_not_duplicates_though_their_hashes_are_near(warps: pl.DataFrame) -> None:
    """By hashes alone, distance 4 chains most of the 300 to one group."""
    bits = warps["phash"].to_numpy()
    near_NN = np.bitwise_count(bits[:, None] ^ bits[None, :]) <= 4
    reached = np.zeros(WARPS, bool)
    reached[0] = True
    for _ in range(WARPS):
        reached = near_NN[reached].any(axis=0)
    assert reached.sum() > 100
    groups = group_images(near_duplicates(warps))
    assert max(Counter(groups.values()).values(), default=1) <= 2
    assert len(groups) <= WARPS // 50


def looks(img: Image.Image) -> np.ndarray:
    return np.asarray(img.convert("L").resize((THUMB_PX, THUMB_PX), Image.Resampling.BOX))[None]


@settings(max_examples=40)
@given(st.integers(0, 3), st.floats(0.5, 1.6), st.floats(0.85, 1.05), st.floats(-10, 6), st.integers(60, 95))
def test_a_copy_resized_recoloured_and_encoded_again_is_a_near_duplicate(
    tmp_path_factory: pytest.TempPathFactory, which: int, size: float, gain: float, offset: float, quality: int
) -> None:
    portrait = Image.fromarray(portraits()[which].cutouts[0][..., :3])
    folder = tmp_path_factory.mktemp("copies")
    portrait.save(folder / "one.jpg", quality=95)
    copy = portrait.resize((round(portrait.width * size), round(portrait.height * size)), Image.Resampling.LANCZOS)
    pixels = (np.asarray(copy) * gain + offset).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "two.jpg", quality=quality)
    prints = fingerprint_images(folder, ["one.jpg", "two.jpg"], folder / "cache.parquet")
    (pair,) = near_duplicates(prints).to_dicts()
    assert (pair["image_path"], pair["other_path"], pair["identical"]) == ("one.jpg", "two.jpg", False)


def test_difference_is_nothing_for_the_same_and_large_for_strangers() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, 256, (2, 5, THUMB_PX, THUMB_PX), dtype=np.uint8)
    np.testing.assert_allclose(difference(one, one), 0)
    np.testing.assert_allclose(difference(one, (one // 2 + 40).astype(np.uint8)), 0, atol=0.05)
    assert difference(one, two).min() > 4 * MAX_DIFFERENCE
    flat = np.full((1, THUMB_PX, THUMB_PX), 7, np.uint8)
    np.testing.assert_allclose(difference(flat, flat), 0)  # and no division by zero


def made_prints(hashes: list[int], thumbs: list[int], files: list[int]) -> pl.DataFrame:
    """Prints of made-up looks: small numbers that stand for hashes, thumbnails and contents."""
    patterns = np.random.default_rng(0).integers(0, 256, (8, THUMB_PX**2), dtype=np.uint8)
    return pl.DataFrame(
        {
            "image_path": [f"{number:02d}.jpg" for number in range(len(hashes))],
            "sha256": [f"file {number}" for number in files],
            "phash": pl.Series(hashes, dtype=pl.UInt64),
            "thumb": [patterns[number].tobytes() for number in thumbs],
        }
    )


looks_alike = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), min_size=1, max_size=30)


@settings(max_examples=60)
@given(looks_alike, st.integers(1, 50))
def test_identical_files_are_paired_with_the_first_of_them(images: list[tuple[int, int]], at_once: int) -> None:
    looks_N, files_N = [look for look, _ in images], [10 * look + file for look, file in images]
    prints = made_prints([0] * len(images), looks_N, files_N)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "COMPARED_AT_ONCE", at_once)
        patch.setattr(duplicates, "CONFIRMED_AT_ONCE", at_once)
        pairs = near_duplicates(prints)
    assert pairs.schema == PAIR_SCHEMA
    assert pairs["identical"].sum() == len(files_N) - len(set(files_N))
    groups = group_images(pairs)
    for look in set(looks_N):  # all images of one look are one group
        names = {groups.get(f"{i:02d}.jpg", f"{i:02d}.jpg") for i, other in enumerate(looks_N) if other == look}
        assert len(names) == 1


def test_candidates_are_those_within_the_hash_distance() -> None:
    far = (1 << (MAX_HASH_DISTANCE + 1)) - 1
    prints = made_prints([0, far >> 1, far], [0, 0, 0], [0, 1, 2])
    assert as_sets(near_duplicates(prints)) == {frozenset(("00.jpg", "01.jpg")), frozenset(("01.jpg", "02.jpg"))}


pairs_of_images = st.lists(
    st.tuples(st.integers(0, 15), st.integers(0, 15)).filter(lambda p: p[0] != p[1]), max_size=40
)


@given(pairs_of_images)
def test_members_of_a_group_are_direct_duplicates_of_the_one_that_names_it(pairs: list[tuple[int, int]]) -> None:
    table = pl.DataFrame([(str(a), str(b), False, 1, 0.1) for a, b in pairs], schema=PAIR_SCHEMA, orient="row")
    groups = group_images(table)
    direct = as_sets(table)
    assert set(groups) == {name for pair in direct for name in pair}
    assert all(name == group or frozenset((name, group)) in direct for name, group in groups.items())
    assert all(groups[group] == group for group in groups.values())


@settings(max_examples=60)
@given(st.lists(st.integers(0, 6), min_size=20, max_size=60), st.data())
def test_no_copy_of_an_image_is_in_another_split(labels: list[int], data: st.DataObject) -> None:
    """Copies of copies are all copies of one picture: pairs of all of them are found, and they stand together."""
    sources = [data.draw(st.integers(0, i)) for i in range(len(labels))]
    picture = list(range(len(labels)))
    for i, source in enumerate(sources):
        picture[i] = picture[source] if source < i else i
    names = [f"{i}.jpg" for i in range(len(labels))]
    pairs = [
        (names[i], names[j], False, 0, 0.0) for i in range(len(labels)) for j in range(i) if picture[i] == picture[j]
    ]
    groups = group_images(pl.DataFrame(pairs, schema=PAIR_SCHEMA, orient="row"))
    rows = pl.DataFrame(
        {
            "label": pl.Series(labels, dtype=pl.Int8),
            "image_path": names,
            "official_split": pl.Series([None] * len(labels), dtype=pl.String),
            "problem": pl.Series([None] * len(labels), dtype=pl.String),
        }
    )
    split = split_rows(rows, groups, data.draw(st.integers(0, 3)))
    assert all(split[i] == split[picture[i]] for i in range(len(labels)))
