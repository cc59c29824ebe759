"""Who is in evidence: the demo's truth, and scenes made by hand."""

from pathlib import Path

import polars as pl
import pytest

from fastfer.analysis import evidence
from fastfer.analysis.evidence import in_evidence, refuse_faceless, sampled_images, scenes_of
from fastfer.analysis.statistics import share_of
from fastfer.datasets import Source, read
from fastfer.datasets.demo import read_truth
from pipelines.errors import InputError


@pytest.fixture(scope="module")
def rows(raw: Path) -> pl.DataFrame:
    return read(Source(dataset="demo-expw", root=raw / "demo-expw")).rows.filter(pl.col("problem").is_null())


def test_the_truth_lies_in_the_interval_and_a_second_pass_is_free(
    raw: Path, rows: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = raw / "demo-expw"
    scenes = scenes_of(root, rows, tmp_path, "mtcnn", device="cpu")
    told = in_evidence(rows, scenes)
    truth = read_truth(root)
    share = share_of((~told["is_largest"]).to_numpy(), told["image_path"].to_numpy())
    assert share.low is not None
    assert share.high is not None
    assert share.low <= (~truth["is_largest"]).mean() <= share.high  # type: ignore[operator]
    assert set(truth["key"]) == set(told["key"])

    def refuse(*_args: object) -> None:
        raise AssertionError("searched already")

    monkeypatch.setattr(evidence, "_searched", refuse)
    assert scenes_of(root, rows, tmp_path, "mtcnn", device="cpu").equals(scenes)
    with pytest.raises(AssertionError, match="searched already"):
        scenes_of(root, rows.head(3), tmp_path, "mtcnn", device="cpu")


def test_a_missed_face_is_measured_by_its_annotated_box() -> None:
    rows = pl.DataFrame(
        {"image_path": ["a", "a", "b"], "key": ["found", "missed", "gone"],
         "box": [[0.0, 0, 10, 10], [40.0, 40, 70, 70], [0.0, 0, 1, 1]]}
    )  # fmt: skip
    scenes = pl.DataFrame(
        [
            {"image_path": "a", "width": 100, "height": 100, "boxes": [[1.0, 1, 11, 11], [80.0, 80, 95, 95]],
             "sharpness": [5.0, 2.0], "annotated_sharpness": [4.0, 3.0]},
            {"image_path": "b"},
        ],
        schema=evidence.SCENE_SCHEMA,
    )  # fmt: skip
    told = {row["key"]: row for row in in_evidence(rows, scenes).to_dicts()}
    assert set(told) == {"found", "missed"}  # an unreadable image is left out
    assert told["found"]["faces"] == 3
    assert [told["found"][name] for name in evidence.EVIDENCE] == [False, False, True]
    assert [told["missed"][name] for name in evidence.EVIDENCE] == [True, True, False]


def test_a_sample_takes_whole_images(rows: pl.DataFrame) -> None:
    chosen = sampled_images(rows, 10, seed=1)
    assert chosen["image_path"].n_unique() == 10
    assert len(chosen) == len(rows.filter(pl.col("image_path").is_in(chosen["image_path"].implode())))
    assert sampled_images(rows, 10_000, seed=1).equals(rows)


def test_faces_without_boxes_cannot_be_compared() -> None:
    with pytest.raises(InputError, match="no face of rafdb has a box"):
        refuse_faceless(pl.DataFrame({"box": [None]}, schema={"box": pl.List(pl.Float64)}), "rafdb")
