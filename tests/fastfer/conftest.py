"""A small demo study, made once a session: raw data, records, balanced records."""

from pathlib import Path

import polars as pl
import pytest

from fastfer.balance import BalanceConfig, balance
from fastfer.datasets.demo import DemoConfig, make_demo_data, read_truth
from fastfer.shards import ShardConfig, make_shards
from pipelines.records import sha256

SIZE_PX = 48
DEMO_SETS = ("demo-rafdb", "demo-expw")


def shard_config(raw: Path, out: Path, dataset: str, **changes: object) -> ShardConfig:
    settings: dict[str, object] = {"size_px": SIZE_PX, "shard_rows": 24, "workers": 2, **changes}
    return ShardConfig(dataset=dataset, data_root=raw / dataset, out=out, **settings)  # type: ignore[arg-type]


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder, by its path there."""
    return {str(path.relative_to(folder)): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def planted_copies(raw: Path) -> list[tuple[str, str]]:
    """The near-duplicates hidden in the demo sets: each copy and what it copies, as `<dataset>/<image>`."""
    truth = pl.concat(read_truth(raw / name) for name in DEMO_SETS).drop_nulls("duplicate_of")
    copy = pl.concat_str("dataset", "image", separator="/")
    return truth.select(copy.alias("copy"), "duplicate_of").unique(maintain_order=True).rows()


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`demo-rafdb` and `demo-expw` as folders of photographs, about 84 faces each."""
    folder = tmp_path_factory.mktemp("raw")
    make_demo_data(folder, DemoConfig(faces=84))
    return folder


@pytest.fixture(scope="session")
def shards(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`preprocessed` and `augmented` records of both demo sets."""
    out = tmp_path_factory.mktemp("shards")
    for dataset in DEMO_SETS:
        make_shards(shard_config(raw, out, dataset))
        balance(BalanceConfig(dataset=dataset, out=out))
    return out
