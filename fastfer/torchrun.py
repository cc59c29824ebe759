"""What torchrun tells each of its processes by its environment; without it there is one."""

import os
from typing import Final

from pipelines.errors import InputError

LEAST: Final = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_WORLD_SIZE": 1}
"""The smallest value of each variable, which is also what holds without torchrun."""
DIGITS: Final = 10
"""Nobody has as many processes as a number of so many digits."""


def _told(name: str) -> int:
    text = os.environ.get(name, str(LEAST[name]))
    if not (text.isascii() and text.isdecimal() and len(text) < DIGITS and int(text) >= LEAST[name]):
        raise InputError(
            f"{name} is {text[:DIGITS]!r} in the environment, where torchrun puts a whole number from {LEAST[name]}: "
            f"start several processes with torchrun, or one after `unset {name}`"
        )
    return int(text)


def is_first_process() -> bool:
    """Whether this is torchrun's first process, or the only one.

    Raises:
        InputError: the environment says something else than a number; and so do the functions below.
    """
    return _told("RANK") == 0


def world_size() -> int:
    """How many processes train together, on all machines."""
    return _told("WORLD_SIZE")


def local_world_size() -> int:
    """How many of them run on this machine: as many as on every other.

    Raises:
        InputError: as above, or `world_size` cannot be shared out so.
    """
    here, all_of_them = _told("LOCAL_WORLD_SIZE"), world_size()
    if all_of_them % here:
        raise InputError(f"{all_of_them} processes cannot be {here} on each machine: start them with torchrun")
    return here
