"""Fingerprints: what images look like, read once, and again only if they changed."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastfer.datasets import fingerprints, per_image
from fastfer.datasets.fingerprints import (
    FINGERPRINTS_NAME,
    PRINT_SCHEMA,
    THUMB_PX,
    fingerprint_images,
    read_fingerprints,
)
from pipelines.errors import InputError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Nine pictures of many sizes, an empty file, and one that is no picture."""
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(9):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((90 + 60 * number, 400), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg")
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("no picture")
    return folder


NAMES = [*(f"{number}.jpg" for number in range(9)), "empty.jpg", "text.jpg", "missing.jpg", "../outside.jpg", "\0.jpg"]


def test_every_image_has_a_row_in_the_order_asked_for(root: Path, tmp_path: Path) -> None:
    found = fingerprint_images(root, NAMES, tmp_path / "cache.parquet")
    assert found.schema == PRINT_SCHEMA
    assert found["image_path"].to_list() == NAMES
    assert found["phash"].is_null().to_list() == [False] * 9 + [True] * 5
    assert found["sha256"][3] == hashlib.sha256((root / "3.jpg").read_bytes()).hexdigest()
    assert found["sha256"].is_null().to_list()[-3:] == [True] * 3
    assert {len(thumb) for thumb in found["thumb"].drop_nulls()} == {THUMB_PX**2}


def test_unchanged_images_are_not_read_again_and_changed_ones_are(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache.parquet"
    before = fingerprint_images(root, NAMES[:9], cache)
    read: list[str] = []
    original = fingerprints.read_bytes

    def remembered(folder: Path, name: str) -> bytes:
        read.append(name)
        return original(folder, name)

    monkeypatch.setattr(fingerprints, "read_bytes", remembered)
    assert fingerprint_images(root, NAMES[:9], cache).equals(before)
    assert read == []
    Image.new("RGB", (64, 64), "red").save(root / "4.jpg")
    after = fingerprint_images(root, NAMES[:9], cache)
    assert read == ["4.jpg"]
    assert after["sha256"][4] != before["sha256"][4]
    assert after["sha256"][3] == before["sha256"][3]


@pytest.mark.parametrize("damage", [b"", b"PAR1 not really", b"\0" * 5000])
def test_a_damaged_cache_is_made_anew(root: Path, tmp_path: Path, damage: bytes) -> None:
    cache = tmp_path / "cache.parquet"
    before = fingerprint_images(root, NAMES, cache)
    cache.write_bytes(damage)
    assert fingerprint_images(root, NAMES, cache).equals(before)


def test_stopped_in_the_middle_it_goes_on_there(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(per_image, "KEPT_EVERY", 3)
    cache = tmp_path / "cache.parquet"
    original, count = fingerprints.read_bytes, [0]

    def stopping(folder: Path, name: str) -> bytes:
        count[0] += 1
        if count[0] == 8:
            raise KeyboardInterrupt
        return original(folder, name)

    monkeypatch.setattr(fingerprints, "read_bytes", stopping)
    with pytest.raises(KeyboardInterrupt):
        fingerprint_images(root, NAMES[:9], cache, workers=1)
    count[0] = 100
    whole = fingerprint_images(root, NAMES[:9], cache, workers=1)
    assert count[0] == 103  # the last lot alone
    assert whole["phash"].null_count() == 0


def test_exif_orientation_and_kind_of_file_do_not_change_the_looks(root: Path, tmp_path: Path) -> None:
    with Image.open(root / "5.jpg") as image:
        exif = Image.Exif()
        exif[0x0112] = 6
        image.transpose(Image.Transpose.ROTATE_90).save(root / "turned.jpg", exif=exif, quality=95)
        image.save(root / "other.png")
    found = fingerprint_images(root, ["5.jpg", "turned.jpg", "other.png"], tmp_path / "cache.parquet")
    bits = found["phash"].to_numpy()
    assert np.bitwise_count(bits ^ bits[0]).max() <= 2


def test_without_fingerprints_the_command_that_makes_them_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"no {FINGERPRINTS_NAME} in .*: make shards DATASET=rafdb makes it"):
        read_fingerprints(tmp_path / "rafdb")
