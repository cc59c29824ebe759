"""Memory is used again exactly when nobody can see it any more."""

import numpy as np
import torch

from pipelines.buffers import KEPT, Buffers


def test_memory_is_used_again_only_when_no_view_is_left() -> None:
    buffers = Buffers((4, 3), np.uint8)
    first = buffers.take()
    place = first.data_ptr()
    view = first[1:].view(-1)
    del first
    assert buffers.take().data_ptr() != place
    del view
    assert place in {buffers.take().data_ptr()}


def test_a_consumer_that_keeps_everything_shares_nothing() -> None:
    buffers = Buffers((16,), np.int64)
    held = [buffers.take().fill_(number) for number in range(3 * KEPT)]
    assert len({tensor.data_ptr() for tensor in held}) == 3 * KEPT
    assert [int(tensor[0]) for tensor in held] == list(range(3 * KEPT))
    assert all(tensor.dtype == torch.int64 for tensor in held)
