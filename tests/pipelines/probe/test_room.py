"""How much memory is free: of the machine, or of the group that a container is in."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from pipelines.probe import free_memory_bytes, room

MACHINE_BYTES = 10_000


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all groups, on a machine that has `MACHINE_BYTES` left."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=MACHINE_BYTES))
    monkeypatch.setattr(room, "PROCESS", tmp_path / "cgroup")
    monkeypatch.setattr(room, "CONTROL", tmp_path / "groups")
    return tmp_path / "groups"


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_max", ".max").replace("_current", ".current")).write_text(f"{text}\n")
    (folder / "memory.stat").write_text("anon 5\ninactive_file 300\ntotal_inactive_file 40\n")


def test_a_group_that_holds_this_one_binds_it_too(groups: Path) -> None:
    """What it holds of files is given back when it is needed."""
    room.PROCESS.write_text("0::/batch/job\n")
    group(groups, memory_max="1", memory_current="1")  # a container that takes its own group for the root has this
    (groups / "memory.max").unlink()
    group(groups / "batch" / "job", memory_max="max", memory_current="50")
    group(groups / "batch", memory_max="1000", memory_current="900")
    assert free_memory_bytes() == 1000 - 900 + 300
    group(groups / "batch" / "job", memory_max="90", memory_current="50")
    assert free_memory_bytes() == 90 - 50 + 300
    group(groups, memory_max="310", memory_current="290")
    assert free_memory_bytes() == 310 - 290 + 300


def test_version_1_has_a_folder_for_memory(groups: Path) -> None:
    room.PROCESS.write_text("5:cpu,cpuacct:/job\n4:memory:/not/seen/from/here\n")
    group(groups / "memory")
    for name, text in (("memory.limit_in_bytes", "700"), ("memory.usage_in_bytes", "600")):
        (groups / "memory" / name).write_text(text)
    assert free_memory_bytes() == 700 - 600 + 40


@pytest.mark.parametrize("text", [None, "", "0::/\n", "0::/../../outside\n"])
def test_where_no_group_has_a_limit_the_machine_has(groups: Path, text: str | None) -> None:
    groups.mkdir()
    if text is not None:
        room.PROCESS.write_text(text)
    assert free_memory_bytes() == MACHINE_BYTES


def test_a_machine_with_less_than_its_groups_may_take_is_what_binds(groups: Path) -> None:
    room.PROCESS.write_text("0::/job\n")
    group(groups / "job", memory_max=str(2 * MACHINE_BYTES), memory_current="0")
    assert free_memory_bytes() == MACHINE_BYTES


def test_this_machine_has_some() -> None:
    assert 0 < free_memory_bytes() <= psutil.virtual_memory().total
