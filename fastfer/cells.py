"""Cells of the matrix, each one training with its test: run here, found done, or run by another process."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import MISSING, fields
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import torch

from fastfer.config import TrainConfig
from fastfer.evaluation.evaluate import FinishedRun, Loading, scores_of
from fastfer.torchrun import is_first_process
from fastfer.training.fit import OnEpoch, fit
from fastfer.training.run import Run
from pipelines.errors import InputError
from pipelines.progress import Say, Track, unsaid, untracked

EpochView = Callable[[str], AbstractContextManager[OnEpoch]]
"""Opens the view of a training by its name; the context gives the function that takes its epochs."""
LAST_LINES: Final = 3


def train_and_test(
    config: TrainConfig, *, track: Track, epochs: EpochView, say: Say
) -> tuple[Run, dict[str, Any] | None]:
    """Train a run and test its best epoch on its own test split; what an earlier call finished is read, not redone.

    Returns:
        The run, and what `metrics.json` holds; None in all processes of torchrun but the first.
    """
    first = is_first_process()
    if not first:
        say, track = unsaid, untracked
    run = Run.of(config, say, track)
    if config.resume and run.is_trained:
        say(f"{run.folder.name}: trained already")
        if not first:
            return run, None
    else:
        goes_on = config.resume and run.is_begun
        say(f"{run.folder.name}: {'going on with' if goes_on else 'training'} {run.settings['model']}")
        if config.compile:
            say("the first batches wait for the compiler")
        with (epochs if first else unseen)(run.folder.name) as on_epoch:
            if not fit(run, track=track, on_epoch=on_epoch):
                return run, None
    finished, loading = FinishedRun.open(run.folder), Loading.of(run.config)
    parts = finished.datasets if len(finished.datasets) > 1 else ()
    for dataset in (*parts, run.settings["dataset"]):
        scores = scores_of(finished, dataset, shards=config.shards, loading=loading, track=track, say=say)
    return run, scores


@contextmanager
def unseen(_name: str) -> Iterator[OnEpoch]:
    """An `EpochView` that shows nothing: for tests, and for all processes but the first."""
    yield lambda _row: None


def as_arguments(config: TrainConfig) -> list[str]:
    """The words behind `fastfer train` that give these settings."""
    words = []
    for field in fields(TrainConfig):
        value = getattr(config, field.name)
        if field.default is MISSING or value != field.default:
            words += [f"--{field.name.replace('_', '-')}", str(int(value)) if isinstance(value, bool) else str(value)]
    return words


def train_on_devices(
    cells: Sequence[TrainConfig], devices: Sequence[str], logs: Path, say: Say
) -> Iterator[tuple[TrainConfig, str | None]]:
    """Run `fastfer train` for each cell, one at a time on each device; (cell, why it failed) as they end.

    What a training prints goes to a file in `logs`. If the iteration is left, those at work are stopped.
    """
    free: SimpleQueue[str] = SimpleQueue()
    for device in devices:
        free.put(device)
    at_work: set[subprocess.Popen[bytes]] = set()
    logs.mkdir(parents=True, exist_ok=True)

    def train(cell: TrainConfig) -> tuple[TrainConfig, str | None]:
        device = free.get()
        log = logs / f"{title(cell).replace(' ', '-')}.log"
        say(f"{title(cell)}: on GPU {device}, prints to {log}")
        try:
            with log.open("wb") as out:
                process = subprocess.Popen(
                    [sys.executable, "-m", "fastfer", "train", *as_arguments(cell)],
                    env=os.environ | {"CUDA_VISIBLE_DEVICES": device},
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # a Ctrl-C on the terminal would ask it twice
                )
                at_work.add(process)
                code = process.wait()
                at_work.discard(process)
        except OSError as error:
            return cell, f"it could not be started: {error}"
        finally:
            free.put(device)
        return cell, None if code == 0 else _last_words(log, code)

    with ThreadPoolExecutor(len(devices)) as pool:
        try:
            for done in as_completed([pool.submit(train, cell) for cell in cells]):
                yield done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(at_work):
                with suppress(ProcessLookupError):
                    process.terminate()


def _last_words(log: Path, code: int) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    said = [line for line in lines if line.strip()][-LAST_LINES:]
    return f"{' / '.join(said) or 'it said nothing'} (exit code {code}; {log})"


def title(cell: TrainConfig) -> str:
    """A cell in a few words."""
    return f"{cell.dataset} {cell.trained_variant} {cell.arch} {cell.aug} s{cell.seed}"


def checked_devices(names: str) -> list[str]:
    """`GPUS=0,1` as what `CUDA_VISIBLE_DEVICES` calls them.

    Raises:
        InputError: a name is no number, or there is no such GPU.
    """
    numbers = [name.strip() for name in names.split(",") if name.strip()]
    for number in numbers:
        if number not in map(str, range(torch.cuda.device_count())):
            raise InputError(f"no GPU {number!r}: {torch.cuda.device_count()} can be seen here, numbered from 0")
    if len(set(numbers)) < len(numbers):
        raise InputError(f"GPUS={names} names one twice")
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")  # where only some are lent, the numbers are those of these
    return [seen.split(",")[int(number)].strip() for number in numbers] if seen else numbers
