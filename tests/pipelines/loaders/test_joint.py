"""Several variants in one loader: nothing left out, the mixture that was asked for, rows that can be told apart."""

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

from pipelines.augment import DRAWN_BY_DALI, STRONG
from pipelines.augment.draws import PLANNED_IMAGES
from pipelines.errors import InputError
from pipelines.loaders import Batch, LoaderConfig, choose_loader, dali, joint, open_joint, open_loader
from pipelines.loaders.cache import decoded_bytes
from pipelines.loaders.opening import ROOM
from pipelines.records import SPLITS, read_info, read_manifest
from tests.conftest import assert_same_tail, make_records


@pytest.fixture(params=["dali", "resident", "reference"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_records(tmp_path_factory.mktemp("other"), per_split={"train": 15, "test": 9})


def parts(records: Path, other: Path, kind: str, **changes: object) -> list[LoaderConfig]:
    start = LoaderConfig(
        variant=records, split="train", batch=8, train=True, kind=kind, workers=0, cache=records.parent / "cache"
    )
    first = replace(start, **changes)
    return [first, replace(first, variant=other)]


def batches(
    configs: list[LoaderConfig], epoch: int = 0, consumed: int = 0, mixture: tuple[float, ...] | None = None
) -> list[Batch]:
    with open_joint(configs, mixture=mixture) as loader:
        loader.set_epoch(epoch, consumed=consumed)
        found = list(loader)
        assert len(found) + consumed == len(loader)
        return found


def rows(found: list[Batch]) -> list[int]:
    return [row for batch in found for row in batch.host_rows_B.tolist()]


def kept_rows(records: Path, other: Path, split: str) -> list[int]:
    tables = [read_manifest(folder) for folder in (records, other)]
    offsets = (0, len(tables[0]))
    return [
        offset + row
        for table, offset in zip(tables, offsets, strict=True)
        for row, where, status in table.select("row", "split", "status").iter_rows()
        if where == split and status == "kept"
    ]


def test_without_a_mixture_each_row_comes_once_and_only_the_short_batch_is_dropped(
    records: Path, other: Path, kind: str
) -> None:
    found = rows(batches(parts(records, other, kind)))
    assert len(found) == (47 + 15) // 8 * 8
    assert len(set(found)) == len(found)
    assert set(found) < set(kept_rows(records, other, "train"))
    every = rows(batches(parts(records, other, kind, drop_last=False)))
    assert sorted(every) == sorted(kept_rows(records, other, "train"))


def test_evaluation_gives_every_row_once_in_order(records: Path, other: Path, kind: str) -> None:
    found = rows(batches(parts(records, other, kind, split="test", train=False)))
    assert found == kept_rows(records, other, "test")


def test_a_mixture_brings_the_smaller_part_again_and_leaves_nothing_out(records: Path, other: Path, kind: str) -> None:
    first = len(read_manifest(records))
    found = batches(parts(records, other, kind, drop_last=False), mixture=(1, 1))
    counts = Counter(rows(found))
    assert set(counts) == set(kept_rows(records, other, "train"))
    from_each = [sum(count for row, count in counts.items() if (row < first) == own) for own in (True, False)]
    assert from_each == [47, 47]
    assert {count for row, count in counts.items() if row >= first} == {3, 4}  # 47 of 15
    keys = np.concatenate([batch.draw_keys_B for batch in found])
    assert len(set(keys.tolist())) == 94  # a row that comes again is augmented otherwise


def test_images_and_labels_are_those_of_the_rows(records: Path, other: Path, kind: str) -> None:
    of_row = {}
    for config, offset in zip(parts(records, other, kind), (0, len(read_manifest(records))), strict=True):
        with open_loader(replace(config, drop_last=False)) as alone:
            for batch in alone:
                for i, row in enumerate(batch.host_rows_B.tolist()):
                    of_row[row + offset] = (batch.img_BCHW[i].clone(), int(batch.label_B[i]))
    for batch in batches(parts(records, other, kind)):
        assert batch.rows_B.tolist() == batch.host_rows_B.tolist()
        for i, row in enumerate(batch.rows_B.tolist()):
            img, label = of_row[row]
            assert torch.equal(batch.img_BCHW[i], img)
            assert int(batch.label_B[i]) == label


def test_a_part_that_comes_again_comes_in_another_order(records: Path, other: Path, kind: str) -> None:
    small = rows(batches(parts(records, other, kind), mixture=(1.0, 3.0)))
    small = [row for row in small if row >= len(read_manifest(records))]
    once = len(set(small))
    passes = [small[start : start + once] for start in range(0, len(small) // once * once, once)]
    assert len(passes) > 3
    assert all(sorted(one) == sorted(passes[0]) for one in passes)
    assert len({tuple(one) for one in passes}) == len(passes)


def test_batches_are_mixed_and_differ_by_epoch(records: Path, other: Path, kind: str) -> None:
    first = len(read_manifest(records))
    found = batches(parts(records, other, kind))
    shares = [(batch.host_rows_B < first).mean() for batch in found]
    assert sum(0 < share < 1 for share in shares) >= 5
    assert rows(found) == rows(batches(parts(records, other, kind)))
    assert rows(found) != rows(batches(parts(records, other, kind), epoch=1))
    of_seeds = [(np.array(rows(batches(parts(records, other, kind, seed=seed)))) < first).tolist() for seed in (0, 1)]
    assert of_seeds[0] != of_seeds[1]  # not the images alone: their mixture, too


def test_an_iteration_ends_where_another_has_begun(records: Path, other: Path, kind: str) -> None:
    configs = parts(records, other, kind)
    with open_joint(configs) as loader:
        first = iter(loader)
        next(first)
        loader.set_epoch(1)
        second = iter(loader)
        begun = [next(second)]
        with pytest.raises(ValueError, match="another iteration of this loader has begun"):
            next(first)
        assert rows([*begun, *second]) == rows(batches(configs, epoch=1))


@pytest.mark.parametrize("planned", [PLANNED_IMAGES, 24])
def test_batches_tell_what_follows(
    records: Path, other: Path, kind: str, planned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Draws for it are made beforehand, if a policy will; the reference loader does not look ahead."""
    monkeypatch.setattr(joint, "PLANNED_IMAGES", planned)
    configs = parts(records, other, kind, drop_last=False)
    assert all(batch.coming_N is None for batch in batches(configs))
    configs = [replace(config, policy=STRONG) for config in configs]
    for consumed in (0, 3):
        found = batches(configs, epoch=1, consumed=consumed, mixture=(1.0, 2.0))
        told = []
        for place, batch in enumerate(found):
            assert batch.coming_N is not None
            follow = [key for later in found[place + 1 :] for key in later.draw_keys_B.tolist()]
            assert batch.coming_N.tolist() == follow[: len(batch.coming_N)]
            told.append(len(batch.coming_N))
        assert (sum(told) >= len(found) * 4) == (kind != "reference")  # the small part's passes are two batches each


@pytest.mark.parametrize("mixture", [None, (1.0, 2.0)])
def test_starting_after_some_batches_gives_the_identical_tail(
    records: Path, other: Path, kind: str, mixture: tuple[float, ...] | None
) -> None:
    assert_same_tail(partial(open_joint, parts(records, other, kind), mixture=mixture), epoch=1)


@pytest.mark.parametrize("world_size", [2, 3])
def test_evaluation_over_ranks_gives_every_row_of_every_part_once(
    records: Path, other: Path, kind: str, world_size: int
) -> None:
    ranks = [
        rows(batches(parts(records, other, kind, split="test", train=False, rank=rank, world_size=world_size)))
        for rank in range(world_size)
    ]
    assert sorted(row for found in ranks for row in found) == kept_rows(records, other, "test")


def test_ranks_take_the_same_steps_and_share_no_row(records: Path, other: Path, kind: str) -> None:
    ranks = [rows(batches(parts(records, other, kind, rank=rank, world_size=3))) for rank in range(3)]
    assert len({len(found) for found in ranks}) == 1
    assert len({row for found in ranks for row in found}) == sum(len(found) for found in ranks)


def test_what_cannot_be_mixed_is_refused(records: Path, other: Path, kind: str, tmp_path: Path) -> None:
    configs = parts(records, other, kind)
    with pytest.raises(ValueError, match="a joint loader needs a part"):
        open_joint([])
    for mixture in ((1.0,), (1.0, 0.0), (1.0, float("nan"))):
        with pytest.raises(InputError, match="positive share"):
            open_joint(configs, mixture=mixture)
    with pytest.raises(InputError, match="over 1024 times"):
        open_joint(configs, mixture=(1e-9, 1.0))
    smaller = make_records(tmp_path / "smaller", per_split={"train": 9}, size_px=16)
    with pytest.raises(InputError, match="size_px differ"):
        open_joint([configs[0], replace(configs[0], variant=smaller)])


def test_a_mixture_is_of_training_alone(records: Path, other: Path, kind: str) -> None:
    found = rows(batches(parts(records, other, kind, split="test", train=False), mixture=(1, 1)))
    assert found == kept_rows(records, other, "test")


def test_what_its_parts_have_drawn_the_joint_loader_says(
    records: Path, other: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dali, "DRAWS_ON", {"cpu"})
    with open_joint(parts(records, other, kind, policy=STRONG)) as loader:
        assert loader.drawn == (DRAWN_BY_DALI if kind == "dali" else frozenset())


def test_auto_is_decided_for_all_parts(
    records: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where each has room in memory, but not both, none is decoded beforehand."""
    configs = parts(records, other, "auto", cache=tmp_path)
    largest = sum(decoded_bytes(read_info(records), split) for split in SPLITS)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=largest / ROOM))
    assert [choose_loader(config)[0] for config in configs] == ["resident", "resident"]
    assert rows(batches(configs)) == rows(batches(parts(records, other, "dali")))
    assert list(tmp_path.iterdir()) == []


def test_statistics_are_those_of_all_images(records: Path, other: Path, kind: str) -> None:
    with open_joint(parts(records, other, kind)) as loader:
        infos = [read_info(folder) for folder in (records, other)]
        means = [one.pixel_mean[0] for one in infos]
        squares = [one.pixel_mean[0] ** 2 + one.pixel_std[0] ** 2 for one in infos]
        mean, square = ((47 * of[0] + 15 * of[1]) / 62 for of in (means, squares))
        assert loader.info.pixel_mean[0] == pytest.approx(mean, abs=1e-5)
        assert loader.info.pixel_std[0] == pytest.approx((square - mean**2) ** 0.5, abs=1e-5)
        assert loader.info.counts["train"]["circle"] == sum(
            read_info(folder).counts["train"]["circle"] for folder in (records, other)
        )
