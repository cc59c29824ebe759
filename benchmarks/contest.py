"""A contest of peers: all started, checked to deliver the same images, then timed in turn."""

import fnmatch
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import OUT, peers_in_turn, said
from benchmarks.peers.process import PeerError
from benchmarks.peers.protocol import Mode
from benchmarks.peers.run import Peer, Rival
from benchmarks.schema import Axis, Case, Role
from benchmarks.watch import Measures, memory_of, probe

MEAN_WITHIN: Final[Mapping[Mode, float]] = {"decode": 0.003, "augment": 0.06}
"""How far a contender's mean pixel may lie from the reference's: decoders differ by rounding; borders are mirrored,
repeated or black, which moves an augmented mean."""


def contest(
    table: Mapping[str, Rival],
    mode: Mode,
    *,
    title: str,
    how: str,
    ours: str,
    source: Path,
    work: Path,
    repeats: int,
    batch: int = 64,
    workers: int = 2,
    only: str = "*",
    axis: Axis | None = None,
) -> Case:
    """Run every contender of the table that has this mode and a name that matches `only` (patterns, `|` between them).

    What could not run says why, and so does what delivers other images than the first one. `first_epoch_s` is the very
    first epoch of a process that has opened its data (started, converted and decoded what it keeps): workers start and
    code is compiled in it. It is no turn of the contest. In the second its images are checked, and the memory of its
    processes is watched, but for a limit's, which holds the whole epoch for its check and nothing else.
    """
    failed: dict[str, str] = {}
    firsts: dict[str, float] = {}
    checks: dict[str, dict[str, Any]] = {}
    memory: dict[str, Measures] = {}
    chosen = {
        name: rival
        for name, rival in table.items()
        if mode in rival.modes and any(fnmatch.fnmatch(name, pattern) for pattern in only.split("|"))
    }
    with ExitStack() as running:
        peers: dict[str, Peer] = {}
        for name, rival in chosen.items():
            OUT.print(f"starting {name} ({mode})", highlight=False)
            peer = Peer(rival, mode, source=source, work=work, batch=batch, workers=workers)
            try:
                running.enter_context(peer)
                firsts[name] = peer.epochs(0, 1)["seconds"]
                with probe(peer.pid) as watching:
                    found = peer.check(1)
                memory[name] = memory_of(watching.reading()) if role_of(name) != "limit" else {}
                _refuse_other_images(name, found, next(iter(checks.values()), found), mode)
                checks[name], peers[name] = found, peer
            except (PeerError, ValueError) as error:
                failed[name] = said(name, error)
        turns = peers_in_turn(peers, firsts, repeats=repeats)
        contenders = {
            name: timed.entry(
                role_of(name),
                {"first_epoch_s": firsts[name], "mean": checks[name]["mean"], **memory[name]},
                peers[name].ready,
            )
            for name, timed in turns.measured.items()
        }
    images = next(iter(checks.values()))["images"] if checks else 0
    return Case(
        title=title,
        unit="images",
        how=how,
        ours=ours if ours in chosen else next((name for name in chosen if role_of(name) == "ours"), ours),
        settings={"images": images, "batch": batch, "workers": workers},
        axis=axis,
        contenders=contenders,
        failed=failed | turns.failed,
    )


def role_of(name: str) -> Role:
    """By the name in the tables of `peers.run`."""
    if name.startswith("limit: "):
        return "limit"
    return "ours" if name.startswith("fastfer") else "peer"


def _refuse_other_images(title: str, found: Mapping[str, Any], first: Mapping[str, Any], mode: Mode) -> None:
    """Compare a contender's check with the first one's; the limits hand nothing over and have no labels or batches."""
    if found["images"] != first["images"]:
        raise ValueError(f"{title} delivers {found['images']} images, not {first['images']}")
    if abs(found["mean"] - first["mean"]) > MEAN_WITHIN[mode]:
        raise ValueError(f"the mean pixel of {title} is {found['mean']:.4f}, not {first['mean']:.4f}")
