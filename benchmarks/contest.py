"""A contest of peers: all started, checked to deliver the same images, then timed in turn."""

import fnmatch
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.harness import peers_in_turn
from benchmarks.peers.protocol import Mode
from benchmarks.peers.run import Peer, PeerError, Rival

MEAN_WITHIN: Final[Mapping[Mode, float]] = {"decode": 0.003, "augment": 0.06}
"""How far a contender's mean pixel may lie from the reference's: decoders differ by rounding; borders are mirrored,
repeated or black, which moves an augmented mean."""
LOG_WIDTH: Final = 120
"""Columns where there is no terminal, as in a log."""
OUT: Final = Console(width=None if sys.stdout.isatty() else LOG_WIDTH)


def contest(
    table: Mapping[str, Rival],
    mode: Mode,
    *,
    source: Path,
    work: Path,
    repeats: int,
    batch: int = 64,
    workers: int = 2,
    only: str = "*",
) -> dict[str, Any]:
    """Run every contender of the table that has this mode and matches `only`; what could not run says why.

    Returns:
        `contenders`: for each its rates, CPU seconds and memory; `left_out`: for each of the others a sentence.

    Raises:
        ValueError: a contender delivers other images than the first one.
    """
    left_out: dict[str, str] = {}
    checks: dict[str, dict[str, Any]] = {}
    with ExitStack() as running:
        peers: dict[str, Peer] = {}
        for title, rival in table.items():
            if mode not in rival.modes or not fnmatch.fnmatch(title, only):
                continue
            OUT.print(f"starting {title} ({mode})", highlight=False)
            peer = Peer(rival, mode, source=source, work=work, batch=batch, workers=workers)
            try:
                running.enter_context(peer)
                checks[title] = peer.check(0)
                _refuse_other_images(title, checks[title], next(iter(checks.values())), mode)
                peers[title] = peer
            except PeerError as error:
                left_out[title] = str(error)
                OUT.print(f"left out: {title}: {error}", highlight=False, markup=False)
        measured = peers_in_turn(peers, repeats=repeats)
        versions = {title: peer.ready for title, peer in peers.items()}
    return {
        "images": next(iter(checks.values()))["images"] if checks else 0,
        "contenders": {
            title: one | {"mean": checks[title]["mean"], "versions": versions[title]} for title, one in measured.items()
        },
        "left_out": left_out,
    }


def _refuse_other_images(title: str, found: Mapping[str, Any], first: Mapping[str, Any], mode: Mode) -> None:
    """Compare a contender's check with the first one's; the limits hand nothing over and have no labels or batches."""
    if found["images"] != first["images"]:
        raise ValueError(f"{title} delivers {found['images']} images, not {first['images']}")
    if abs(found["mean"] - first["mean"]) > MEAN_WITHIN[mode]:
        raise ValueError(f"the mean pixel of {title} is {found['mean']:.4f}, not {first['mean']:.4f}")


def show(title: str, result: Mapping[str, Any], baseline: str) -> None:
    """Print the contenders, fastest first, each beside `baseline`."""
    rates = {name: one["per_s"] for name, one in result["contenders"].items()}
    reference = rates.get(baseline, {}).get("median")
    table = Table(title=title)
    for column in ("", "img/s", "quartiles", f"{baseline} is", "CPU s / 1000", "PSS MiB"):
        table.add_column(column, justify="left" if not column else "right")
    for name, rate in sorted(rates.items(), key=lambda item: -item[1]["median"]):
        one = result["contenders"][name]
        ratio = f"{reference / rate['median']:.2f} x" if reference else ""
        quartiles = f"{rate['q25']:,.0f} to {rate['q75']:,.0f}"
        cpu = f"{one['cpu_s_per_1000']:.2f}" if "cpu_s_per_1000" in one else ""
        table.add_row(name, f"{rate['median']:,.0f}", quartiles, ratio, cpu, f"{one['pss_mib']:,.0f}")
    OUT.print(table)
