"""What a contest rests on: a rival as a process that answers, and turns that are counted as they were run."""

import os
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
import pytest
import torch
from numpy.typing import NDArray

from benchmarks import contest as contests
from benchmarks.contest import FIRST_TURN, contest
from benchmarks.harness import TURN_S
from benchmarks.peers import ours, process, protocol
from benchmarks.peers.ours import COMPILED
from benchmarks.peers.process import OWN, PeerError, PeerProcess
from benchmarks.peers.protocol import Contender, Job
from benchmarks.peers.run import AUGMENTERS, CONTENDERS, Rival
from pipelines.augment import STRONG, Policy

READY: Final = '{"ready": {}}'


class Scripted(PeerProcess):
    """A rival of a few lines of Python."""

    def __init__(self, code: str) -> None:
        super().__init__("made", "none", OWN, [])
        self._command = [sys.executable, "-c", code]


def test_what_a_peer_has_started_ends_with_it() -> None:
    child = "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    told = """print('{"pid": %d}' % child.pid, flush=True)"""
    with Scripted(f"{child}; print('{READY}', flush=True); input(); {told}; input()") as peer:
        started = psutil.Process(peer.ask("who")["pid"])
        assert started.is_running()
    _, alive = psutil.wait_procs([started], timeout=20)  # a signal takes its time
    assert not alive


def test_a_peer_that_does_not_answer_is_left_and_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process, "READY_WITHIN_S", 3.0)
    monkeypatch.setattr(process, "LAST_WORDS_WITHIN_S", 0.1)
    pid = tmp_path / "pid"
    silent = f"import os, pathlib, time; pathlib.Path({str(pid)!r}).write_text(str(os.getpid())); time.sleep(30)"
    with pytest.raises(PeerError, match="made gave no answer in 3 s"), Scripted(silent):
        pytest.fail("it said that it is ready")
    assert not psutil.pid_exists(int(pid.read_text()))


def test_answers_that_come_at_once_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "ANSWERS_WITHIN_S", 5.0)
    waits = "[input() for _ in ('one', 'two', 'quit')]"
    with Scripted(f"""print('{READY}\\n{{"first": 1}}\\n{{"second": 2}}', flush=True); {waits}""") as peer:
        assert [peer.ask("one"), peer.ask("two")] == [{"first": 1}, {"second": 2}]


def test_a_turn_ends_when_the_device_has_done_what_it_was_told_to() -> None:
    images = np.zeros((4, 1, 8, 8), dtype=np.uint8)
    slow = Contender(batches=lambda _epoch: [(images, None)] * 3, wait=lambda: time.sleep(0.2))
    turn = protocol.COMMANDS["turn"](slow, 0, 0)
    assert (turn["epochs"], turn["images"]) == (1, 12)
    assert turn["seconds"] >= 0.2


def test_names_say_which_rows_are_compiled_and_which_are_the_whole_policy() -> None:
    for name, rival in (CONTENDERS | AUGMENTERS).items():
        assert ("compiled" in name) == rival.format.endswith(COMPILED)
        assert ("strong" in name) == ("+strong" in rival.format)


class Turning:
    """A peer that says how many epochs it ran, and how long they took."""

    pid: Final = os.getpid()
    ready: Final[dict[str, str]] = {}

    def __init__(self, rival: Rival, mode: str, **asked: object) -> None:
        self.asked, self.turns = {"rival": rival, "mode": mode, **asked}, list[tuple[int, float]]()

    def __enter__(self) -> "Turning":
        return self

    def __exit__(self, *_: object) -> None:
        """It has nothing to end."""

    def quit(self) -> None:
        """Nor to be told."""

    def turn(self, first: int, *, least_s: float) -> dict[str, float]:
        self.turns.append((first, least_s))
        epochs = len(self.turns)
        return {"epochs": epochs, "images": 50 * epochs, "seconds": 2.0 * epochs, "cpu_seconds": 3.0 * epochs}

    def check(self, _epoch: int) -> dict[str, Any]:
        return {"images": 50, "distinct": 50, "mean": 0.5, "shape": [16], "dtype": "uint8", "labels": None}


def test_a_contest_counts_by_the_epoch_and_never_repeats_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settled, peers = list[int](), list[Turning]()

    def peer(*asked: Any, **named: Any) -> Turning:
        peers.append(Turning(*asked, **named))
        return peers[-1]

    monkeypatch.setattr(contests, "Peer", peer)
    monkeypatch.setattr(contests, "settle", settled.append)
    rival = Rival("nowhere", "jpeg", OWN)
    case = contest(
        {"one": rival, "other": rival}, "augment", title="made", how="by a test",
        ours="one", source=tmp_path, work=tmp_path, repeats=3, batch=16, workers=5,
    )  # fmt: skip
    assert len(peers) == 2
    for one in peers:
        assert (one.asked["mode"], one.asked["batch"], one.asked["workers"]) == ("augment", 16, 5)
        warm_up, *timed = one.turns
        assert warm_up == (0, 0)
        firsts = [FIRST_TURN, FIRST_TURN + 2, FIRST_TURN + 2 + 3]  # as each turn is an epoch longer than the last
        assert timed == [(first, TURN_S) for first in firsts]
    assert len(settled) == 2 * 3
    for entry in case.contenders.values():
        assert (entry.items, entry.seconds, entry.measures["cpu_s_per_1000"]) == (50, [2.0] * 3, 60.0)
        assert entry.measures["first_epoch_s"] == 2.0


class Marking:
    """A policy that marks each image with its draw key and the epoch, and says what it was made of."""

    def __init__(self, table: Policy, _seed: int, *, compile_backend: str | None = None) -> None:
        self.asked = table, compile_backend

    def __call__(
        self, img_BCHW: torch.Tensor, keys_B: NDArray[np.int64], epoch: int, *, coming_N: NDArray[np.int64] | None
    ) -> torch.Tensor:
        assert img_BCHW.dtype == torch.uint8
        assert coming_N is None or len(coming_N) < 48
        mark_B = torch.from_numpy(keys_B) + 1000 * epoch
        return mark_B[:, None, None, None].expand(img_BCHW.shape)


@pytest.mark.parametrize("backend", [None, "inductor"])
@pytest.mark.parametrize("name", ours.FORMATS)
def test_our_own_rows_augment_every_image_of_each_epoch_by_the_policy_they_name(
    few: Path, tmp_path: Path, name: str, backend: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies: list[Marking] = []

    def policy(*asked: Any, **named: Any) -> Marking:
        policies.append(Marking(*asked, **named))
        return policies[-1]

    monkeypatch.setattr(ours, "OnlinePolicy", policy)
    monkeypatch.setattr(torch, "set_num_threads", lambda _number: None)
    words = name if backend is None else f"{name}{COMPILED}"
    job = Job(source=few, work=tmp_path, batch=20, workers=0, mode="augment", format=words, device="cpu")
    contender = ours.prepare(job)
    try:
        for epoch in (3, 5):
            marks = [batch[:, 0, 0, 0].tolist() for batch, _ in contender.batches(epoch)]
            assert [len(batch) for batch in marks] == [20, 20, 8]
            assert sorted(mark for batch in marks for mark in batch) == [1000 * epoch + row for row in range(48)]
    finally:
        contender.close()
    assert [one.asked for one in policies] == [(STRONG if "strong" in name else ours.FIVE, backend)]


def test_we_draw_from_the_ranges_that_rivals_draw_from() -> None:
    found = {drawn.name: (drawn.low, drawn.high) for one in ours.FIVE.operations for drawn in one.ranges}
    assert found == {
        "zoom": protocol.SCALE, "angle": protocol.ROTATION_DEGREES,
        "brightness": protocol.BRIGHTNESS, "contrast": protocol.CONTRAST,
    }  # fmt: skip
    flip, *others = ours.FIVE.operations
    assert (flip.name, flip.chance) == ("flip", protocol.FLIP_PROBABILITY)
    assert {one.chance for one in others} == {group.probability for group in ours.FIVE.groups} == {1.0}
