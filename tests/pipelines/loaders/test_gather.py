"""Gathered batches are the images asked for, in their order, in memory that nobody else has."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipelines.loaders.gather import MOST_BATCHES, OnDevice, batches_at_once, gather_of

CPU = torch.device("cpu")


@given(
    images=st.integers(1, 40),
    batch=st.integers(1, 9),
    channels=st.sampled_from([1, 3]),
    side=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_any_number_of_any_images_in_any_order(images: int, batch: int, channels: int, side: int, seed: int) -> None:
    torch.manual_seed(seed)
    img_NCHW = torch.randint(256, (images, channels, side, side), dtype=torch.uint8)
    order = torch.randint(images, (3 * images,))
    for gather in (gather_of(img_NCHW, CPU, batch), OnDevice(img_NCHW, batch)):
        found = [part for at_N in torch.split(order, gather.at_once) for part in gather(at_N)]
        assert torch.equal(torch.cat(found), img_NCHW[order])
        assert {len(part) for part in found[:-1]} <= {batch}
        assert all(part.is_contiguous() for part in found)


def test_what_is_held_is_not_written_again() -> None:
    img_NCHW = torch.arange(64, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    gather = gather_of(img_NCHW, CPU, 2)
    one, other = (iter(torch.split(torch.arange(64), gather.at_once)) for _ in range(2))
    held = [
        part[:, 0, 0, 0] for first, second in zip(one, other, strict=True) for part in (*gather(first), *gather(second))
    ]
    assert torch.cat(held).unique(return_counts=True)[1].tolist() == [2] * 64


@pytest.mark.parametrize(
    ("batch_bytes", "cache_bytes", "expected"),
    [(3_211_264, 300 << 20, MOST_BATCHES), (3_211_264, 32 << 20, 2), (3_211_264, 0, 1), (100 << 20, 32 << 20, 1)],
    ids=["room for all", "for two", "an unknown cache", "a batch larger than it"],
)
def test_as_many_batches_at_once_as_the_cache_has_room_for(batch_bytes: int, cache_bytes: int, expected: int) -> None:
    assert batches_at_once(batch_bytes, cache_bytes) == expected
