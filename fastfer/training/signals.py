"""Ctrl-C and SIGTERM as a request: training stops where it can be taken up again."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether someone asked to stop; who asks twice does not wait."""

    def __init__(self) -> None:
        self._asked = False

    def __call__(self) -> bool:
        """Whether someone did."""
        return self._asked

    def take(self, _signal: int, _frame: FrameType | None) -> None:
        """A signal has come."""
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True


@contextmanager
def stop_requests(*, several_processes: bool) -> Iterator[StopRequest]:
    """Takes the signals within the context.

    Several processes could not agree on where to stop without asking each other at every step: there, and outside the
    main thread, the signals do what they always do.
    """
    request = StopRequest()
    if several_processes or threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.take) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
