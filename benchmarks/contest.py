"""A contest of peers: all started, checked to deliver the same images, then timed in turn."""

import fnmatch
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.harness import TURN_S, Measured, Turns, rounds, said
from benchmarks.peers.process import PeerError
from benchmarks.peers.protocol import Mode, tree_cpu_seconds
from benchmarks.peers.run import Peer, Rival
from benchmarks.schema import Axis, Case, Role
from benchmarks.show import OUT
from benchmarks.watch import Measures, memory_of, probe

FIRST_TURN: Final = 2
"""The epoch that a peer's turns begin with: the contest has taken 0 and 1."""
SETTLES_WITHIN_S: Final = 3.0
QUIET_S: Final = 0.1
IDLE: Final = 0.25
"""Of one core, in such a time: the clock of processes ticks each hundredth of a second."""
MEAN_WITHIN: Final[Mapping[Mode, float]] = {"decode": 0.003, "augment": 0.06}
"""How far a contender's mean pixel may lie from the reference's: decoders differ by rounding; borders are mirrored,
repeated or black, which moves an augmented mean."""
DISTINCT: Final = 0.999
"""Of the reference's different images; two may have one checksum by chance."""


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
    device: str = "cpu",
    only: str = "*",
    axis: Axis | None = None,
) -> Case:
    """Run every contender of the table that has this mode and a name that matches `only` (patterns, `|` between them).

    Batches are handed over on the device.

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
        if mode in rival.modes
        and rival.device in (None, device)
        and any(fnmatch.fnmatch(name, pattern) for pattern in only.split("|"))
    }
    with ExitStack() as running:
        peers: dict[str, Peer] = {}
        for name, rival in chosen.items():
            OUT.print(f"starting {name} ({mode})", highlight=False)
            peer = Peer(rival, mode, source=source, work=work, batch=batch, workers=workers, device=device)
            try:
                running.enter_context(peer)
                firsts[name] = peer.turn(0, least_s=0)["seconds"]
                with probe(peer.pid) as watching:
                    found = peer.check(1)
                memory[name] = memory_of(watching.reading()) if role_of(name) != "limit" else {}
                refuse_other_images(name, found, next(iter(checks.values()), found), mode)
                checks[name], peers[name] = found, peer
            except (PeerError, ValueError) as error:
                failed[name] = said(name, error)
        turns = _in_turn(peers, repeats=repeats)
        for peer in peers.values():
            peer.quit()
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


def refuse_other_images(title: str, found: Mapping[str, Any], first: Mapping[str, Any], mode: Mode) -> None:
    """Compare a contender's check with the first one's; labels only where both hand them over."""
    for what in ("images", "shape", "dtype"):
        if found[what] != first[what]:
            raise ValueError(f"{title} delivers other images: {what} {found[what]}, not {first[what]}")
    if found["distinct"] < DISTINCT * first["distinct"]:
        raise ValueError(f"{title} delivers {found['distinct']} different images, not {first['distinct']}")
    if None not in (found["labels"], first["labels"]) and found["labels"] != first["labels"]:
        raise ValueError(f"{title} delivers other labels: {found['labels']} of each, not {first['labels']}")
    if abs(found["mean"] - first["mean"]) > MEAN_WITHIN[mode]:
        raise ValueError(f"the mean pixel of {title} is {found['mean']:.4f}, not {first['mean']:.4f}")


def _in_turn(peers: Mapping[str, Peer], *, repeats: int) -> Turns:
    """Let the peers run, in turn. One that fails gets no more turns.

    A turn is whole epochs for at least `TURN_S`: a single one of 20 ms would only tell what the turns of the others
    have left in the caches. After a turn nobody runs until the peer has settled.
    """
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in peers}

    def turn(name: str, _number: int) -> None:
        first = FIRST_TURN + sum(int(one["epochs"]) for one in turns[name])
        turns[name].append(peers[name].turn(first, least_s=TURN_S))
        settle(peers[name].pid)

    failed = rounds(peers, repeats, turn)
    return Turns({name: _of_turns(of) for name, of in turns.items() if name not in failed}, failed)


def settle(pid: int) -> None:
    """Wait, `SETTLES_WITHIN_S` at most, until a process and all below it are idle.

    Loaders that begin the next epoch as soon as they can would do so at the cost of whoever comes next.
    """
    deadline, before_s = time.monotonic() + SETTLES_WITHIN_S, -math.inf
    while time.monotonic() < deadline:
        now_s = tree_cpu_seconds(pid)
        if now_s - before_s < IDLE * QUIET_S:
            break
        before_s = now_s
        time.sleep(QUIET_S)


def _of_turns(turns: Sequence[Mapping[str, float]]) -> Measured:
    """By the epoch: turns may have had other numbers of them."""
    items = int(turns[0]["images"] / turns[0]["epochs"])
    cpu_s = float(np.median([turn["cpu_seconds"] / turn["epochs"] for turn in turns]))
    seconds = [turn["seconds"] / turn["epochs"] for turn in turns]
    return Measured(items, seconds, {"cpu_s_per_1000": 1000 * cpu_s / items})
