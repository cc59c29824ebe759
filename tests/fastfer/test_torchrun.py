"""What torchrun says in the environment, and what somebody else may have left there."""

import pytest

from fastfer.torchrun import is_first_process, local_world_size, world_size
from pipelines.errors import InputError

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    assert (is_first_process(), world_size(), local_world_size()) == (True, 1, 1)


def test_torchrun_says_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(NAMES, ("3", "4", "2"), strict=True):
        monkeypatch.setenv(name, value)
    assert (is_first_process(), world_size(), local_world_size()) == (False, 4, 2)


@pytest.mark.parametrize(
    ("name", "value"),
    [("WORLD_SIZE", "abc"), ("WORLD_SIZE", ""), ("WORLD_SIZE", "0"), ("LOCAL_WORLD_SIZE", "0"), ("RANK", "-1")]
    + [(name, "9" * 5000) for name in NAMES],
)
def test_what_is_no_number_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    asked = is_first_process if name == "RANK" else local_world_size
    with pytest.raises(InputError, match=f"{name} is '{value[:9]}.* in the environment, .*`unset {name}`"):
        asked()


def test_processes_that_cannot_be_shared_out_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(InputError, match="3 processes cannot be 2 on each machine"):
        local_world_size()
