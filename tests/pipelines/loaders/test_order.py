"""Shares of ranks, of any number of samples."""

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pipelines.loaders import LoaderConfig
from pipelines.loaders.order import Share


def shares(samples: int, world_size: int, batch: int, *, train: bool, drop_last: bool = True) -> list[Share]:
    return [
        Share.of_samples(
            LoaderConfig(
                variant=Path("any"), split="train", batch=batch, train=train, drop_last=drop_last,
                rank=rank, world_size=world_size,
            ),
            samples,
        )
        for rank in range(world_size)
    ]  # fmt: skip


@given(st.integers(0, 500), st.integers(1, 9), st.integers(1, 70), st.booleans())
def test_in_training_all_ranks_take_the_same_steps_of_the_same_size(
    samples: int, world_size: int, batch: int, drop_last: bool
) -> None:
    """A rank with a step more would wait for the others for ever."""
    found = shares(samples, world_size, batch, train=True, drop_last=drop_last)
    assert len({(share.samples, share.batches) for share in found}) == 1
    smallest = samples // world_size
    is_dropped = drop_last and smallest >= batch  # a short batch that is the only one is kept
    assert found[0].samples == (smallest // batch * batch if is_dropped else smallest)
    assert found[0].batches == -(-found[0].samples // batch)
    for before, after in pairwise(found):
        assert before.first + before.samples <= after.first
    assert found[-1].first + found[-1].samples <= samples


@given(st.integers(0, 500), st.integers(1, 9), st.integers(1, 70))
def test_in_evaluation_every_sample_is_one_ranks(samples: int, world_size: int, batch: int) -> None:
    found = shares(samples, world_size, batch, train=False)
    taken = [place for share in found for place in range(share.first, share.first + share.samples)]
    assert taken == list(range(samples))
    assert all(share.batches == -(-share.samples // batch) for share in found)
