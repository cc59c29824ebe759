"""The photographs measured: against the demo's truth, and against images made for the purpose."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from fastfer.analysis import photographs as module
from fastfer.analysis.jpeg_quality import QUALITIES, jpeg_quality
from fastfer.analysis.photographs import (
    FACE_SCHEMA,
    IMAGE_SCHEMA,
    MEASURES,
    PHOTOGRAPHS_NAME,
    Photographs,
    measure,
    summary_of,
)
from fastfer.datasets import Source, read
from fastfer.datasets.demo import read_truth
from pipelines.errors import InputError

SIDE_PX = 100


@pytest.fixture(scope="module")
def expw(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Photographs:
    source = Source(dataset="demo-expw", root=raw / "demo-expw")
    return measure(source, tmp_path_factory.mktemp("measured"))


def write_expw(root: Path, images: dict[str, Image.Image], lines: list[str]) -> Source:
    """An ExpW folder of these images; a line is `name face top left right bottom confidence label`."""
    (root / "image" / "origin").mkdir(parents=True)
    (root / "label").mkdir()
    (root / "label" / "label.lst").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, image in images.items():
        image.save(root / "image" / "origin" / name, "JPEG", quality=90)
    return Source(dataset="expw", root=root)


def noise(seed: int = 0, side_px: int = SIDE_PX) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (side_px, side_px), dtype=np.uint8)
    return Image.fromarray(values).convert("RGB")


def test_every_readable_image_and_face_has_one_row(raw: Path, expw: Photographs) -> None:
    rows = read(Source(dataset="demo-expw", root=raw / "demo-expw")).rows.filter(pl.col("problem").is_null())
    assert expw.images.schema == IMAGE_SCHEMA
    assert expw.faces.schema == FACE_SCHEMA
    readable, skipped = set(expw.images["image_path"]), set(expw.unreadable["image_path"])
    assert len(skipped) > 0, "the demo set has broken files"
    assert readable.isdisjoint(skipped)
    assert readable | skipped == set(rows["image_path"])
    assert set(expw.faces["key"]) == set(rows.filter(pl.col("image_path").is_in(list(readable)))["key"])
    assert expw.images["faces_annotated"].sum() == len(expw.faces)


@pytest.mark.parametrize("dataset", ["demo-rafdb", "demo-expw"])
def test_sizes_and_areas_are_those_of_the_truth(raw: Path, dataset: str, tmp_path: Path) -> None:
    found = measure(Source(dataset=dataset, root=raw / dataset), tmp_path)
    for image in found.images.head(8).iter_rows(named=True):
        path = raw / dataset / image["image_path"]
        with Image.open(path) as opened:
            assert (image["width"], image["height"]) == opened.size
        assert image["file_bytes"] == path.stat().st_size
        assert image["megapixels"] == pytest.approx(image["width"] * image["height"] / 1e6)
        assert image["aspect"] == pytest.approx(image["width"] / image["height"])
    x0, y0, x1, y1 = (pl.col("box").list.get(i) for i in range(4))
    truth = read_truth(raw / dataset).select("key", area_px=(x1 - x0) * (y1 - y0))
    size = found.images.select("image_path", "megapixels")
    both = found.faces.join(truth, on="key").join(size, on="image_path")
    assert len(both) == len(found.faces)
    share = both["area_px"].to_numpy() / 1e6 / both["megapixels"].to_numpy()
    np.testing.assert_allclose(both["area_share"], share, rtol=0.12)  # boxes are annotated with some jitter


def test_which_face_is_largest_most_central_and_sharpest(tmp_path: Path) -> None:
    values = np.full((SIDE_PX, 2 * SIDE_PX), 128, np.uint8)
    values[70:90, 10:30] = np.asarray(noise(side_px=20).convert("L"))
    source = write_expw(
        tmp_path / "raw",
        {"two.jpg": Image.fromarray(values)},
        ["two.jpg 0 20 80 130 70 90 3", "two.jpg 1 70 10 30 90 50 4"],
    )
    faces = measure(source, tmp_path).faces
    assert faces["is_largest"].to_list() == [True, False]
    assert faces["is_most_central"].to_list() == [True, False]
    assert faces["is_sharpest"].to_list() == [False, True]
    assert faces["faces_annotated"].to_list() == [2, 2]
    assert faces["box_confidence"].to_list() == [90, 50]
    assert faces["area_share"].to_list() == pytest.approx([50 * 50 / 20_000, 20 * 20 / 20_000])


def test_the_largest_face_of_all_is_the_largest_of_those_annotated(raw: Path, expw: Photographs) -> None:
    truth = read_truth(raw / "demo-expw").select("key", truly="is_largest")
    several = expw.faces.filter(pl.col("faces_annotated") > 1).join(truth, on="key")
    found = several.filter("truly")["is_largest"]
    assert len(found) > 5
    assert found.mean() > 0.9  # boxes are annotated with some jitter
    lonely = expw.faces.filter(pl.col("faces_annotated") == 1)
    assert lonely["is_largest"].all()
    assert lonely["is_most_central"].all()
    assert lonely["is_sharpest"].all()


def test_a_face_without_a_box_has_no_measures_of_one(tmp_path: Path) -> None:
    aligned = tmp_path / "train" / "1"
    for split in ("train", "test"):
        for number in range(1, 8):
            (tmp_path / split / str(number)).mkdir(parents=True)
    noise().save(aligned / "a.jpg")
    faces = measure(Source(dataset="rafdb", root=tmp_path), tmp_path / "out").faces
    assert faces.select("area_share", "is_largest", "is_most_central", "is_sharpest").row(0) == (None,) * 4


def test_flat_blurred_and_dark_images_measure_so(tmp_path: Path) -> None:
    large = noise(side_px=600)
    images = {
        "noise.jpg": large,
        "blurred.jpg": large.resize((60, 60), Image.Resampling.BOX).resize((600, 600), Image.Resampling.BICUBIC),
        "gray.jpg": Image.new("RGB", (40, 80), (100, 100, 100)),
    }
    source = write_expw(tmp_path / "raw", images, [f"{name} 0 1 1 20 20 90 0" for name in images])
    found = {row["image_path"].split("/")[-1]: row for row in measure(source, tmp_path).images.iter_rows(named=True)}
    assert found["gray.jpg"]["brightness"] == pytest.approx(100, abs=1)
    assert found["gray.jpg"]["contrast"] == pytest.approx(0, abs=0.5)
    assert found["gray.jpg"]["sharpness"] == pytest.approx(0, abs=0.5)
    assert (found["gray.jpg"]["width"], found["gray.jpg"]["height"]) == (40, 80)
    assert found["noise.jpg"]["sharpness"] > 10 * found["blurred.jpg"]["sharpness"]


def test_jpeg_quality_is_what_the_file_was_saved_with(tmp_path: Path) -> None:
    for quality in QUALITIES:
        path = tmp_path / "saved.jpg"
        noise(side_px=16).save(path, quality=quality)
        with Image.open(path) as image:
            assert jpeg_quality(image.quantization[0]) == quality  # type: ignore[attr-defined]


def test_unchanged_images_are_not_read_again_but_changed_files_and_boxes_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {f"{number}.jpg": noise(number) for number in range(3)}
    lines = [f"{name} 0 10 10 60 60 90 3" for name in images]
    source = write_expw(tmp_path / "raw", images, lines)
    before = measure(source, tmp_path / "shards")
    assert (tmp_path / "shards" / "expw" / PHOTOGRAPHS_NAME).is_file()
    read_again: list[str] = []
    original = module.read_bytes

    def remembered(root: Path, name: str) -> bytes:
        read_again.append(name)
        return original(root, name)

    monkeypatch.setattr(module, "read_bytes", remembered)
    again = measure(source, tmp_path / "shards")
    assert again.images.equals(before.images)
    assert again.faces.equals(before.faces)
    assert read_again == []
    noise(9, side_px=50).save(tmp_path / "raw" / "image" / "origin" / "1.jpg")
    lines[2] = lines[2].replace(" 60 60 ", " 50 50 ")
    (tmp_path / "raw" / "label" / "label.lst").write_text("\n".join(lines))
    after = measure(source, tmp_path / "shards")
    assert sorted(read_again) == ["image/origin/1.jpg", "image/origin/2.jpg"]
    assert after.images["width"].to_list() == [SIDE_PX, 50, SIDE_PX]
    assert after.faces["area_share"][2] == pytest.approx(0.16)


def test_the_summary_has_a_row_for_every_measure(expw: Photographs) -> None:
    summary = summary_of(expw)
    assert summary["measure"].to_list() == [one.name for one in MEASURES]
    width = summary.row(0, named=True)
    assert width["median"] == pytest.approx(expw.images["width"].median())
    assert width["n"] == len(expw.images)
    assert json.loads(json.dumps(summary.to_dicts()))  # plain numbers


def test_a_summary_of_nothing_is_nulls() -> None:
    nothing = Photographs(IMAGE_SCHEMA.to_frame(), FACE_SCHEMA.to_frame(), pl.DataFrame())
    summary = summary_of(nothing)
    assert summary["n"].to_list() == [0] * len(MEASURES)
    assert summary["median"].null_count() == len(MEASURES)


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no folder .* with the expw dataset"):
        measure(Source(dataset="expw", root=tmp_path / "none"), tmp_path)
