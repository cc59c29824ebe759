"""From photographs to records: every row accounted for, the right faces, the same bytes every time."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fastfer.datasets import Source, read
from fastfer.datasets.demo import read_truth
from fastfer.faces.align import ARCFACE_LMK_52
from fastfer.faces.match import iou
from fastfer.shards import make_shards
from fastfer.variants import PARTS
from pipelines.errors import InputError
from pipelines.records import ShardReader, decode_jpeg, find_faults, read_info, read_manifest
from tests.fastfer.conftest import DEMO_SETS, SIZE_PX, digests, shard_config

demo_sets = pytest.mark.parametrize("dataset", DEMO_SETS)


@demo_sets
def test_every_annotation_line_is_in_the_manifest_kept_or_with_a_reason(raw: Path, shards: Path, dataset: str) -> None:
    rows = read(Source(dataset=dataset, root=raw / dataset)).rows
    manifest = read_manifest(shards / dataset / "preprocessed")
    assert manifest["row"].to_list() == list(range(len(rows)))
    assert manifest["key"].to_list() == rows["key"].to_list()
    dropped = manifest.filter(pl.col("status") == "dropped")
    assert dropped["reason"].null_count() == 0
    assert manifest.filter(pl.col("status") == "kept")["shard"].null_count() == 0
    assert set(manifest["status"]) <= {"kept", "dropped"}
    if dataset == "demo-expw":  # its planted faults
        reasons = " ".join(dropped["reason"])
        assert all(reason in reasons for reason in ("missing image", "unreadable image", "repeats"))


@demo_sets
def test_records_are_sound_gray_and_of_the_size_asked_for(shards: Path, dataset: str) -> None:
    folder = shards / dataset / "preprocessed"
    assert find_faults(folder) == []
    info = read_info(folder)
    assert (info.channels, info.size_px, info.dataset) == (1, SIZE_PX, dataset)
    assert info.settings["detector"] == "mtcnn"
    assert not (folder / PARTS).exists()


@demo_sets
def test_the_face_found_is_the_annotated_one(raw: Path, shards: Path, dataset: str) -> None:
    kept = read_manifest(shards / dataset / "preprocessed").filter(pl.col("status") == "kept")
    assert (kept["how"] == "annotated box").mean() < 0.1
    truth = read_truth(raw / dataset)
    both = kept.join(truth, on="key", suffix="_true").filter(pl.col("face_landmarks").is_not_null())
    assert len(both) >= 0.9 * len(truth)
    for row in both.iter_rows(named=True):
        assert iou(np.array([row["face_box"]]), np.array([row["box_true"]]))[0, 0] > 0.3
    found, true = (np.array(both[name].to_list()).reshape(-1, 5, 2) for name in ("face_landmarks", "landmarks_true"))
    eyes_px = np.linalg.norm(true[:, 0] - true[:, 1], axis=-1)
    error = np.linalg.norm(found - true, axis=-1).mean(axis=1) / eyes_px
    assert np.median(error) < 0.1


def test_aligned_faces_have_their_eyes_where_the_template_says(shards: Path) -> None:
    """The mean aligned face is darkest, near the template's eyes, at those eyes."""
    folder = shards / "demo-rafdb" / "preprocessed"
    faces = []
    for shard in read_info(folder).split_shards("train"):
        with ShardReader(folder, shard.name) as reader:
            faces += [decode_jpeg(sample.jpeg) for sample in reader]
    mean = np.mean(faces, axis=0)
    scale = read_info(folder).settings["face_scale"]
    eyes = ((ARCFACE_LMK_52[:2] - 56) * scale + 56) / 112 * SIZE_PX
    for x, y in eyes.round().astype(int):
        cheek = mean[y + 6 : y + 9, x - 2 : x + 3].mean()
        assert mean[y - 1 : y + 2, x - 1 : x + 2].mean() < cheek


@demo_sets
def test_images_stay_together_and_splits_are_disjoint(shards: Path, dataset: str) -> None:
    kept = read_manifest(shards / dataset / "preprocessed").filter(pl.col("status") == "kept")
    by_image = kept.group_by("image_path").agg(pl.col("shard").n_unique(), pl.col("split").n_unique())
    assert by_image["shard"].max() == by_image["split"].max() == 1


@demo_sets
def test_the_same_input_gives_the_same_bytes_whatever_the_number_of_workers(
    raw: Path, shards: Path, tmp_path: Path, dataset: str
) -> None:
    make_shards(shard_config(raw, tmp_path, dataset, workers=1))
    assert digests(tmp_path / dataset / "preprocessed") == digests(shards / dataset / "preprocessed")


def test_a_finished_variant_is_reused_and_other_settings_are_refused(raw: Path, shards: Path) -> None:
    before = digests(shards / "demo-rafdb" / "preprocessed")
    make_shards(shard_config(raw, shards, "demo-rafdb"))
    assert digests(shards / "demo-rafdb" / "preprocessed") == before
    with pytest.raises(InputError, match=r"other settings \(seed.*remove it, or choose another OUT="):
        make_shards(shard_config(raw, shards, "demo-rafdb", seed=1))


def test_killed_in_the_middle_and_started_again_gives_the_same_bytes(raw: Path, shards: Path, tmp_path: Path) -> None:
    """SIGKILL to the whole process group once the first shard is finished, then the same command."""
    config = shard_config(raw, tmp_path, "demo-rafdb", workers=1)
    child = multiprocessing.get_context("spawn").Process(target=_in_own_group, args=(config,))
    child.start()
    parts = config.folder / PARTS
    while not list(parts.glob("*-*.json")):
        assert child.is_alive()
        time.sleep(0.01)
    os.killpg(child.pid or 0, signal.SIGKILL)
    child.join()
    assert not (config.folder / "dataset.json").exists()
    finished = {path.stem: path.stat().st_mtime_ns for path in parts.glob("*-*.json")}
    written = {name: (config.folder / f"{name}.tar").stat().st_mtime_ns for name in finished}
    make_shards(config)
    assert digests(config.folder) == digests(shards / "demo-rafdb" / "preprocessed")
    for name, when in written.items():  # what was finished was not made again
        assert (config.folder / f"{name}.tar").stat().st_mtime_ns == when


def _in_own_group(config: object) -> None:
    os.setpgid(0, 0)
    make_shards(config)  # type: ignore[arg-type]


def test_raw_is_the_annotated_box_without_detection_in_the_same_splits(raw: Path, shards: Path, tmp_path: Path) -> None:
    make_shards(shard_config(raw, tmp_path, "demo-expw", variant="raw"))
    folder = tmp_path / "demo-expw" / "raw"
    assert find_faults(folder) == []
    manifest = read_manifest(folder)
    assert set(manifest.filter(pl.col("status") == "kept")["how"]) == {"annotated box"}
    assert read_info(folder).settings["detector"] is None
    preprocessed = read_manifest(shards / "demo-expw" / "preprocessed")
    assert manifest.select("row", "key", "split").equals(preprocessed.select("row", "key", "split"))


def test_rgb_keeps_colour_and_what_was_recognised_is_said(raw: Path, shards: Path, tmp_path: Path) -> None:
    said: list[str] = []
    make_shards(shard_config(raw, tmp_path, "demo-rafdb", color="rgb"), say=said.append)
    assert "RAF-DB, original photographs in Image/original" in said[0]
    assert said[1] == "detector: mtcnn on cpu"
    folder, gray = (out / "demo-rafdb" / "preprocessed" for out in (tmp_path, shards))
    assert find_faults(folder) == []
    assert read_info(folder).channels == 3
    with ShardReader(folder, "test-00000") as coloured, ShardReader(gray, "test-00000") as plain:
        for one, other in zip(coloured, plain, strict=True):
            img_HWC = decode_jpeg(one.jpeg)
            assert (one.key, one.label, img_HWC.shape) == (other.key, other.label, (SIZE_PX, SIZE_PX, 3))
            luma = img_HWC @ np.array([0.299, 0.587, 0.114])
            assert np.abs(luma - decode_jpeg(other.jpeg)).mean() < 3


def test_the_whole_scene_is_counted_and_changes_no_choice(raw: Path, shards: Path, tmp_path: Path) -> None:
    make_shards(shard_config(raw, tmp_path, "demo-expw", scene="full"))
    before, after = (read_manifest(out / "demo-expw" / "preprocessed") for out in (shards, tmp_path))
    chosen = ["key", "split", "how", "face_box", "shard", "position"]
    assert after.select(chosen).equals(before.select(chosen))
    assert before["faces_in_image"].null_count() == before["is_largest"].null_count() == len(before)
    kept = after.filter(status="kept")
    assert (kept["faces_in_image"] >= kept["faces_annotated"]).mean() > 0.95
    truth = read_truth(raw / "demo-expw")
    both = kept.join(truth.select("key", true="is_largest"), on="key")
    assert len(both) == len(kept)
    assert (both["is_largest"] == both["true"]).mean() > 0.9
    assert both.filter(~pl.col("true"))["is_largest"].mean() < 0.1  # a larger bystander is seen


def test_aligned_faces_are_only_resized(raw: Path, shards: Path, tmp_path: Path) -> None:
    said: list[str] = []
    make_shards(shard_config(raw, tmp_path, "demo-rafdb", images="aligned"), say=said.append)
    assert said[1] == "no detection: faces as they are given"
    folder = tmp_path / "demo-rafdb" / "preprocessed"
    assert find_faults(folder) == []
    manifest = read_manifest(folder)
    assert set(manifest["how"]) == {"given"}
    assert manifest["key"].to_list() == read_manifest(shards / "demo-rafdb" / "preprocessed")["key"].to_list()


def test_a_sample_says_where_it_came_from(shards: Path) -> None:
    folder = shards / "demo-expw" / "preprocessed"
    with ShardReader(folder, "train-00000") as reader:
        sample = reader.read(0)
    row = read_manifest(folder).row(sample.row, named=True)
    assert sample.key == row["key"]
    assert sample.meta["source"] == row["image_path"]
    assert sample.meta["how"] == row["how"]
    assert json.loads(json.dumps(sample.meta)) == sample.meta


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"variant": "augmented"}, "no variant 'augmented'"),
        ({"detector": "haar"}, "no detector 'haar'"),
        ({"size_px": 0}, "size_px is 0"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_impossible_settings_are_refused(raw: Path, tmp_path: Path, change: dict[str, object], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        shard_config(raw, tmp_path, "demo-rafdb", **change)
