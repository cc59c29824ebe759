"""Demo data: two small datasets of real faces in the layouts of RAF-DB and ExpW, made on the spot.

Two public-domain portraits that come inside wheels are given seven expressions by smooth warps and set, in many
shapes, poses and lights, into drawn scenes. `make_demo_data` is all that others need: `plan` says what to draw,
`portraits`, `expressions`, `faces`, `backdrops` and `scenes` draw it, `rafdb` and `expw` lay it out on disk, and
`truth.parquet` in each folder says what is really there (`TRUTH_SCHEMA`). About 600 faces each take half a minute on
two cores and 100 MB.
"""

from pathlib import Path

from fastfer.datasets.demo.build import build
from fastfer.datasets.demo.plan import DemoConfig, DemoSet
from fastfer.datasets.demo.portraits import portraits
from fastfer.datasets.demo.truth import TRUTH_SCHEMA, read_truth
from pipelines.progress import Track, untracked

__all__ = ["TRUTH_SCHEMA", "DemoConfig", "make_demo_data", "read_truth"]


def make_demo_data(out: Path, config: DemoConfig, track: Track = untracked) -> tuple[Path, Path]:
    """Make `out/demo-rafdb` and `out/demo-expw`, and return both; what is already there is kept.

    Raises:
        InputError: Something else is in the way, or scikit-image or matplotlib is missing.
    """
    portraits()  # fails before anything is written
    return build(out, DemoSet.RAFDB, config, track), build(out, DemoSet.EXPW, config, track)
