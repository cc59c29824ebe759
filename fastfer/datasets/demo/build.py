"""Builds a demo dataset's folder: all images in parallel, then the lists, then one rename."""

import json
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import cv2
import polars as pl

from fastfer.datasets.demo import expw, rafdb
from fastfer.datasets.demo.plan import DemoConfig, DemoSet, ImagePlan
from fastfer.datasets.demo.scenes import Picture, photograph
from fastfer.datasets.demo.truth import TRUTH, TRUTH_SCHEMA, Written
from pipelines.errors import InputError
from pipelines.progress import Track
from pipelines.records import write_table

FORMAT_VERSION = 1
"""Raised whenever the same settings would give other bytes."""

DESCRIPTION = "demo.json"

IMAGES_PER_WORKER = 150
"""A process is started for so many images: below, starting it (1 s) costs more than it saves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How one dataset is planned and written."""

    plan: Callable[[DemoConfig], list[ImagePlan]]
    folders: tuple[str, ...]
    write_image: Callable[[Path, ImagePlan, Picture], Written]
    write_list: Callable[[Path, list[str], DemoConfig], None]


LAYOUTS: Final = {
    DemoSet.RAFDB: Layout(
        plan=rafdb.plan, folders=rafdb.FOLDERS, write_image=rafdb.write_image, write_list=rafdb.write_list
    ),
    DemoSet.EXPW: Layout(
        plan=expw.plan, folders=expw.FOLDERS, write_image=expw.write_image, write_list=expw.write_list
    ),
}


def build(out: Path, dataset: DemoSet, config: DemoConfig, track: Track, *, workers: int | None = None) -> Path:
    """Make one dataset in `out`, or find it already made with the same settings; return its folder.

    It grows in a hidden folder beside and gets its name when complete, so a folder of that name is always whole.

    Args:
        out: Folder of the datasets; made if missing.
        dataset: Which of the two.
        config: The settings.
        track: Told of every image.
        workers: Number of processes; by default as many as there are cores, fewer for few images. The bytes do not
            depend on it.

    Raises:
        InputError: Something else is in the way, or the photographs are not installed.
    """
    folder, layout = out / dataset.folder, LAYOUTS[dataset]
    settings = {"format_version": FORMAT_VERSION, "dataset": dataset.folder} | asdict(config)
    if _is_made(folder, settings):
        return folder
    plans = layout.plan(config)
    with _finished_at_once(folder, layout.folders) as unfinished:
        written: list[Written] = []
        with track(f"Drawing {dataset.folder}", total=len(plans), unit="images") as advance:
            make = partial(_make_image, unfinished, config.seed)
            with closing(_in_parallel(make, plans, workers)) as results:  # stops the workers first if interrupted
                for result in results:
                    written.append(result)
                    advance(1)
        layout.write_list(unfinished, [line for image in written for line in image.lines], config)
        truth = pl.DataFrame([row for image in written for row in image.truth], schema=TRUTH_SCHEMA)
        write_table(unfinished / TRUTH, truth)
        (unfinished / DESCRIPTION).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return folder


def _is_made(folder: Path, settings: dict[str, Any]) -> bool:
    """Whether `folder` is there and ours, with these settings; anything else there is an error."""
    if not folder.exists():
        return False
    try:
        found = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found == settings:
        return True
    what = "demo data of other settings" if isinstance(found, dict) else "something that is not demo data"
    raise InputError(f"{folder} holds {what}: remove it (make clean-demo) or choose another --out.")


@contextmanager
def _finished_at_once(folder: Path, subfolders: tuple[str, ...]) -> Iterator[Path]:
    """An empty folder to fill, which is renamed to `folder` at the end and removed if that is not reached."""
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)  # left by a killed run
        for subfolder in subfolders:
            (unfinished / subfolder).mkdir(parents=True)
    except OSError as error:
        raise InputError(
            f"Cannot write demo data to {folder.parent} ({error.strerror}): choose another --out."
        ) from error
    try:
        yield unfinished
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _make_image(folder: Path, seed: int, image: ImagePlan) -> Written:
    return LAYOUTS[image.dataset].write_image(folder, image, photograph(image, seed))


def _one_thread() -> None:
    cv2.setNumThreads(1)  # the processes share the cores already


def _in_parallel(
    make: Callable[[ImagePlan], Written], plans: list[ImagePlan], workers: int | None
) -> Generator[Written]:
    """`map(make, plans)`, in order, in several processes if there is enough to do."""
    workers = workers or max(1, min(os.cpu_count() or 1, len(plans) // IMAGES_PER_WORKER))
    if workers == 1:
        yield from map(make, plans)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_one_thread) as pool:
        yield from pool.map(make, plans, chunksize=8)
