"""Faces per second from raw image to written shard, beside the plain loop that people write.

Both are timed as a user runs them, each in a process of its own: the imports, reading the annotation, finding, aligning
and writing the faces; for fastfer also the split, near-duplicates among the images, and the manifest. Recall and
landmark error are against the truth that the demo data knows.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.harness import in_turn, write_result
from benchmarks.peers.plain_faces import LANDMARKS_NAME
from benchmarks.rss import peak_rss
from fastfer.datasets.demo import DemoConfig, make_demo_data, read_truth
from pipelines.records import read_manifest

DATASETS: Final = ("demo-rafdb", "demo-expw")
FOUND_WITHIN: Final = 0.25
"""A face counts as found when its landmarks lie this close to the true ones on average, in distances of the eyes."""
Landmarks = dict[str, NDArray[np.float64]]


def plain_loop(root: Path, out: Path) -> Landmarks:
    """The loop that people write; the landmarks it found, by key."""
    _run("benchmarks.peers.plain_faces", str(root), str(out))
    found = json.loads((out / LANDMARKS_NAME).read_text(encoding="utf-8"))
    keys = read_truth(root)["key"]
    return {keys[int(n)]: np.array(points).reshape(5, 2) for n, points in found.items()}


def fastfer(root: Path, out: Path, *options: str) -> Landmarks:
    """`make shards`; the landmarks it found, by key."""
    _run("fastfer", "shards", "--dataset", root.name, "--data-root", str(root), "--out", str(out), *options)
    manifest = read_manifest(out / root.name / "preprocessed").filter(pl.col("face_landmarks").is_not_null())
    points = manifest.select("key", "face_landmarks").iter_rows()
    return {key: np.array(values).reshape(5, 2) for key, values in points}


def _run(module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", module, *arguments], check=True, stdout=subprocess.DEVNULL)


def quality(found: Landmarks, truth: pl.DataFrame) -> dict[str, float]:
    """Recall, and the median and 95th percentile of the landmark error of the faces found, in distances of the eyes."""
    errors = []
    for key, points in truth.select("key", "landmarks").iter_rows():
        true_52 = np.array(points).reshape(5, 2)
        if key in found:
            eyes_px = np.linalg.norm(true_52[0] - true_52[1])
            errors.append(float(np.linalg.norm(found[key] - true_52, axis=1).mean() / eyes_px))
    near = [error for error in errors if error <= FOUND_WITHIN]
    median, high = np.percentile(near, [50, 95]) if near else (np.nan, np.nan)
    return {"recall": len(near) / len(truth), "landmark_error": float(median), "landmark_error_p95": float(high)}


def compare(root: Path, *, repeats: int, options: tuple[str, ...]) -> dict[str, Any]:
    """Both contenders on one demo set: rates, their ratio, and what each found."""
    truth = read_truth(root)
    found: dict[str, Landmarks] = {}

    def contender(name: str, work: Callable[[Path], Landmarks]) -> Callable[[], int]:
        def run() -> int:
            with tempfile.TemporaryDirectory() as folder:
                found[name] = work(Path(folder))
            return len(truth)

        return run

    measured = in_turn(
        {
            "plain loop": contender("plain loop", lambda out: plain_loop(root, out)),
            "fastfer": contender("fastfer", lambda out: fastfer(root, out, *options)),
        },
        repeats=repeats,
        warm_up=0,  # every run starts anew
    )
    rates = {name: float(np.median(one.rates)) for name, one in measured.items()}
    return {
        "faces": len(truth),
        "images": truth["image"].n_unique(),
        "contenders": {name: one.summary() | quality(found[name], truth) for name, one in measured.items()},
        "ratio": rates["fastfer"] / rates["plain loop"],
    }


def main() -> None:
    """Measure, print, and write `benchmarks/results/faces--*.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faces", description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path("data/bench"), help="folder of the demo sets (made if missing)"
    )
    parser.add_argument("--faces", type=int, default=1200, help="faces in each set, where it is made")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--options", default="", help="of `fastfer shards`, such as '--device cuda --workers 4'")
    arguments = parser.parse_args()
    make_demo_data(arguments.data, DemoConfig(faces=arguments.faces))
    result: dict[str, Any] = {"options": arguments.options, "datasets": {}}
    for name in DATASETS:
        one = compare(arguments.data / name, repeats=arguments.repeats, options=tuple(arguments.options.split()))
        result["datasets"][name] = one
        print(f"{name}: {one['faces']} faces in {one['images']} images")
        for contender, values in one["contenders"].items():
            rate = values["per_s"]
            print(
                f"  {contender:<11}{rate['median']:7.1f} faces/s ({rate['q25']:.1f} to {rate['q75']:.1f})   "
                f"recall {values['recall']:.4f}   landmark error {values['landmark_error']:.4f}"
            )
        print(f"  fastfer is {one['ratio']:.1f} times as fast")
    result["peak_rss_mib"] = {str(copies): peak_rss(arguments.data / "demo-expw", copies) for copies in (1, 10)}
    for copies, values in result["peak_rss_mib"].items():
        print(f"peak RSS at {copies} x the images: {values['parent']:.0f} MiB, a worker {values['worker']:.0f} MiB")
    print(f"written: {write_result('faces', result)}")


if __name__ == "__main__":
    main()
