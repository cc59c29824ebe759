"""How much memory is free for this process: of the machine's, and of what its container may take (Linux cgroups)."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import psutil

PROCESS: Final = Path("/proc/self/cgroup")
"""The groups that the process is in, one a line: `0::/docker/c0ffee`, or `4:memory:/docker/c0ffee` of version 1."""
CONTROL: Final = Path("/sys/fs/cgroup")


class _Files(NamedTuple):
    """Where one version of cgroups tells: a group's limit, its use, and what of that is files, given back if needed."""

    root: str
    limit: str
    used: str
    files: str


_VERSIONS: Final = {
    "": _Files(".", "memory.max", "memory.current", "inactive_file"),
    "memory": _Files("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""By the controller that a line of `PROCESS` names: all of version 2, and that of version 1 for memory."""


def free_memory_bytes() -> int:
    """Memory that this process could take: the least of what the machine and each of its groups has left.

    Sources: the kernel's documents `cgroup-v2` (memory.max, memory.current, memory.stat) and `cgroup-v1/memory`.
    """
    of_machine: int = psutil.virtual_memory().available
    return min([of_machine, *_left_in_groups()])


def _left_in_groups() -> Iterator[int]:
    """Of every group with a limit that the process is in, directly or through another."""
    with suppress(OSError):  # no Linux
        for line in PROCESS.read_text(encoding="utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            for controller in _VERSIONS.keys() & controllers.split(","):
                files = _VERSIONS[controller]
                root = CONTROL / files.root
                mine = root / group.lstrip("/")  # a container may see its own group as the root, under another's name
                for folder in {mine, *(above for above in mine.parents if above.is_relative_to(root)), root}:
                    with suppress(OSError, ValueError):  # a root has no limit, and "max" is none
                        yield _left(folder, files)


def _left(folder: Path, files: _Files) -> int:
    limit, used = (int((folder / name).read_text(encoding="ascii")) for name in (files.limit, files.used))
    stated = (line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
    return max(0, limit - used + int(dict(stated).get(files.files, 0)))
