"""A thread that looks at something again and again, and can harm nothing by it."""

import logging
import threading
from collections.abc import Callable
from typing import Final, Literal

Moment = Literal["start", "during", "end"]
"""When a sample is taken: as the context is entered, by the thread, as it is left."""
Sample = Callable[[Moment], bool]
"""Takes a sample; False when there will be no more to see."""

ENDS_WITHIN_S: Final = 10.0
"""A call that a broken driver never returns from is left to its (daemon) thread after that."""


class Sampling:
    """Takes a sample as it starts, then every `every_s` seconds in a thread, and one as it ends."""

    def __init__(self, sample: Sample, every_s: float) -> None:
        self._sample, self._every_s = sample, every_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="probe", daemon=True)

    def start(self) -> None:
        """Take the first sample and start the thread."""
        if self._take("start"):
            self._thread.start()

    def stop(self) -> None:
        """End the thread and take the last sample. Again, or where nothing was started, it does nothing."""
        if self._done.is_set():
            return
        was_seen = self._thread.is_alive()  # else there was nothing more to see
        self._done.set()
        if was_seen:
            self._thread.join(ENDS_WITHIN_S)
            if not self._thread.is_alive():
                self._take("end")

    def _watch(self) -> None:
        while not self._done.wait(self._every_s) and self._take("during"):
            pass

    def _take(self, moment: Moment) -> bool:
        try:
            return self._sample(moment)
        except Exception:  # what is watched shall go on, whatever becomes of the watching
            logging.getLogger(__name__).warning("sampling has ended: what was seen until now counts", exc_info=True)
            return False
