"""What several tests need: small records of generated images, made once a session."""

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test asks the network for weights
os.environ.setdefault("OMP_NUM_THREADS", "1")  # make test has a process on each core; torch looks when it is imported

import cv2
import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, settings

from pipelines.loaders import LOADERS, Batch, Loader
from pipelines.records import Sample, ShardReader, describe, encode_jpeg, sha256, tar_path, write_info, write_shard
from tests.browser import browser as browser
from tests.browser import open_page as open_page

PACKAGES = {"dali": "nvidia.dali", "ffcv": "ffcv"}
LOADERS_HERE = [kind for kind in LOADERS if kind not in PACKAGES or find_spec(PACKAGES[kind].split(".")[0])]
"""FFCV lives in an environment of its own, where DALI is not (`test_ffcv`)."""
ON_CUDA = " on cuda"
LOADERS_ON_CUDA = [pytest.param(f"{kind}{ON_CUDA}", marks=pytest.mark.gpu) for kind in LOADERS_HERE]
"""The same with their batches on a GPU."""
CLASSES = ("circle", "square", "cross")

settings.register_profile("untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")  # how long an example takes says what else the machine does, and is no failure


def pytest_configure(config: pytest.Config) -> None:
    """All tests run on the CPU, so that they ask the same of every machine; those of a GPU by `pytest -m gpu`."""
    if config.getoption("markexpr") != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device and pytest -m gpu")


def make_records(
    folder: Path,
    *,
    per_split: dict[str, int],
    shard_rows: int = 10,
    size_px: int = 32,
    channels: int = 1,
    labels: Sequence[int] = range(len(CLASSES)),
) -> Path:
    """A small finished variant: smooth random images, `labels` in turn, a dropped row after every seventh."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    rows: list[dict[str, object]] = []
    shards = []
    for split, count in per_split.items():
        for first in range(0, count, shard_rows):
            name = f"{split}-{first // shard_rows:05d}"
            samples = []
            for position in range(min(shard_rows, count - first)):
                if len(rows) % 8 == 7:
                    rows.append(_row(len(rows), labels, split, None))
                coarse = rng.integers(0, 255, (4, 4, channels), dtype=np.uint8)
                jpeg = encode_jpeg(cv2.resize(coarse, (size_px, size_px), interpolation=cv2.INTER_CUBIC))
                row = _row(len(rows), labels, split, (name, position))
                samples.append(Sample(str(row["key"]), jpeg, int(str(row["label"])), len(rows), {"note": "made"}))
                rows.append(row)
            shards.append(write_shard(folder, name, split, samples))
    pl.DataFrame(rows, schema_overrides={"row": pl.Int64, "label": pl.Int8}).write_parquet(folder / "manifest.parquet")
    info = describe(
        folder,
        shards,
        dataset="made",
        variant="preprocessed",
        classes=CLASSES,
        size_px=size_px,
        settings={},
        code_version="test",
    )
    write_info(folder, info)
    return folder


def _row(row: int, labels: Sequence[int], split: str, place: tuple[str, int] | None) -> dict[str, object]:
    return {
        "row": row,
        "key": f"key_{row:04d}",
        "label": labels[row % len(labels)],
        "split": split,
        "status": "kept" if place else "dropped",
        "reason": None if place else "made so",
        "shard": place[0] if place else None,
        "position": place[1] if place else None,
    }


def overwrite(folder: Path, shard: str, position: int, **members: bytes) -> None:
    """Other bytes in place of a sample's members, zeros behind them, and the checksum of that stated: as if written so.

    Only who looks at the sample itself can tell.
    """
    tar = tar_path(folder, shard)
    spans = ShardReader(folder, shard).spans
    with tar.open("r+b") as file:
        for member, data in members.items():
            offset, size = spans[member][position].tolist()
            assert len(data) <= size
            file.seek(offset)
            file.write(data.ljust(size, b"\0"))

    def say_so(stated: dict[str, Any]) -> None:
        for one in stated["shards"]:
            if one["name"] == shard:
                one["tar_sha256"] = sha256(tar)

    restate(folder, say_so)


def restate(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Another `dataset.json`."""
    path = folder / "dataset.json"
    stated = json.loads(path.read_text(encoding="utf-8"))
    change(stated)
    path.write_text(json.dumps(stated), encoding="utf-8")


def assert_same_tail(opened: Callable[[], Loader], *, epoch: int) -> None:
    """A loader that is opened anew after any batch of the epoch goes on with the very batches that were left."""
    whole = _batches(opened, epoch, 0)
    for consumed in range(len(whole) + 1):
        for again, first in zip(_batches(opened, epoch, consumed), whole[consumed:], strict=True):
            assert torch.equal(again.img_BCHW, first.img_BCHW)
            assert again.label_B.tolist() == first.label_B.tolist()
            assert again.rows_B.tolist() == again.host_rows_B.tolist() == first.host_rows_B.tolist()
            assert again.draw_keys_B.tolist() == first.draw_keys_B.tolist()
            assert again.state == first.state


def _batches(opened: Callable[[], Loader], epoch: int, consumed: int) -> list[Batch]:
    with opened() as loader:
        loader.set_epoch(epoch, consumed=consumed)
        found = list(loader)
        assert len(found) == len(loader) - consumed
        return found


def assert_alike(ours: Loader, plain: Loader, *, epoch: int, consumed: int = 0, taken: int | None = None) -> None:
    """The next batches of both are the same, but for what two JPEG decoders differ in."""
    for loader in (ours, plain):
        loader.set_epoch(epoch, consumed=consumed)
    pairs = list(zip(islice(ours, taken), islice(plain, taken), strict=True))
    assert len(pairs) == min(len(plain) - consumed, len(plain) if taken is None else taken)
    for a, b in pairs:
        assert a.host_rows_B.tolist() == a.rows_B.tolist() == b.host_rows_B.tolist()
        assert a.label_B.tolist() == b.label_B.tolist()
        assert a.state == b.state
        assert (a.img_BCHW.to(torch.int16) - b.img_BCHW.to(torch.int16)).abs().max() <= 1
        assert a.img_BCHW.float().std() > 10  # not blank


def on_small_disk(disk: Path, size: str, command: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run a shell command where the folder `disk` is a file system of that size; (how it ended, what it left)."""
    disk.mkdir()
    left = disk.with_name("left")
    inside = f"mount -t tmpfs -o size={size} tmpfs {disk} && {command}; code=$?; cp -r {disk} {left}; exit $code"
    words = ["unshare", "--map-root-user", "--mount", "sh", "-c", inside]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False), left


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_records(tmp_path_factory.mktemp("records"), per_split={"train": 47, "val": 11, "test": 23})
