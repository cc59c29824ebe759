"""Settings that cannot be are refused before anything is opened."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.errors import InputError
from pipelines.loaders import LoaderConfig


def config(**changes: object) -> LoaderConfig:
    return replace(LoaderConfig(variant=Path("any"), split="train", batch=8, train=True), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"batch": 0}, "a batch of 0 images is impossible"),
        ({"batch": -1}, "a batch of -1 images is impossible"),
        ({"batch": 2.5}, "batch 2.5 is impossible: it must be a whole number"),
        ({"workers": -1}, "-1 workers are impossible"),
        ({"workers": "2"}, "workers '2' is impossible"),
        ({"seed": -1}, "the seed -1 is impossible"),
        ({"seed": 2**32}, "the seed 4294967296 is impossible"),
        ({"seed": 1.5}, "seed 1.5 is impossible"),
        ({"kind": "tar"}, "no loader 'tar'"),
        ({"place": "shelf"}, "no place 'shelf'"),
        ({"verify": "never"}, "no check 'never'"),
        ({"split": "dev"}, "no split 'dev'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_its_value(changes: dict[str, object], why: str) -> None:
    with pytest.raises(InputError, match=f"^{why}"):
        config(**changes)


@pytest.mark.parametrize("name", ["variant", "cache"])
def test_a_text_is_no_path(name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name} is the text 'here', where a path is wanted"):
        config(**{name: "here"})


@pytest.mark.parametrize(("rank", "world_size"), [(2, 2), (-1, 2), (0, 0)])
def test_a_rank_that_is_none_of_the_world_is_refused(rank: int, world_size: int) -> None:
    with pytest.raises(ValueError, match=f"^rank {rank} is not one of {world_size}"):
        config(rank=rank, world_size=world_size)
