"""Several loaders, one order; two decoders, one picture."""

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.loaders import LoaderConfig, open_loader
from pipelines.records import ShardReader, read_info, write_info, write_shard
from tests.conftest import LOADERS_HERE, assert_alike, make_records

ORIENTATION = 0x0112
LIES_ON_ITS_SIDE = 6


@pytest.fixture(scope="module")
def rgb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_records(tmp_path_factory.mktemp("rgb"), per_split={"train": 12}, channels=3)


@pytest.mark.parametrize("kind", [*LOADERS_HERE, "reference"])
def test_colours_are_those_that_were_written(rgb: Path, tmp_path: Path, kind: str) -> None:
    """Red is the first; as Pillow decodes them."""
    (shard, *_), written = read_info(rgb).split_shards("train"), {}
    for name in [shard.name, *(more.name for more in _)]:
        with ShardReader(rgb, name) as reader:
            written |= {sample.row: np.asarray(Image.open(io.BytesIO(sample.jpeg))) for sample in reader}
    config = LoaderConfig(variant=rgb, split="train", batch=5, train=False, kind=kind, cache=tmp_path, workers=0)
    with open_loader(config) as loader:
        for batch in loader:
            assert batch.img_BCHW.shape[1:] == (3, 32, 32)
            for row, img_CHW in zip(batch.host_rows_B.tolist(), batch.img_BCHW, strict=True):
                off = img_CHW.permute(1, 2, 0).numpy().astype(int) - written.pop(row)
                assert np.abs(off).mean() < 1  # decoders differ in how they widen the colours' coarser grid
    assert not written


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


@pytest.mark.parametrize("kind", LOADERS_HERE)
def test_images_are_as_they_are_stored_whatever_a_camera_says(records: Path, tmp_path: Path, kind: str) -> None:
    """Boxes and labels are of these pixels; a writer of ours says nothing of an orientation."""
    folder = shutil.copytree(records, tmp_path / "copy")
    info = read_info(folder)
    test = info.split_shards("test")[0]
    with ShardReader(folder, test.name) as reader:
        turned = []
        for sample in reader:
            exif = Image.Exif()
            exif[ORIENTATION] = LIES_ON_ITS_SIDE
            jpeg = io.BytesIO()
            Image.open(io.BytesIO(sample.jpeg)).save(jpeg, "jpeg", quality=95, exif=exif)
            turned.append(replace(sample, jpeg=jpeg.getvalue()))
    new = write_shard(folder, test.name, "test", turned)
    write_info(folder, replace(info, shards=[new if shard is test else shard for shard in info.shards]))
    config = LoaderConfig(variant=folder, split="test", batch=8, train=False, kind=kind, cache=tmp_path, workers=0)
    with open_loader(config) as ours, open_loader(replace(config, kind="reference", variant=records)) as plain:
        ours.set_epoch(0)
        for mine, theirs in zip(ours, plain, strict=True):
            assert (mine.img_BCHW.int() - theirs.img_BCHW.int()).abs().float().mean() < 3  # encoded twice
