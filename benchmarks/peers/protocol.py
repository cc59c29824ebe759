"""The side of the protocol that every rival shares: its arguments, our records, the commands, what is measured.

A rival is run as `python -m benchmarks.peers.<name> --source DIR --work DIR ...` from the repository's root. It makes
its own copy of the data once, prints one JSON line (`ready`: versions), and answers each line on its input with one
JSON line: `check N` walks through epoch N and says what was delivered; `turn N MS` only runs epochs from N on, timed as
one, until so many milliseconds have passed; `quit` or the end of the input ends it. Errors are on stderr, with a
non-zero exit. Batches are handed over on the device that was asked for; those that a contender leaves on the host are
brought there here.

Only numpy and the standard library, and torch for a GPU alone: this module runs in every environment, and so knows our
records by their files.
"""

import argparse
import hashlib
import json
import mmap
import os
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal, TextIO

import numpy as np
from numpy.typing import NDArray

Mode = Literal["decode", "augment"]
Batch = tuple[Any, Any]
"""Images (`B x 1 x H x W`, uint8, or float32 in 0..1) and their labels, or None where a contender has none."""
FLIP_PROBABILITY: Final = 0.5
ROTATION_DEGREES: Final = (-20.0, 20.0)
SCALE: Final = (0.85, 1.15)
CONTRAST: Final = (0.75, 1.2)
"""A factor about black."""
BRIGHTNESS: Final = (-0.12, 0.12)
"""Added afterwards, in units of white; then the result is clipped to 0..1."""
SPLIT: Final = "train"
"""Whose images are handled."""
STAMP: Final = "source"
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What a rival is asked to do, as its command line says it."""

    source: Path
    work: Path
    batch: int
    workers: int
    mode: Mode
    format: str
    device: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """A rival ready to run: `batches(epoch)` delivers every image once, shuffled.

    `whole` is for those that need no batch handed over: it runs an epoch and returns the number of images. `close`
    ends what would keep the process alive. `wait` returns when the device has done what it was told to.
    """

    batches: Callable[[int], Iterable[Batch]]
    whole: Callable[[int], int] | None = None
    close: Callable[[], None] = lambda: None
    wait: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Records:
    """The shards of SPLIT: `spans` are (shard, offset, size) of each JPEG, in stored order."""

    size_px: int
    tars: list[Path]
    indexes: list[Path]
    spans: list[tuple[int, int, int]]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.spans)

    def views(self) -> list[memoryview]:
        """The JPEG files, as views of the mapped shards."""
        maps = [memoryview(_mapped(tar)) for tar in self.tars]
        return [maps[shard][offset : offset + size] for shard, offset, size in self.spans]


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def read_records(job: Job) -> Records:
    """Our records of gray images as any program may read them: `dataset.json`, and the index beside each tar.

    Raises:
        ValueError: the images are not gray, or the split is empty.
    """
    info = json.loads((job.source / "dataset.json").read_text(encoding="utf-8"))
    names = [shard["name"] for shard in info["shards"] if shard["split"] == SPLIT]
    if info["channels"] != 1 or not names:
        raise ValueError(f"{job.source} has {len(names)} shards of {SPLIT} and {info['channels']} channels")
    spans, labels = [], []
    for shard, name in enumerate(names):
        tar = _mapped(job.source / f"{name}.tar")
        for members in _index(job.source / f"{name}.idx"):
            spans.append((shard, *members["jpg"]))
            labels.append(_digit(tar, members["cls"]))
    return Records(
        size_px=info["size_px"],
        tars=[job.source / f"{name}.tar" for name in names],
        indexes=[job.source / f"{name}.idx" for name in names],
        spans=spans,
        labels=np.array(labels, np.int64),
    )


def _index(path: Path) -> Iterator[dict[str, tuple[int, int]]]:
    """The members of each sample: `{extension: (offset, size)}`."""
    for line in path.read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split(" ")
        yield {fields[i]: (int(fields[i + 1]), int(fields[i + 2])) for i in range(0, len(fields), 4)}


def _digit(tar: mmap.mmap, span: tuple[int, int]) -> int:
    return int(tar[span[0] : sum(span)])


def converted(job: Job, name: str, write: Callable[[Path], None]) -> Path:
    """The folder `name` of the work folder, written from the source unless it is there already, whole.

    It holds a stamp of the records it was made from: other records are converted anew.
    """
    folder = job.work / name
    origin = hashlib.sha256((job.source / "dataset.json").read_bytes()).hexdigest()
    with suppress(OSError):
        if (folder / STAMP).read_text(encoding="ascii") == origin:
            return folder
    job.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=job.work) as temporary:
        new = Path(temporary) / "new"
        new.mkdir()
        write(new)
        (new / STAMP).write_text(origin, encoding="ascii")
        if folder.exists():
            shutil.rmtree(folder)
        new.replace(folder)
    return folder


def raw_images(job: Job, decode: Callable[[memoryview], NDArray[np.uint8]]) -> Path:
    """The folder of `images.npy` (uint8 `N x H x W`), decoded once by whoever comes first."""

    def write(folder: Path) -> None:
        records = read_records(job)
        shape = (len(records), records.size_px, records.size_px)
        images = np.lib.format.open_memmap(folder / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
        for i, view in enumerate(records.views()):
            images[i] = decode(view).reshape(shape[1:])
        images.flush()

    return converted(job, "raw", write)


@dataclass(frozen=True, slots=True)
class Draws:
    """One set of parameters per image, each of shape `B`; `flip` is -1 or 1."""

    flip: NDArray[np.float64]
    radians: NDArray[np.float64]
    scale: NDArray[np.float64]
    contrast: NDArray[np.float64]
    brightness: NDArray[np.float64]

    def linear(self) -> NDArray[np.float64]:
        """`B x 2 x 2`: from a place in the result to one in the image, both relative to the centre."""
        cos, sin = np.cos(self.radians) / self.scale, np.sin(self.radians) / self.scale
        return np.stack([self.flip * cos, sin, -self.flip * sin, cos], axis=-1).reshape(-1, 2, 2)


def draw(rng: np.random.Generator, count: int) -> Draws:
    """The augmentation of `count` images, for rivals that draw their parameters themselves."""
    return Draws(
        flip=np.where(rng.random(count) < FLIP_PROBABILITY, -1.0, 1.0),
        radians=np.deg2rad(rng.uniform(*ROTATION_DEGREES, count)),
        scale=rng.uniform(*SCALE, count),
        contrast=rng.uniform(*CONTRAST, count),
        brightness=rng.uniform(*BRIGHTNESS, count),
    )


def serve(prepare: Callable[[Job], Contender], *, formats: Sequence[str], libraries: Sequence[str]) -> None:
    """Run a rival: read the arguments, prepare it, and answer commands until there are no more."""
    job = _job(formats)
    with answers() as out:
        contender = _delivering(prepare(job), job.device)
        converse(out, libraries, {verb: partial(command, contender) for verb, command in COMMANDS.items()})
        contender.close()


def converse(out: TextIO, libraries: Sequence[str], commands: Mapping[str, Callable[..., dict[str, Any]]]) -> None:
    """Say that it is ready, with which versions; then answer each line (a verb and whole numbers) until `quit`."""
    _say(out, {"ready": {name: version(name) for name in libraries} | {"python": sys.version.split()[0]}})
    for line in iter(sys.stdin.readline, ""):
        verb, *numbers = line.split()
        if verb == "quit":
            break
        _say(out, commands[verb](*map(int, numbers)))


def _job(formats: Sequence[str]) -> Job:
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=Path, required=True, help="a variant folder of our records")
    parser.add_argument("--work", type=Path, required=True, help="where the converted data is kept")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--mode", choices=["decode", "augment"], default="decode")
    parser.add_argument("--format", choices=formats, default=formats[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where batches are handed over")
    return Job(**vars(parser.parse_args()))


def _delivering(contender: Contender, device: str) -> Contender:
    """The same with every batch of images on the device; nobody waits for it but at the end of an epoch."""
    if device == "cpu" or contender.whole is not None:
        return contender
    import torch

    def batches(epoch: int) -> Iterator[Batch]:
        for images, labels in contender.batches(epoch):
            yield torch.as_tensor(images).to(device, non_blocking=True), labels

    return replace(contender, batches=batches, wait=torch.cuda.synchronize)


def answers() -> TextIO:
    """The real standard output; whatever else writes there, C libraries included, lands on stderr from now on."""
    real = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(real, "w", encoding="utf-8")


def _say(out: TextIO, answer: Mapping[str, Any]) -> None:
    out.write(json.dumps(answer) + "\n")
    out.flush()


def _turn(contender: Contender, first: int, least_ms: int) -> dict[str, Any]:
    """Epochs one after the other, one at least, timed from the request for the first batch to the last one's end.

    Between short epochs there is no pause in which caches and processors cool down.
    """
    cpu_before = tree_cpu_seconds(os.getpid())
    started = time.perf_counter()
    images, number = 0, first
    while number == first or time.perf_counter() - started < least_ms / 1000:
        if contender.whole is None:
            images += sum(len(batch[0]) for batch in contender.batches(number))
        else:
            images += contender.whole(number)
        number += 1
    contender.wait()
    seconds = time.perf_counter() - started
    cpu_seconds = tree_cpu_seconds(os.getpid()) - cpu_before
    return {"epochs": number - first, "images": images, "seconds": seconds, "cpu_seconds": cpu_seconds}


def _check(contender: Contender, number: int) -> dict[str, Any]:
    """One epoch, looked at: images, how many are distinct, their mean in 0..1, a batch's shape and type, labels."""
    total, images = 0.0, 0
    distinct: set[int] = set()
    labels: list[int] = []
    first: dict[str, Any] = {}
    for batch, batch_labels in contender.batches(number):
        pixels = _on_host(batch)
        first = first or {"shape": list(pixels.shape), "dtype": str(pixels.dtype)}
        total += float(pixels.mean(dtype=np.float64)) * len(pixels) / (255 if pixels.dtype == np.uint8 else 1)
        images += len(pixels)
        distinct.update(zlib.crc32(image.tobytes()) for image in pixels)
        if batch_labels is not None:
            labels += _on_host(batch_labels).ravel().tolist()
    found = {"images": images, "distinct": len(distinct), "mean": total / images}
    return found | first | {"labels": np.bincount(labels).tolist() if labels else None}


def _on_host(values: Any) -> NDArray[Any]:
    """An array, or a tensor on any device."""
    return np.asarray(values.cpu() if hasattr(values, "cpu") else values)


COMMANDS: Final[Mapping[str, Callable[..., dict[str, Any]]]] = {"check": _check, "turn": _turn}


def _tree(root: int) -> list[int]:
    """A process and all below it."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (fields := _stat(int(folder.name))):
            parents[int(folder.name)] = int(fields[1])
    tree = [root]
    for process in tree:  # grows while it is walked
        tree += [child for child, parent in parents.items() if parent == process]
    return tree


def _stat(process: int) -> list[str]:
    """The fields of `/proc/<pid>/stat` behind the name (state, parent, ...); none when the process is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []


def tree_cpu_seconds(root: int) -> float:
    """User and system time of a process and all below it, with that of children that have ended."""
    return sum(sum(int(field) for field in _stat(process)[11:15]) for process in _tree(root)) / TICKS_PER_S
