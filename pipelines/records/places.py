"""Folders and files on a disk or in an object store: the few operations that differ between them.

An address such as `s3://bucket/folder` becomes a `UPath` of universal_pathlib, which has the methods of `pathlib.Path`
that this project uses; it is typed as one. Keys and endpoints come from the environment, as its library reads them.
"""

import shutil
from pathlib import Path
from typing import Final, cast

from upath import UPath

from pipelines.errors import InputError

ON_THIS_MACHINE: Final = {"file", "local"}
"""Schemes that fsspec has for paths as they are."""


def parse_place(address: str) -> Path:
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
