"""A contender that is a program: run from its start to its end, watched with all processes below it."""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import IO, Final

from benchmarks.peers.process import ENVIRONMENT, REPOSITORY
from benchmarks.watch import probe
from pipelines.probe import Reading

LAST_WORDS: Final = 300
"""Letters of the line that a program ended with, when it failed."""


class ProgramError(Exception):
    """A program ended with an error; carries its last line."""


def run_program(module: str, arguments: Sequence[str]) -> Reading:
    """Run `python -m module ...` in the repository to its end; what its whole tree of processes took.

    Raises:
        ProgramError: it failed.
    """
    with tempfile.TemporaryFile() as words:
        before_s = _children_s()
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=REPOSITORY,
            env=os.environ | ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=words,
        )
        watching = probe(process.pid)
        try:
            with suppress(ProcessLookupError), watching:  # it may have ended already
                process.wait()
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            raise ProgramError(f"{module} ended with {process.returncode}: {_last(words)}")
        seen = watching.reading()
        # The system tells of the program's last moments, which the probe misses; the probe of what nobody waited for,
        # such as the workers of a fork server.
        return replace(seen, cpu_s=max(seen.cpu_s, _children_s() - before_s))


def _children_s() -> float:
    """CPU seconds of the children of this process that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _last(words: IO[bytes]) -> str:
    """Its last line: of a traceback, the error."""
    words.seek(0)
    lines = [line.strip() for line in words.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][-LAST_WORDS:] if lines else "it said nothing"
