"""Images per second from records to batches, beside every loader that could be installed and what none can exceed.

Every contender runs in a process of its own, over the same images, in batches of 64, whole shuffled epochs, all in
turn; the first turn of each (which may decode, convert or compile) is not counted. `decode` hands over
uint8 gray images; `augment` floats after flip, rotation, scale, contrast and brightness, drawn for each image.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.ceiling import ARCHS, ceilings
from benchmarks.contest import OUT, contest, show
from benchmarks.harness import write_result
from benchmarks.images import bench_records
from benchmarks.peers.protocol import Mode
from benchmarks.peers.run import CONTENDERS

LARGE: Final = ("fastfer, resident", "FFCV, raw", "limit: gather of decoded images", "limit: memcpy")
"""Contenders that are timed over the large set too: those that hold decoded images."""
MODES: Final[tuple[Mode, ...]] = ("decode", "augment")
OURS: Final[Mapping[Mode, str]] = {"decode": "fastfer, resident", "augment": "fastfer, resident, compiled"}
"""Whom the others are compared with when printed."""
EXAMPLES: Final = """examples:
  python -m benchmarks.loaders
  python -m benchmarks.loaders --images 2000 --large 0 --repeats 3 --only 'fastfer*'
  python -m benchmarks.loaders --ceiling --arch resnet --batch 16 --steps 6"""


def main() -> None:
    """Measure, print, and write `benchmarks/results/loaders--*.json`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.loaders",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EXAMPLES,
    )
    parser.add_argument("--data", type=Path, default=Path("data/bench/loaders"), help="images, made if missing")
    parser.add_argument("--images", type=int, default=8000, help="of the main set")
    parser.add_argument("--large", type=int, default=40000, help="of the large set (decoded images only); 0: none")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="*", help="contenders whose name matches this pattern")
    parser.add_argument("--results", type=Path, help="folder of the result (default: benchmarks/results)")
    parser.add_argument("--ceiling", action="store_true", help="instead: does training wait for its images?")
    parser.add_argument("--arch", action="append", help=f"of --ceiling (default: {', '.join(ARCHS)})")
    parser.add_argument("--loader", default="resident", help="of --ceiling")
    parser.add_argument("--batch", type=int, default=16, help="of --ceiling: images per step")
    parser.add_argument("--steps", type=int, default=6, help="of --ceiling: steps of an epoch")
    arguments = parser.parse_args()
    if arguments.ceiling:
        found = ceilings(
            bench_records(arguments.data, arguments.images),
            tuple(arguments.arch or ARCHS),
            kind=arguments.loader,
            batch=arguments.batch,
            steps=arguments.steps,
            repeats=arguments.repeats,
        )
        OUT.print(f"written: {write_result('ceiling', found, arguments.results)}")
        return
    content: dict[str, Any] = {"batch": 64, "workers": 2, "modes": {}}
    for mode in MODES:
        content["modes"][mode] = _run(arguments, arguments.images, mode, CONTENDERS)
    if arguments.large:
        large = {title: CONTENDERS[title] for title in LARGE}
        content["modes"]["decode, large"] = _run(arguments, arguments.large, "decode", large)
    OUT.print(f"written: {write_result('loaders', content, arguments.results)}")


def _run(arguments: argparse.Namespace, images: int, mode: Mode, table: Any) -> dict[str, Any]:
    source = bench_records(arguments.data, images)
    result = contest(
        table, mode, source=source, work=source.parent / "peers", repeats=arguments.repeats, only=arguments.only
    )
    show(f"{mode}, {images} images", result, OURS[mode])
    return result


if __name__ == "__main__":
    main()
