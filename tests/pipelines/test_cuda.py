"""What only a GPU can show: the pixels of the host, nobody who waits, nobody who writes where another still reads."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.augment import DRAWN_BY_DALI, STRONG
from pipelines.augment.online import OnlinePolicy, normalise
from pipelines.loaders import Batch, LoaderConfig, dali, open_loader, prefetch, prefetched
from tests.conftest import make_records

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda")
PLACES = ("device", "pinned", "mapped")
TWO_BATCHES = {"cuda": 2 * 16 * 96 * 96}
"""Made ready at once. With all batches of an epoch in one group no memory would be let go while others are made."""
GROUPS_AHEAD = 2 * 4
"""Batches of the groups that may be ready, used and made at a time: an epoch must have more."""
SLEEP_CYCLES = 20_000_000
"""Some 10 ms: what is done afterwards must wait for it."""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_records(
        tmp_path_factory.mktemp("many"), per_split={"train": 640, "test": 96}, shard_rows=64, size_px=96
    )


def config(records: Path, kind: str, **changes: object) -> LoaderConfig:
    start = LoaderConfig(
        variant=records, split="train", batch=16, train=True, kind=kind, device="cuda", cache=records.parent / "cache"
    )
    return replace(start, **changes)  # type: ignore[arg-type]


def images_of(config: LoaderConfig) -> torch.Tensor:
    """On the host, in the order of the manifest."""
    with open_loader(config) as loader:
        batches = [(batch.host_rows_B, batch.img_BCHW.cpu()) for batch in loader]
    order = np.argsort(np.concatenate([rows for rows, _ in batches]))
    return torch.cat([images for _, images in batches])[torch.from_numpy(order)]


@contextmanager
def nobody_waits() -> Iterator[None]:
    """torch raises an error where something would wait for the device."""
    torch.cuda.synchronize()
    with warnings.catch_warnings(action="ignore"):  # torch says that it does not see all
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("place", PLACES)
def test_resident_images_are_those_of_the_host_to_the_bit(many: Path, place: str) -> None:
    on_host = config(many, "resident", device="cpu", split="test", train=False)
    on_gpu = replace(on_host, device="cuda", place=place)
    assert torch.equal(images_of(on_gpu), images_of(on_host))


def test_jpegs_decoded_by_the_gpu_are_those_of_the_host_within_a_gray_level(many: Path) -> None:
    plain = images_of(config(many, "reference", device="cpu", split="test", train=False))
    decoded = images_of(config(many, "dali", split="test", train=False))
    assert (decoded.to(torch.int16) - plain.to(torch.int16)).abs().max() <= 1
    assert plain.float().std() > 10  # not blank


@pytest.mark.parametrize(("kind", "place"), [("dali", "auto"), *(("resident", place) for place in PLACES)])
def test_a_slow_consumer_reads_what_it_was_given(
    many: Path, kind: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches are let go before the device has read them: their memory must not be written before."""
    monkeypatch.setattr(dali, "IMAGES_AT_ONCE", 32)
    monkeypatch.setattr(prefetch, "TOGETHER", TWO_BATCHES)
    with open_loader(config(many, kind, place=place)) as loader:
        assert len(loader) > GROUPS_AHEAD
        expected = {}
        for batch in loader:
            expected |= dict(zip(batch.host_rows_B.tolist(), batch.img_BCHW.cpu(), strict=True))
        found = []
        for batch in prefetched(loader, _late_copy, CUDA):
            found.append((batch.host_rows_B, batch.img_BCHW))
        for rows, images in found:
            for row, image in zip(rows.tolist(), images.cpu(), strict=True):
                assert torch.equal(image, expected[row])


def _late_copy(batch: Batch) -> torch.Tensor:
    torch.cuda._sleep(SLEEP_CYCLES)
    return batch.img_BCHW.clone()


def test_what_is_prefetched_is_what_it_would_have_been(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "TOGETHER", TWO_BATCHES)
    policy = OnlinePolicy(STRONG, 0)

    def prepare(batch: Batch) -> torch.Tensor:
        img_BCHW = policy(batch.img_BCHW, batch.draw_keys_B, batch.state.epoch)
        return normalise(img_BCHW, [0.5], [0.25])

    with open_loader(config(many, "resident")) as loader:
        assert len(loader) > GROUPS_AHEAD
        plain = [prepare(batch).cpu() for batch in loader]
        ahead = []
        for batch in prefetched(loader, prepare, CUDA):
            torch.cuda._sleep(SLEEP_CYCLES)
            ahead.append(batch.img_BCHW * 1)
            del batch
    for mine, theirs in zip(ahead, plain, strict=True):
        torch.testing.assert_close(mine.cpu(), theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("backend", [None, "inductor"])
def test_nothing_waits_for_the_device(many: Path, backend: str | None) -> None:
    policy = OnlinePolicy(STRONG, 0, compile_backend=backend)
    with open_loader(config(many, "resident", place="device")) as loader:

        def epoch() -> None:
            for batch in loader:
                normalise(policy(batch.img_BCHW, batch.draw_keys_B, 0), [0.5], [0.25], torch.bfloat16)

        epoch()  # compiles, and makes what is kept
        with nobody_waits():
            epoch()


@pytest.mark.parametrize("backend", [None, "inductor"])
def test_the_policy_does_on_a_gpu_what_it_does_on_the_host(many: Path, backend: str | None) -> None:
    """But where a rounding decides otherwise: a pixel at an edge, a level that equalises to another."""
    rows = np.arange(96) * 5
    img_BCHW = images_of(config(many, "resident", device="cpu", split="test", train=False))
    on_host = OnlinePolicy(STRONG, 3)(img_BCHW, rows, 1)
    policy = OnlinePolicy(STRONG, 3, compile_backend=backend)
    on_gpu = policy(img_BCHW.to(CUDA), rows, 1)
    assert on_gpu.is_cuda
    off = (on_gpu.cpu() - on_host).abs()
    assert off.mean() < 2e-4
    assert (off > 0.01).float().mean() < 2e-3
    assert torch.equal(policy(img_BCHW.to(CUDA), rows, 1), on_gpu)
    for i in (0, 17, 95):
        alone = policy(img_BCHW[i : i + 1].to(CUDA), rows[i : i + 1], 1)
        assert (alone[0] - on_gpu[i]).abs().mean() < 1e-4


def test_what_dali_draws_on_a_gpu_repeats_by_seed_and_epoch_and_resumes(
    many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dali, "IMAGES_AT_ONCE", 64)
    drawing = config(many, "dali", policy=STRONG)

    def epoch(number: int, consumed: int = 0) -> list[torch.Tensor]:
        with open_loader(drawing) as loader:
            assert loader.drawn == DRAWN_BY_DALI
            loader.set_epoch(number, consumed=consumed)
            return [batch.img_BCHW.cpu() for batch in loader]

    whole = epoch(1)
    for consumed in (0, 1, 7, 39):
        assert all(map(torch.equal, epoch(1, consumed), whole[consumed:]))
    assert not torch.equal(epoch(2)[0], whole[0])


def test_closing_frees_the_devices_memory(many: Path) -> None:
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    with open_loader(config(many, "resident", place="device")) as loader:
        batch = next(iter(loader))
        assert torch.cuda.memory_allocated() - before >= 640 * 96 * 96
    del batch
    assert torch.cuda.memory_allocated() == before
