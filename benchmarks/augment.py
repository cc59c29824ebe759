"""Images per second of augmentation alone: flip, rotation, scale, contrast and brightness on decoded images in memory.

Beside kornia as its documentation writes it, torchvision, albumentations, OpenCV in threads, and DALI.
"""

import argparse
from pathlib import Path
from typing import Final

from benchmarks.contest import OUT, contest, show
from benchmarks.harness import write_result
from benchmarks.images import bench_records
from benchmarks.peers.run import AUGMENTERS

OURS: Final = "fastfer"


def main() -> None:
    """Measure, print, and write `benchmarks/results/augment--*.json`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.augment",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python -m benchmarks.augment --images 2000 --repeats 3",
    )
    parser.add_argument("--data", type=Path, default=Path("data/bench/loaders"), help="images, made if missing")
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="*", help="contenders whose name matches this pattern")
    parser.add_argument("--results", type=Path, help="folder of the result (default: benchmarks/results)")
    arguments = parser.parse_args()
    source = bench_records(arguments.data, arguments.images)
    result = contest(
        AUGMENTERS,
        "augment",
        source=source,
        work=source.parent / "peers",
        repeats=arguments.repeats,
        only=arguments.only,
    )
    show(f"augmentation alone, {arguments.images} images", result, OURS)
    OUT.print(f"written: {write_result('augment', {'batch': 64, 'workers': 2} | result, arguments.results)}")


if __name__ == "__main__":
    main()
