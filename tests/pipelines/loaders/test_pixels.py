"""Several loaders, one order; two decoders, one picture."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.loaders import LoaderConfig, open_loader
from tests.conftest import LOADERS_HERE, assert_alike


@pytest.mark.parametrize(("rank", "world_size"), [(0, 1), (1, 2)])
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("kind", LOADERS_HERE)
def test_every_loader_gives_the_batches_of_the_reference(
    records: Path, tmp_path: Path, kind: str, train: bool, rank: int, world_size: int
) -> None:
    split = LoaderConfig(variant=records, split="train", batch=8, train=train, seed=2, cache=tmp_path, workers=0)
    split = replace(split, kind=kind, rank=rank, world_size=world_size)
    with open_loader(split) as ours, open_loader(replace(split, kind="reference")) as plain:
        assert_alike(ours, plain, epoch=3)
