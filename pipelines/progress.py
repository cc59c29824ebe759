"""How a long stage tells of its progress without knowing who listens (only the command line prints)."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Say = Callable[[str], None]
"""Is told, in a sentence, what was decided or done."""


class Track(Protocol):
    """Opens one progress bar: `with track("Sharding", total=1200, unit="faces") as advance: advance(1)`."""

    def __call__(self, title: str, *, total: int, unit: str) -> AbstractContextManager[Callable[[int], None]]:
        """Open a bar of `total` units; the context gives the function that advances it."""
        ...


@contextmanager
def untracked(title: str, *, total: int, unit: str) -> Iterator[Callable[[int], None]]:  # noqa: ARG001
    """A `Track` that shows nothing: for tests and for use as a library."""
    yield lambda _count: None


def unsaid(_line: str) -> None:
    """A `Say` that nobody hears."""
