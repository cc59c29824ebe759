"""Photographs that nobody vouches for: every kind becomes the right pixels, or is refused with a reason."""

import contextlib
import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fastfer.faces.images import UnreadableImageError, read_image

WIDTH, HEIGHT = 40, 24


def scene() -> Image.Image:
    """A left half of one colour and a right one of another: turned images can be told apart."""
    img_HWC = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    img_HWC[:, : WIDTH // 2], img_HWC[:, WIDTH // 2 :] = (200, 60, 40), (30, 90, 180)
    return Image.fromarray(img_HWC)


def read(root: Path, name: str = "image.jpg") -> np.ndarray:
    return read_image(root, name)


def assert_is_the_scene(img_HWC: np.ndarray, within: int = 12) -> None:
    assert img_HWC.shape == (HEIGHT, WIDTH, 3)
    assert img_HWC.dtype == np.uint8
    assert np.abs(img_HWC[12, 5].astype(int) - (200, 60, 40)).max() <= within
    assert np.abs(img_HWC[12, 35].astype(int) - (30, 90, 180)).max() <= within


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "TIFF"])
def test_kinds_are_told_by_their_content_not_their_name(tmp_path: Path, kind: str) -> None:
    scene().save(tmp_path / "image.jpg", format=kind)
    assert_is_the_scene(read(tmp_path))


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_exif_orientation_comes_out_upright(tmp_path: Path, turn: int) -> None:
    undone = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transpose that stores an upright image under `turn`
    stored = scene() if turn == 1 else scene().transpose(Image.Transpose(undone[turn]))
    exif = Image.Exif()
    exif[0x0112] = turn
    stored.save(tmp_path / "image.jpg", exif=exif, quality=95)
    assert_is_the_scene(read(tmp_path))


def test_a_plain_jpeg_gives_what_pillow_gives(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (61, 83, 3), dtype=np.uint8)).save(tmp_path / "image.jpg", quality=80)
    with Image.open(tmp_path / "image.jpg") as image:
        assert np.abs(read(tmp_path).astype(int) - np.asarray(image.convert("RGB"))).max() <= 2


def test_gray_palette_and_cmyk_become_rgb(tmp_path: Path) -> None:
    scene().convert("L").save(tmp_path / "image.jpg")
    gray = read(tmp_path)
    assert (gray[..., 0] == gray[..., 2]).all()
    scene().convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "image.jpg", format="PNG")
    assert_is_the_scene(read(tmp_path))
    scene().convert("CMYK").save(tmp_path / "image.jpg", quality=95)
    assert_is_the_scene(read(tmp_path), within=20)


def test_sixteen_bits_become_the_upper_eight(tmp_path: Path) -> None:
    deep = np.full((HEIGHT, WIDTH), 0x8123, np.uint16)
    Image.fromarray(deep).save(tmp_path / "image.jpg", format="PNG")
    assert (read(tmp_path) == 0x81).all()


def test_see_through_pixels_lie_on_white(tmp_path: Path) -> None:
    image = scene().convert("RGBA")
    image.putalpha(0)
    image.save(tmp_path / "image.jpg", format="PNG")
    assert (read(tmp_path) == 255).all()
    half = scene().convert("P", palette=Image.Palette.ADAPTIVE)
    half.save(tmp_path / "image.jpg", format="PNG", transparency=half.getpixel((0, 0)))
    img_HWC = read(tmp_path)
    assert (img_HWC[12, 5] == 255).all()
    assert img_HWC[12, 35, 0] < 100


def test_pixels_without_a_range_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "image.jpg", format="TIFF")
    with pytest.raises(UnreadableImageError, match="no known range"):
        read(tmp_path)


def test_a_file_cut_short_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(buffer, format="JPEG")
    whole = buffer.getvalue()
    for share in (0.0, 0.02, 0.3, 0.6, 0.9):
        (tmp_path / "image.jpg").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(UnreadableImageError, match="unreadable image"):
            read(tmp_path)


def huge_png(side: int) -> bytes:
    """A well-formed PNG header that promises `side` x `side` pixels, and hardly any data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def test_sixty_thousand_pixels_a_side_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    (tmp_path / "image.jpg").write_bytes(huge_png(60_000))
    with pytest.raises(UnreadableImageError, match="too large"):
        read(tmp_path)
    (tmp_path / "image.jpg").write_bytes(huge_png(11_000))
    with pytest.raises(UnreadableImageError, match="too large"):
        read(tmp_path)


def test_a_zip_named_jpg_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "image.jpg", "w") as archive:
        archive.writestr("a.txt", "no picture")
    with pytest.raises(UnreadableImageError, match="not a picture"):
        read(tmp_path)


def test_no_path_leaves_the_dataset_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "inside").mkdir(parents=True)
    scene().save(tmp_path / "secret.jpg")
    (root / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "folder").symlink_to(tmp_path)
    for name in (
        "../secret.jpg",
        str(tmp_path / "secret.jpg"),
        "link.jpg",
        "folder/secret.jpg",
        "inside/../../secret.jpg",
    ):
        with pytest.raises(UnreadableImageError, match="leaves the dataset folder"):
            read(root, name)
    scene().save(root / "inside" / "good.jpg")
    (root / "alias.jpg").symlink_to(root / "inside" / "good.jpg")
    assert_is_the_scene(read(root, "alias.jpg"))


def test_what_is_not_there_or_no_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    for name in ("none.jpg", "folder.jpg", "n" * 5000):
        with pytest.raises(UnreadableImageError, match=r"missing image|cannot be read"):
            read(tmp_path, name)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_bytes_at_all_are_more_than_a_refusal(tmp_path: Path, data: st.DataObject) -> None:
    """Flipped and cut JPEGs and PNGs, and noise: an image or the one error."""
    buffer = io.BytesIO()
    scene().save(buffer, format=data.draw(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF"])))
    raw = bytearray(buffer.getvalue())
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=8)):
        raw[at] = data.draw(st.integers(0, 255))
    (tmp_path / "image.jpg").write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    with contextlib.suppress(UnreadableImageError):
        img_HWC = read(tmp_path)
        assert (img_HWC.ndim, img_HWC.shape[2], img_HWC.dtype) == (3, 3, np.uint8)
