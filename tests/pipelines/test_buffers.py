"""Memory is used again exactly when nobody can see it any more."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines import buffers as module
from pipelines.buffers import ALIGNMENT, KEPT, Blocks, Buffers, last_cache_bytes


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


def test_a_block_is_written_as_one_and_held_by_any_view_of_any_part() -> None:
    blocks = Blocks((3, 16), np.uint8, 2, word=torch.int64)
    whole, parts = blocks.take()
    assert (whole.shape, whole.dtype, whole.data_ptr() % ALIGNMENT) == ((6, 2), torch.int64, 0)
    whole.copy_(torch.arange(12).view(6, 2))
    assert torch.cat(parts).view(torch.int64).tolist() == whole.tolist()
    place, view = whole.data_ptr(), parts[1][2:, 3]
    del parts
    assert blocks.take().whole.data_ptr() != place
    del view
    assert blocks.take().whole.data_ptr() == place


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"index0": "48K\n", "index2": "2048K\n", "index3": "307200K\n"}, 307200 * 1024),
        ({"index0": "much\n"}, 0),
        ({}, 0),
    ],
    ids=["three caches", "not a size", "none told"],
)
def test_the_last_cache_is_the_largest(
    files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "size").write_text(text, encoding="ascii")
    monkeypatch.setattr(module, "CACHES", tmp_path)
    assert last_cache_bytes() == expected
