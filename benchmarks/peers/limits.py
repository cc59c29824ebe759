"""What this machine can do at most: `limits.c`, compiled here, runs whole epochs without a word of Python in between.

`jpeg` decodes every file from memory with libjpeg-turbo; `gather` copies decoded images in a random order out of a
mapped file; `memcpy` copies the same file from front to back.
"""

import ctypes
import hashlib
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.protocol import Batch, Contender, Job, Records, raw_images, read_records, serve

CODE: Final = Path(__file__).with_name("limits.c")
COMPILE: Final = ("cc", "-O3", "-march=native", "-shared", "-fPIC", "-std=c11", "-Wall", "-Wextra", "-Werror")
LIBRARIES: Final = ("-lturbojpeg", "-lpthread")
_POINTER, _COUNT, _INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
ARGUMENTS: Final[dict[str, list[Any]]] = {
    "limit_decode": [_POINTER, _POINTER, _POINTER, _COUNT, _COUNT, _INT, _INT, _POINTER],
    "limit_gather": [_POINTER, _POINTER, _COUNT, _COUNT, _COUNT, _INT, _POINTER],
    "limit_copy": [_POINTER, _COUNT, _COUNT, _COUNT, _INT, _POINTER],
}
Run = Callable[[int, NDArray[np.uint8] | None], int]
"""One epoch: its number, and where its images go (None: they are overwritten). Returns the number of images."""


def compiled(work: Path) -> ctypes.CDLL:
    """The library, compiled once for each state of its code."""
    file = work / f"limits-{hashlib.sha256(CODE.read_bytes()).hexdigest()[:12]}.so"
    if not file.is_file():
        work.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        subprocess.run([*COMPILE, "-o", str(new), str(CODE), *LIBRARIES], check=True)
        new.replace(file)
    library = ctypes.CDLL(str(file))
    for name, arguments in ARGUMENTS.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, _COUNT
    return library


class Decode:
    """JPEG files in memory, decoded by `threads` threads."""

    def __init__(
        self, library: ctypes.CDLL, jpegs: Sequence[memoryview], *, side: int, batch: int, threads: int
    ) -> None:
        self._library, self._rest = library, (batch, side, threads)
        self._files = [np.frombuffer(bytes(jpeg), np.uint8) for jpeg in jpegs]
        self._addresses = np.array([file.ctypes.data for file in self._files], np.uint64)
        self._sizes = np.array([file.size for file in self._files], np.int64)

    def __call__(self, epoch: int, out: NDArray[np.uint8] | None) -> int:
        """Run one epoch."""
        order = _order(epoch, len(self._files))
        lists = (_address(array) for array in (self._addresses, self._sizes, order))
        return _checked(self._library.limit_decode(*lists, len(order), *self._rest, _address(out)))


def _gather(
    library: ctypes.CDLL, job: Job, pixels: NDArray[np.uint8], epoch: int, out: NDArray[np.uint8] | None
) -> int:
    order = _order(epoch, len(pixels))
    sizes = (len(pixels), job.batch, pixels[0].nbytes)
    return _checked(library.limit_gather(_address(pixels), _address(order), *sizes, job.workers, _address(out)))


def _copy(library: ctypes.CDLL, job: Job, pixels: NDArray[np.uint8], _epoch: int, out: NDArray[np.uint8] | None) -> int:
    sizes = (len(pixels), job.batch, pixels[0].nbytes)
    return _checked(library.limit_copy(_address(pixels), *sizes, job.workers, _address(out)))


def _address(array: NDArray[Any] | None) -> int | None:
    return None if array is None else array.ctypes.data


def _order(epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng(epoch).permutation(count)


def _checked(images: int) -> int:
    if images < 0:
        raise RuntimeError("a limit failed: a thread did not start, or an image could not be decoded")
    return images


def _of_files(library: ctypes.CDLL, job: Job, records: Records) -> Run:
    return Decode(library, records.views(), side=records.size_px, batch=job.batch, threads=job.workers)


def _of_pixels(
    work: Callable[[ctypes.CDLL, Job, NDArray[np.uint8], int, NDArray[np.uint8] | None], int],
    library: ctypes.CDLL,
    job: Job,
    records: Records,
) -> Run:
    def decode(jpeg: memoryview) -> NDArray[np.uint8]:
        img_HW = np.empty((records.size_px, records.size_px), np.uint8)
        Decode(library, [jpeg], side=records.size_px, batch=1, threads=1)(0, img_HW)
        return img_HW

    return partial(work, library, job, np.load(raw_images(job, decode) / "images.npy", mmap_mode="r"))


LIMITS: Final[dict[str, Callable[[ctypes.CDLL, Job, Records], Run]]] = {
    "jpeg": _of_files,
    "gather": partial(_of_pixels, _gather),
    "memcpy": partial(_of_pixels, _copy),
}


def prepare(job: Job) -> Contender:
    """The limit that the format names."""
    records = read_records(job)
    run = LIMITS[job.format](compiled(job.work), job, records)
    shape = (len(records), 1, records.size_px, records.size_px)
    return Contender(batches=partial(_batches, run, shape, job.batch), whole=lambda epoch: run(epoch, None))


def _batches(run: Run, shape: tuple[int, ...], batch: int, epoch: int) -> Iterator[Batch]:
    """An epoch for `check`: all of it at once, then in batches. A limit has no labels."""
    result = np.empty(shape, np.uint8)
    run(epoch, result)
    for first in range(0, len(result), batch):
        yield result[first : first + batch], None


if __name__ == "__main__":
    serve(prepare, formats=tuple(LIMITS), libraries=("numpy",))
