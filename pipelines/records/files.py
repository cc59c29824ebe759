"""Files and folders that are whole or not there: written under another name, locked, and known by their checksums."""

import errno
import fcntl
import glob
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pipelines.errors import InputError
from pipelines.records.places import is_local

MIB: Final = 2**20
STALE_S: Final = 3600
"""No single write takes so long."""
NO_LOCKS: Final = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP}
"""What a disk without locks says."""
UNFINISHED: Final = ".unfinished"
"""How a folder's name ends that is being written."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that `path` is old, new, or absent, never half.

    On a disk: a temporary name in the same folder, synced and renamed. In an object store: one PUT.

    Raises:
        OSError: it cannot be written (a full disk, say); names `path`.
    """
    if not is_local(path):
        path.write_bytes(content)
        return
    if path.is_dir():  # one that may have no name of its own, such as "."
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    _remove_stale(path)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _remove_stale(path: Path) -> None:
    """Remove what processes left that were killed while they wrote this file."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > STALE_S:
                left.unlink()


@contextmanager
def atomic_folder(out: Path, *, over: bool = True) -> Iterator[Path]:
    """A new folder of this machine beside `out` that takes its place if all goes well, and vanishes if not.

    What a process left that was killed meanwhile vanishes with the next.

    Raises:
        InputError: there is something in `out` in the end, which must not be replaced (`over`).
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    busy = "its writer lives"
    for left in out.parent.glob(f".{glob.escape(out.name)}-*{UNFINISHED}"):
        with suppress(OSError, InputError), file_lock(left, busy=busy):
            shutil.rmtree(left)
    with (
        tempfile.TemporaryDirectory(prefix=f".{out.name}-", suffix=UNFINISHED, dir=out.parent) as temporary,
        file_lock(Path(temporary), busy=busy),
    ):
        new, old = Path(temporary) / "new", Path(temporary) / "old"
        new.mkdir()
        yield new
        if over and out.exists():
            out.replace(old)
        try:
            new.replace(out)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            raise InputError(f"{out} is not empty any more, and stays as it is: choose another folder") from None


@contextmanager
def file_lock(path: Path, *, busy: str | None = None) -> Iterator[None]:
    """Hold a lock file, or a folder, of this machine: one process at a time, and none longer than it lives.

    On a disk that knows no locks, as some clusters' do not, nobody is kept out.

    Raises:
        InputError: another process holds it, and `busy` is to be said of that; without it, this one waits.
    """
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if busy is None else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(busy) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield
    finally:
        os.close(descriptor)


def sha256(path: Path, advance: Callable[[int], None] = lambda _mib: None) -> str:
    """The file's SHA-256 as hexadecimal digits; `advance` is told of every MiB."""
    digest, block = hashlib.sha256(), bytearray(MIB)
    view = memoryview(block)
    with path.open("rb") as file:
        while count := file.readinto(block):
            digest.update(view[:count])
            advance(1)
    return digest.hexdigest()
