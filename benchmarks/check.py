"""A quick relative check for CI: ours beside the plain loop, in one run; printed, and never judged by time."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.contest import contest
from benchmarks.images import bench_records
from benchmarks.peers.process import OWN
from benchmarks.peers.run import CONTENDERS, Rival
from benchmarks.show import show
from benchmarks.suite import positive
from fastfer.cli.verbs import Option, Verb

OURS: Final = "fastfer, resident"
PLAIN: Final = "plain loop: PyTorch DataLoader, Pillow, torchvision"
TABLE: Final[Mapping[str, Rival]] = {OURS: CONTENDERS[OURS], PLAIN: Rival("pytorch_pil", "files", OWN)}
"""Both run in this environment: nothing of `make peers` is needed."""
REPEATS: Final = 2


def _check(arguments: argparse.Namespace) -> None:
    source = bench_records(arguments.data, arguments.images)
    case = contest(
        TABLE,
        "decode",
        title="Quick check",
        how="A look, not evidence: few images, few repetitions.",
        ours=OURS,
        source=source,
        work=source.parent / "peers",
        repeats=REPEATS,
    )
    show(case)
    if case.failed:
        sys.exit(f"failed: {', '.join(case.failed)}")


VERB: Final = Verb(
    "check",
    "Ours beside the plain loop, quickly: prints how they compare; fails where one crashes or delivers other images.",
    (
        Option("data", "folder of the images, made if missing", Path, Path("data/bench/loaders")),
        Option("images", "how many", positive, 500),
    ),
    ("python -m benchmarks check",),
    _check,
)
