"""The host's side of the protocol: a rival as a running process that answers line by line."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from benchmarks.peers.environments import is_ready, python_of

REPOSITORY: Final = Path(__file__).parents[2]
OWN: Final = "own"
"""The environment that this runs in."""
READY_WITHIN_S: Final = 900.0
"""It may have to convert the data first."""
ANSWERS_WITHIN_S: Final = 600.0
ENDS_WITHIN_S: Final = 20.0
TRACKER_ENDS_WITHIN_S: Final = 2.0
"""Python's resource tracker removes semaphores and shared memory after the process that left them."""
LAST_WORDS_WITHIN_S: Final = 2.0
"""It closes its output before it says why it fails."""
POLL_S: Final = 0.02
TAIL_LINES: Final = 15
COMPILED: Final = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
"""Where torch keeps what it has compiled: nobody's first epoch shall find what another one left there."""
ENVIRONMENT: Final = {"HF_HUB_OFFLINE": "1", "NO_ALBUMENTATIONS_UPDATE": "1", "PYTHONUNBUFFERED": "1"}


class PeerError(Exception):
    """A rival did not start, failed, or did not answer; carries the end of what it said."""


class PeerProcess:
    """`python -m benchmarks.peers.<module> --name value ...` of an environment, in a context: started and ready inside.

    `ready` holds the versions it runs with.

    Raises:
        PeerError: on entry or from any call, when the process is not well.
    """

    def __init__(self, title: str, module: str, environment: str, options: Sequence[str]) -> None:
        self.title, self.ready = title, dict[str, str]()
        self._environment = environment
        python = sys.executable if environment == OWN else str(python_of(environment))
        self._command = [python, "-m", f"benchmarks.peers.{module}", *options]

    def __enter__(self) -> Self:
        if self._environment != OWN and not is_ready(self._environment):
            raise PeerError(f"the environment {self._environment} is not there: make peers")
        self._said: IO[bytes] = tempfile.TemporaryFile()
        self._compiled = tempfile.TemporaryDirectory(prefix="compiled-", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            self._command,
            cwd=REPOSITORY,
            env=os.environ | ENVIRONMENT | dict.fromkeys(COMPILED, self._compiled.name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,  # so that its workers end with it
        )
        self._unread = b""
        try:
            self.ready = self._answer(READY_WITHIN_S)["ready"]
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.quit()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(ENDS_WITHIN_S)
        self._end()

    def quit(self) -> None:
        """Let it end, without waiting: several end at once if all are told so before their contexts end."""
        with suppress(OSError, PeerError):
            self._send("quit")

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(self, line: str) -> dict[str, Any]:
        """What it answers to a command."""
        self._send(line)
        return self._answer(ANSWERS_WITHIN_S)

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failure("has ended") from None

    def _answer(self, within_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        deadline = time.monotonic() + within_s
        while b"\n" not in self._unread:
            readable, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                raise self._failure(f"gave no answer in {within_s:.0f} s")
            if not (some := os.read(self._process.stdout.fileno(), 65536)):
                raise self._failure("has ended")
            self._unread += some
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _failure(self, what: str) -> PeerError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(LAST_WORDS_WITHIN_S)
        self._said.seek(0)
        tail = self._said.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
        return PeerError("\n".join([f"{self.title} {what}; it said:", *tail]))

    def _end(self) -> None:
        """End what is left of the process and its workers."""
        deadline = time.monotonic() + TRACKER_ENDS_WITHIN_S
        with suppress(ProcessLookupError):
            while self._process.poll() is not None and time.monotonic() < deadline:
                os.killpg(self._process.pid, 0)  # raises when nobody is left
                time.sleep(POLL_S)
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._compiled.cleanup()
        for pipe in (self._process.stdin, self._process.stdout, self._said):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
