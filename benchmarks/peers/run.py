"""The host's side: which rivals there are, and one of them as a running process that answers.

with Peer(CONTENDERS["FFCV, raw"], "decode", source=records, work=Path(".peers/work")) as peer:
    peer.check()
    rates = [one["images"] / one["seconds"] for one in map(peer.epoch, range(4))]
"""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from benchmarks.peers.environments import ROOT, is_ready, python_of
from benchmarks.peers.protocol import Mode

REPOSITORY: Final = Path(__file__).parents[2]
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
ENVIRONMENT: Final = {"HF_HUB_OFFLINE": "1", "NO_ALBUMENTATIONS_UPDATE": "1", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True, slots=True)
class Rival:
    """A row of the table: the module of `benchmarks.peers`, its format, its environment, and the modes it has."""

    module: str
    format: str
    environment: str
    modes: tuple[Mode, ...] = ("decode", "augment")


OWN: Final = "own"
"""The environment that this runs in."""
CONTENDERS: Final[Mapping[str, Rival]] = {
    "fastfer, dali": Rival("ours", "dali", OWN),
    "fastfer, resident": Rival("ours", "resident", OWN),
    "fastfer, reference": Rival("ours", "reference", OWN),
    "fastfer, resident, compiled": Rival("ours", "resident+compiled", OWN, ("augment",)),
    "fastfer, resident, whole strong policy": Rival("ours", "resident+strong", OWN, ("augment",)),
    "PyTorch DataLoader, Pillow, torchvision": Rival("pytorch_pil", "files", "current"),
    "PyTorch DataLoader, OpenCV, albumentations": Rival("pytorch_cv2", "files", "current"),
    "WebDataset, OpenCV, albumentations": Rival("webdataset", "tar", "current"),
    "DALI on the CPU": Rival("dali", "tar", "current"),
    "LitData, JPEG": Rival("litdata", "jpeg", "current"),
    "LitData, raw": Rival("litdata", "raw", "current"),
    "MosaicML Streaming, JPEG": Rival("mosaic", "jpeg", "current"),
    "MosaicML Streaming, raw": Rival("mosaic", "raw", "current"),
    "SPDL, simplejpeg": Rival("spdl", "jpeg", "current"),
    "FFCV, JPEG": Rival("ffcv", "jpeg", "ffcv"),
    "FFCV, raw": Rival("ffcv", "raw", "ffcv"),
    "FFCV, raw, augmented by OpenCV": Rival("ffcv", "raw+opencv", "ffcv", ("augment",)),
    "limit: libjpeg-turbo": Rival("limits", "jpeg", "limits", ("decode",)),
    "limit: gather of decoded images": Rival("limits", "gather", "limits", ("decode",)),
    "limit: memcpy": Rival("limits", "memcpy", "limits", ("decode",)),
}
"""Loaders, and what no loader can exceed."""
AUGMENTERS: Final[Mapping[str, Rival]] = {
    "fastfer": Rival("ours", "policy", OWN, ("augment",)),
    "fastfer, compiled": Rival("ours", "policy+compiled", OWN, ("augment",)),
    "fastfer, whole strong policy": Rival("ours", "policy+strong", OWN, ("augment",)),
    "fastfer, whole strong policy, compiled": Rival("ours", "policy+strong+compiled", OWN, ("augment",)),
    "kornia": Rival("augmenters", "kornia", "current", ("augment",)),
    "torchvision": Rival("augmenters", "torchvision", "current", ("augment",)),
    "albumentations": Rival("augmenters", "albumentations", "current", ("augment",)),
    "OpenCV in threads": Rival("augmenters", "cv2", "current", ("augment",)),
    "DALI on the CPU": Rival("augmenters", "dali", "current", ("augment",)),
}
"""Augmentation alone, of decoded images in memory."""


class PeerError(Exception):
    """A rival did not start, failed, or did not answer; carries the end of what it said."""


class Peer:
    """One rival as a process, in a context: started and ready inside, gone after it.

    `ready` holds the versions it runs with.

    Raises:
        PeerError: on entry or from any call, when the process is not well.
    """

    def __init__(
        self,
        rival: Rival,
        mode: Mode,
        *,
        source: Path,
        work: Path,
        batch: int = 64,
        workers: int = 2,
        split: str = "train",
        environments: Path = ROOT,
    ) -> None:
        if mode not in rival.modes:
            raise ValueError(f"{rival.module} {rival.format} has no mode {mode}")
        options = {
            "source": source.resolve(), "work": work.resolve(), "batch": batch, "workers": workers, "mode": mode,
            "format": rival.format, "split": split,
        }  # fmt: skip
        self.rival, self.ready = rival, dict[str, str]()
        self._environments = environments
        python = sys.executable if rival.environment == OWN else str(python_of(rival.environment, environments))
        self._command = [python, "-m", f"benchmarks.peers.{rival.module}"]
        self._command += [word for name, value in options.items() for word in (f"--{name}", str(value))]

    def __enter__(self) -> Self:
        if self.rival.environment != OWN and not is_ready(self.rival.environment, self._environments):
            raise PeerError(f"the environment {self.rival.environment} is not there: make peers")
        self._said: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command,
            cwd=REPOSITORY,
            env=os.environ | ENVIRONMENT,
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
        with suppress(OSError, PeerError):
            self._send("quit")
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(ENDS_WITHIN_S)
        self._end()

    def check(self, epoch: int = 0) -> dict[str, Any]:
        """Walk through an epoch: images, distinct, mean in 0..1, order, shape, dtype, contiguous, labels."""
        self._send(f"check {epoch}")
        return self._answer(ANSWERS_WITHIN_S)

    def epochs(self, first: int, count: int) -> dict[str, Any]:
        """Run `count` epochs from `first` on, timed as one: images, seconds, cpu_seconds, rss_mib, pss_mib."""
        self._send(f"epochs {first} {count}")
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
        return PeerError("\n".join([f"{self.rival.module} {self.rival.format} {what}; it said:", *tail]))

    def _end(self) -> None:
        """End what is left of the process and its workers."""
        deadline = time.monotonic() + TRACKER_ENDS_WITHIN_S
        with suppress(ProcessLookupError):
            while self._process.poll() is not None and time.monotonic() < deadline:
                os.killpg(self._process.pid, 0)  # raises when nobody is left
                time.sleep(POLL_S)
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._said):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
