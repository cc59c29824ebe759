"""Folders and files on a disk or in an object store: the few operations that differ between them.

An address such as `s3://bucket/folder` becomes a `UPath` of universal_pathlib, which has the methods of `pathlib.Path`
that this project uses; it is typed as one. Keys and endpoints come from the environment, as its library reads them.
"""

import errno
import fcntl
import glob
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, cast

from upath import UPath

from pipelines.errors import InputError

STALE_S: Final = 3600
"""No single write takes so long."""
ON_THIS_MACHINE: Final = {"file", "local"}
"""Schemes that fsspec has for paths as they are."""
NO_LOCKS: Final = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP}
"""What a disk without locks says."""
UNFINISHED: Final = ".unfinished"
"""How a folder's name ends that is being written."""


def place(address: str) -> Path:
    """The folder or file that a user named: a path of this machine, or an fsspec address (`scheme://...`).

    Raises:
        InputError: the scheme is unknown, or its package is missing.
    """
    if "://" not in address:
        try:
            return Path(address).expanduser()
        except RuntimeError as error:
            raise InputError(f"{address} cannot be opened ({error})") from None
    try:
        found = UPath(address)
        _ = found.fs  # loads the package that the scheme needs
    except (ValueError, ImportError) as error:
        raise InputError(f"{address} cannot be opened ({error})") from None
    return Path(found.path) if found.protocol in ON_THIS_MACHINE else cast(Path, found)


def is_local(path: Path) -> bool:
    """Whether the path is on a file system of this machine, and not in an object store."""
    return isinstance(path, Path)


def make_folder(path: Path) -> None:
    """Make a folder and those above it; an object store has none to make."""
    if is_local(path):
        path.mkdir(parents=True, exist_ok=True)


def remove_folder(path: Path) -> None:
    """Remove a folder and all in it, if it is there."""
    if is_local(path):
        shutil.rmtree(path, ignore_errors=True)
    elif path.exists():
        cast(UPath, path).fs.rm(cast(UPath, path).path, recursive=True)


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
def replacing(out: Path, *, over: bool = True) -> Iterator[Path]:
    """A new folder of this machine beside `out` that takes its place if all goes well, and vanishes if not.

    What a process left that was killed meanwhile vanishes with the next.

    Raises:
        InputError: there is something in `out` in the end, which must not be replaced (`over`).
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    busy = "its writer lives"
    for left in out.parent.glob(f".{glob.escape(out.name)}-*{UNFINISHED}"):
        with suppress(OSError, InputError), alone(left, busy=busy):
            shutil.rmtree(left)
    with (
        tempfile.TemporaryDirectory(prefix=f".{out.name}-", suffix=UNFINISHED, dir=out.parent) as temporary,
        alone(Path(temporary), busy=busy),
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
def alone(path: Path, *, busy: str | None = None) -> Iterator[None]:
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


def sha256(path: Path) -> str:
    """The file's SHA-256 as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
