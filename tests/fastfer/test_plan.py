"""What a study will take, told before anything is made."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from fastfer.datasets import Source
from fastfer.estimates import balanced, prospect
from fastfer.plan import plan_of
from fastfer.study import StudyConfig
from pipelines.records import read_info
from tests.fastfer.conftest import DEMO_SETS, SIZE_PX
from tests.fastfer.training.test_fit import train_config


def planned(raw: Path, out: Path) -> StudyConfig:
    train = train_config(out / "shards", out / "runs", epochs=2, aug="none", mixup=0.0)
    return StudyConfig(
        name="planned", datasets=DEMO_SETS, archs=("resnet10t",), augs=("none", "offline"), train=train,
        size_px=SIZE_PX, shard_rows=24, data_root=raw, results=out, reports=out,
    )  # fmt: skip


def test_before_anything_is_made_each_step_has_its_time_and_disk(raw: Path, tmp_path: Path, shards: Path) -> None:
    said: list[str] = []
    study = planned(raw, tmp_path)
    steps = plan_of(study, said.append)
    assert not any(step.done for step in steps)
    unknown = {step.name for step in steps if not (step.seconds and step.disk_bytes)}
    assert unknown == {step.name for step in steps if step.name.startswith("records of demo-rafdb+demo-expw")}
    assert not list(tmp_path.rglob("*.*"))  # a plan makes nothing
    assert "trying out the speed of mtcnn on demo-expw" in said
    for variant in ("preprocessed", "augmented"):
        folder = shards / "demo-rafdb" / variant
        step = next(step for step in steps if step.name == f"records of demo-rafdb, {variant}")
        split = "*" if variant == "preprocessed" else "train-*"
        real = sum(path.stat().st_size for path in folder.glob(f"{split}.tar"))
        assert 0.6 * real < (step.disk_bytes or 0) < 1.7 * real


def test_faces_are_counted_as_the_records_will_have_them(raw: Path, shards: Path) -> None:
    for dataset in DEMO_SETS:
        found = prospect(Source(dataset=dataset, root=raw / dataset), seed=0)
        counts = read_info(shards / dataset / "preprocessed").counts["train"]
        assert found is not None
        assert abs(found.train.total() - sum(counts.values())) <= 0.1 * sum(counts.values())


def test_without_the_dataset_nothing_is_promised(raw: Path, tmp_path: Path) -> None:
    study = replace(planned(raw, tmp_path), data_root=tmp_path / "nowhere")
    assert all(step.seconds is None for step in plan_of(study))


def test_balanced_classes_are_as_large_as_the_largest() -> None:
    assert balanced(Counter({0: 3, 2: 7})) == {0: 7, 2: 7}
    assert balanced(Counter()) == {}
