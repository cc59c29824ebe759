"""No one is locked in: records as folders of JPEGs and as parquet, byte for byte."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from fastfer.export import export
from pipelines.errors import InputError
from pipelines.records import ShardReader, read_info, write_info, write_shard
from tests.conftest import on_small_disk

DATASET = "demo-rafdb"


def stored(shards: Path) -> dict[str, tuple[str, bytes, int, int]]:
    """By key: split, JPEG, label, row."""
    folder = shards / DATASET / "preprocessed"
    found = {}
    for shard in read_info(folder).shards:
        with ShardReader(folder, shard.name) as reader:
            found |= {one.key: (shard.split, one.jpeg, one.label, one.row) for one in reader}
    return found


def test_folder_holds_every_sample_under_its_split_and_class(shards: Path, tmp_path: Path) -> None:
    into = tmp_path / "faces"
    count = export(shards, DATASET, "preprocessed", "folder", into)
    expected = stored(shards)
    assert count == len(expected) == len(list(into.rglob("*.jpg")))
    labels = pl.read_csv(into / "labels.csv")
    assert len(labels) == count
    for path, split, label, name, key, row in labels.iter_rows():
        assert (split, (into / path).read_bytes(), label, row) == expected[key]
        assert Path(path).parts[:2] == (split, name)


def test_parquet_holds_every_sample(shards: Path, tmp_path: Path) -> None:
    count = export(shards, DATASET, "preprocessed", "parquet", tmp_path / "faces")
    expected = stored(shards)
    found = {
        row["key"]: (path.name.split("-")[0], row["image"]["bytes"], row["label"], row["row"])
        for path in sorted((tmp_path / "faces").glob("*.parquet"))
        for row in pl.read_parquet(path).iter_rows(named=True)
    }
    assert found == expected
    assert count == len(expected)


@pytest.mark.parametrize(
    ("to", "into", "says"),
    [
        ("tfrecord", "new", "no export to 'tfrecord': choose one of folder, parquet, beton"),
        ("beton", "new", "needs the package ffcv"),
        ("folder", "full", "is there already: choose another INTO="),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_leaves_nothing(
    shards: Path, tmp_path: Path, to: str, into: str, says: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=says):
        export(shards, DATASET, "preprocessed", to, tmp_path / into)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.txt"]


def test_the_current_folder_is_not_replaced(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="is there already: choose another INTO="):
        export(shards, DATASET, "preprocessed", "folder", Path())


def test_what_appears_meanwhile_is_not_lost(shards: Path, tmp_path: Path) -> None:
    into = tmp_path / "faces"

    @contextmanager
    def appearing(title: str, **_more: object) -> Iterator[Callable[[int], None]]:
        if title.startswith("Exporting"):
            into.mkdir()
            (into / "thesis.txt").write_text("mine")
        yield lambda _count: None

    with pytest.raises(InputError, match=r"faces is not empty any more, and stays as it is"):
        export(shards, DATASET, "preprocessed", "folder", into, track=appearing)
    assert [path.name for path in tmp_path.rglob("*")] == ["faces", "thesis.txt"]


@pytest.mark.parametrize("to", ["folder", "parquet"])
def test_a_full_disk_is_one_sentence(shards: Path, tmp_path: Path, to: str) -> None:
    records = f"--dataset {DATASET} --variant preprocessed --out {shards.absolute()}"
    words = f"shards export {records} --to {to} --into {tmp_path}/disk/faces"
    done, left = on_small_disk(tmp_path / "disk", "96k", f"{sys.executable} -m fastfer {words}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "No space left on device; put that right" in done.stderr
    assert not list(left.iterdir())


@pytest.mark.parametrize("to", ["folder", "parquet"])
def test_a_sample_of_no_class_is_one_sentence_and_leaves_nothing(shards: Path, tmp_path: Path, to: str) -> None:
    folder = shutil.copytree(shards / DATASET / "preprocessed", tmp_path / "shards" / DATASET / "preprocessed")
    info = read_info(folder)
    first, *others = info.shards
    with ShardReader(folder, first.name) as reader:
        samples = [replace(sample, label=9) for sample in reader]
    write_info(folder, replace(info, shards=[write_shard(folder, first.name, first.split, samples), *others]))
    with pytest.raises(InputError, match=rf"{first.name}: {samples[0].key} has the label 9, which is no class"):
        export(tmp_path / "shards", DATASET, "preprocessed", to, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]
