"""Faces per second from raw image to written shard, beside the plain loop that people write.

Both are timed as a user runs them, each in a process of its own: the imports, reading the annotation, finding, aligning
and writing the faces; for fastfer also the split, near-duplicates among the images, and the manifest. Recall and
landmark error are against the truth that the demo data knows.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.harness import in_turn
from benchmarks.peers.plain_faces import LANDMARKS_NAME
from benchmarks.processes import run_program
from benchmarks.schema import Case
from benchmarks.suite import Setting, Suite, positive, run_alone
from benchmarks.watch import measures_of
from fastfer.datasets.demo import DemoConfig, make_demo_data, read_truth
from pipelines.probe import Reading
from pipelines.records import read_manifest

DATASETS: Final = ("demo-rafdb", "demo-expw")
OURS: Final = "fastfer"
PLAIN: Final = "plain loop (Pillow, facenet-pytorch)"
FOUND_WITHIN: Final = 0.25
"""A face counts as found when its landmarks lie this close to the true ones on average, in distances of the eyes."""
Landmarks = dict[str, NDArray[np.float64]]


def plain_loop(root: Path, out: Path) -> tuple[Landmarks, Reading]:
    """The loop that people write; the landmarks it found, by key, and what it took."""
    reading = run_program("benchmarks.peers.plain_faces", [str(root), str(out)])
    found = json.loads((out / LANDMARKS_NAME).read_text(encoding="utf-8"))
    keys = read_truth(root)["key"]
    return {keys[int(n)]: np.array(points).reshape(5, 2) for n, points in found.items()}, reading


def fastfer(root: Path, out: Path, *options: str) -> tuple[Landmarks, Reading]:
    """`make shards`; the landmarks it found, by key, and what it took."""
    where = ["--dataset", root.name, "--data-root", str(root), "--out", str(out)]
    reading = run_program("fastfer", ["shards", *where, *options])
    manifest = read_manifest(out / root.name / "preprocessed").filter(pl.col("face_landmarks").is_not_null())
    points = manifest.select("key", "face_landmarks").iter_rows()
    return {key: np.array(values).reshape(5, 2) for key, values in points}, reading


def quality(found: Landmarks, truth: pl.DataFrame) -> dict[str, float | None]:
    """Recall, and the median and 95th percentile of the landmark error of the faces found, in distances of the eyes."""
    errors = []
    for key, points in truth.select("key", "landmarks").iter_rows():
        true_52 = np.array(points).reshape(5, 2)
        if key in found:
            eyes_px = np.linalg.norm(true_52[0] - true_52[1])
            errors.append(float(np.linalg.norm(found[key] - true_52, axis=1).mean() / eyes_px))
    near = [error for error in errors if error <= FOUND_WITHIN]
    median, high = map(float, np.percentile(near, [50, 95])) if near else (None, None)
    return {"recall": len(near) / len(truth), "landmark_error": median, "landmark_error_p95": high}


def _case(root: Path, *, repeats: int, options: tuple[str, ...]) -> Case:
    """Both contenders on one demo set: rates, what each found, and the memory of the whole tree of processes."""
    truth = read_truth(root)
    found: dict[str, Landmarks] = {}
    readings: dict[str, list[Reading]] = {PLAIN: [], OURS: []}

    def contender(name: str, work: Callable[[Path], tuple[Landmarks, Reading]]) -> Callable[[], int]:
        def run() -> int:
            with tempfile.TemporaryDirectory() as folder:
                found[name], reading = work(Path(folder))
            readings[name].append(reading)
            return len(truth)

        return run

    measured, failed = in_turn(
        {
            PLAIN: contender(PLAIN, lambda out: plain_loop(root, out)),
            OURS: contender(OURS, lambda out: fastfer(root, out, *options)),
        },
        repeats=repeats,
        warm_up=0,  # every run starts anew
    )
    return Case(
        title=f"From photographs to faces, {root.name}",
        unit="faces",
        how="As a user runs it: a process from its start to its last file; the photographs in the page cache.",
        ours=OURS,
        settings={
            "faces": len(truth),
            "images": truth["image"].n_unique(),
            "detector": "mtcnn",
            "options": " ".join(options),
        },
        contenders={
            name: one.entry(
                "ours" if name == OURS else "peer",
                measures_of(readings[name], one.items) | quality(found[name], truth),
            )
            for name, one in measured.items()
        },
        failed=failed,
    )


def _run(settings: argparse.Namespace) -> Iterator[Case]:
    make_demo_data(settings.data / str(settings.faces), DemoConfig(faces=settings.faces))
    for name in DATASETS:
        yield _case(
            settings.data / str(settings.faces) / name,
            repeats=settings.repeats,
            options=tuple(settings.options.split()),
        )


SUITE: Final = Suite(
    "faces",
    "Faces per second from photograph to written record, beside the loop that people write.",
    (
        Setting("data", "folder of the demo sets, made if missing", Path, Path("data/bench/faces"), free=True),
        Setting("faces", "faces in each set, where it is made", positive, 200, 90),
        Setting("repeats", "turns of each contender", positive, 2, 1, free=True),
        Setting("options", "of `fastfer shards`, such as '--device cuda --workers 4'", str, ""),
    ),
    ("python -m benchmarks faces", "python -m benchmarks faces --faces 300 --options '--workers 1'"),
    _run,
)

if __name__ == "__main__":
    run_alone(SUITE)
