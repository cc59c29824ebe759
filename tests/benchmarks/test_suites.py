"""The other suites, run once with little data; what fails in one contender; the command line's exit codes."""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
import pytest

from benchmarks import __main__ as program
from benchmarks import augment, balance, loaders, scaling, training
from benchmarks.contest import contest, refuse_other_images, role_of, settle
from benchmarks.harness import Measured
from benchmarks.images import SHARD_ROWS, make_records
from benchmarks.machine import RESULTS
from benchmarks.peers.environments import is_ready
from benchmarks.peers.protocol import tree_cpu_seconds
from benchmarks.peers.run import CONTENDERS, OWN, Peer, Rival
from benchmarks.processes import ProgramError, run_program
from benchmarks.result_files import QUICK_RESULTS
from benchmarks.schema import Axis, Case, read_result
from benchmarks.stages import CURVES, Place, stage_case
from benchmarks.suite import Setting, Suite, numbers, run_alone
from benchmarks.watch import measures_of
from pipelines.probe import GpuReading, Reading


def a_reading(cpu_s: float, pss: float | None, gpu: GpuReading | None = None) -> Reading:
    return Reading(seconds=2.0, cpu_s=cpu_s, peak_rss_mib=100 * cpu_s, peak_pss_mib=pss, worker_rss_mib=None, gpu=gpu)


def test_readings_become_measures_and_what_was_not_measured_stays_none() -> None:
    gpu = dict.fromkeys(GpuReading.__dataclass_fields__) | {"energy_j": 30.0, "memory_mib": 512.0}
    measures = measures_of([a_reading(1, 5), a_reading(3, None, GpuReading(**gpu)), a_reading(2, 7)], 500)  # type: ignore[arg-type]
    assert measures == {
        "cpu_s_per_1000": 4.0, "rss_mib": 300, "pss_mib": 7, "worker_rss_mib": None, "gpu_memory_mib": 512.0,
        "gpu_utilisation": None, "power_w": None, "joules_per_1000": 60.0,
    }  # fmt: skip


def test_a_program_that_fails_says_its_last_line_and_one_that_works_what_it_took() -> None:
    with pytest.raises(ProgramError, match=r"^json.tool ended with 2: .*no such file"):
        run_program("json.tool", ["no such file"])
    assert run_program("timeit", ["-n", "1", "-r", "1", "sum(range(10_000_000))"]).cpu_s > 0.05


def test_every_contender_of_balance_makes_as_many_copies(tmp_path: Path) -> None:
    records = tmp_path / balance.DATASET / "preprocessed"
    make_records(records, np.array([0] * 12 + [1, 2, 3, 4, 5, 6] * 2), {"shard_rows": SHARD_ROWS})
    case = balance.balance_case(records, repeats=1)
    assert not case.failed
    assert {name: entry.items for name, entry in case.contenders.items()} == dict.fromkeys(
        (balance.OURS, balance.PLAIN), 60
    )
    assert all((entry.measures["rss_mib"] or 0) > 50 for entry in case.contenders.values())


def test_a_contest_names_who_cannot_start_or_delivers_other_images(few: Path, tmp_path: Path) -> None:
    table = {
        "absent": Rival("nowhere", "jpeg", OWN),
        "absent, for a GPU": Rival("nowhere", "jpeg", OWN, device="cuda"),
        "fastfer, resident": Rival("ours", "resident", OWN),
        "fastfer, dali": Rival("ours", "dali", OWN),
    }
    case = contest(
        table, "decode", title="made", how="by a test",
        ours="fastfer, dali", source=few, work=tmp_path, repeats=1, batch=16, only="absent*|*resident",
    )  # fmt: skip
    assert list(case.contenders) == ["fastfer, resident"]
    assert case.ours == "fastfer, resident"  # since the other one was not asked for
    assert list(case.failed) == ["absent"]
    assert "nowhere jpeg has ended" in case.failed["absent"]
    measures = case.contenders["fastfer, resident"].measures
    assert all((measures[name] or 0) > 0 for name in ("first_epoch_s", "pss_mib", "rss_mib", "mean"))
    assert measures["gpu_memory_mib"] is None


def test_a_contest_leaves_out_who_delivers_other_images(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = Peer.check

    def one_image_again_and_again(peer: Peer, epoch: int = 0) -> dict[str, Any]:
        return check(peer, epoch) | ({"distinct": 1} if peer.title == "ours reference" else {})

    monkeypatch.setattr(Peer, "check", one_image_again_and_again)
    table = {f"fastfer, {kind}": Rival("ours", kind, OWN) for kind in ("resident", "reference")}
    case = contest(
        table, "decode", title="made", how="by a test",
        ours="fastfer, resident", source=few, work=tmp_path, repeats=1, batch=16,
    )  # fmt: skip
    assert list(case.contenders) == ["fastfer, resident"]
    assert case.failed == {"fastfer, reference": "fastfer, reference delivers 1 different images, not 48"}
    entry = case.contenders["fastfer, resident"]
    assert entry.items == case.settings["images"] == 48


DELIVERED: Final[dict[str, Any]] = {
    "images": 4000, "distinct": 4000, "mean": 0.5, "shape": [64, 1, 224, 224], "dtype": "uint8", "labels": [3000, 1000],
}  # fmt: skip


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"images": 3999}, "images 3999, not 4000"),
        ({"distinct": 3995}, "3995 different images, not 4000"),
        ({"mean": 0.51}, "mean pixel of it is 0.5100, not 0.5000"),
        ({"shape": [64, 3, 224, 224]}, "shape .64, 3, 224, 224., not"),
        ({"dtype": "float32"}, "dtype float32, not uint8"),
        ({"labels": [1000, 3000]}, "other labels: .1000, 3000. of each"),
    ],
)
def test_what_makes_images_others(other: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        refuse_other_images("it", DELIVERED | other, DELIVERED, "decode")


@pytest.mark.parametrize("alike", [{}, {"distinct": 3999}, {"mean": 0.502}, {"labels": None}])
def test_what_leaves_them_the_same(alike: dict[str, Any]) -> None:
    refuse_other_images("it", DELIVERED | alike, DELIVERED, "decode")
    refuse_other_images("it", DELIVERED, DELIVERED | alike, "decode")


def test_a_turn_lasts_as_long_as_asked_and_one_epoch_at_least(few: Path, tmp_path: Path) -> None:
    with Peer(Rival("ours", "resident", OWN), "decode", source=few, work=tmp_path) as peer:
        assert peer.turn(0, least_s=0)["epochs"] == 1
        turn = peer.turn(1, least_s=0.3)
    assert turn["seconds"] >= 0.3
    assert turn["images"] == 48 * turn["epochs"] > 48


@pytest.mark.skipif(not is_ready("limits"), reason="make peers NAMES=limits makes its environment")
def test_the_limits_handle_the_images_that_they_are_limits_of(few: Path, tmp_path: Path) -> None:
    """As a contest sees to for all: each ratio to a limit stands on it."""
    names = [name for name in CONTENDERS if name.startswith("limit: ")]
    delivered: dict[str, dict[str, Any]] = {}
    for name in ("fastfer, resident", *names):
        with Peer(CONTENDERS[name], "decode", source=few, work=tmp_path, batch=16) as peer:
            delivered[name] = peer.check(0)
            assert peer.turn(1, least_s=0)["images"] == 48
    for name in names:
        refuse_other_images(name, delivered[name], delivered["fastfer, resident"], "decode")


def test_nobody_finds_what_another_one_has_compiled(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "mine"))
    folders = set()
    for _ in range(2):
        with Peer(Rival("ours", "resident", OWN), "decode", source=few, work=tmp_path) as peer:
            folders.add(psutil.Process(peer.pid).environ()["TORCHINDUCTOR_CACHE_DIR"])
    assert len(folders) == 2
    assert not [folder for folder in folders if Path(folder).exists()]


def test_peers_that_are_told_to_quit_end_before_their_contexts(few: Path, tmp_path: Path) -> None:
    with Peer(Rival("ours", "resident", OWN), "decode", source=few, work=tmp_path) as peer:
        peer.quit()
        psutil.Process(peer.pid).wait(10)
    assert not psutil.pid_exists(peer.pid)


@pytest.mark.skipif(not is_ready("current"), reason="make peers NAMES=current makes its environment")
def test_what_litdata_clears_is_nobodys(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It removes folders named data and chunks from where temporary files are, unless it is told of others."""
    kept = [tmp_path / name / "kept.txt" for name in ("data", "chunks")]
    for path in kept:
        path.parent.mkdir()
        path.write_text("of somebody")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with Peer(CONTENDERS["LitData, raw"], "decode", source=few, work=tmp_path / "work") as peer:
        assert peer.check(0)["images"] == 48
    assert [path.read_text() for path in kept] == ["of somebody"] * 2
    assert {path.name for path in (tmp_path / "work").iterdir()} == {"litdata-raw"}


def test_the_next_one_waits_until_a_peer_has_done_what_it_does_beyond_its_turn() -> None:
    busy = "import time; print(flush=True)\nwhile time.process_time() < 1: pass\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", busy], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        settle(process.pid)
        taken_s = tree_cpu_seconds(process.pid)
        process.kill()
    assert taken_s > 0.9
    settle(process.pid)  # one that has ended is idle


def test_the_batch_of_the_whole_case_is_a_place_of_the_curve_without_another_measurement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def case(_settings: argparse.Namespace, table: Mapping[str, Rival], batch: int, axis: Axis | None = None) -> Case:
        asked.append(batch)
        contenders = {name: Measured(batch, [1.0]).entry(role_of(name)) for name in table if name != "kornia"}
        facts = {"title": "a", "unit": "images", "how": "b", "ours": "fastfer", "settings": {"batch": batch}}
        return Case(**facts, axis=axis, contenders=contenders, failed={"kornia": "absent", "torchvision": "absent"})

    monkeypatch.setattr(augment, "_case", case)
    cases = list(augment.SUITE.run(argparse.Namespace(batch=64, batches=(16, 64))))
    assert asked == [64, 16]
    assert [one.axis and one.axis.value for one in cases] == [None, 16, 64]
    assert cases[2].contenders == {name: cases[0].contenders[name] for name in ("fastfer", "fastfer, compiled")}
    assert cases[2].failed == {"kornia": "absent"}


@pytest.mark.parametrize("curve", [CURVES[0], CURVES[-1]], ids=lambda curve: curve.title)
def test_a_place_of_a_curve_is_a_case(curve, tmp_path: Path) -> None:
    case = stage_case(curve, Place(images=32, batch=16, workers=1), tmp_path, repeats=1)
    assert not case.failed
    assert list(case.contenders) == list(curve.contenders)
    assert case.axis == Axis(name=curve.axis, value={"images": 32, "workers": 1}[curve.axis])


def test_a_shard_stage_that_fails_is_named(tmp_path: Path) -> None:
    case = scaling.faces_case(tmp_path, 1, repeats=1)
    assert not case.contenders
    assert "FileNotFoundError" in case.failed["fastfer"]


@pytest.mark.parametrize(("cores", "places"), [(1, (1,)), (2, (1, 2)), (6, (1, 2, 4, 6)), (8, (1, 2, 4, 8))])
def test_workers_are_doubled_up_to_all(cores: int, places: tuple[int, ...]) -> None:
    assert scaling.doubled(cores) == places


def test_lists_of_numbers() -> None:
    assert numbers("1,16 64") == (1, 16, 64)
    for text in ("", "0", "1,1", "a", "-1", "1.5"):
        with pytest.raises(argparse.ArgumentTypeError):
            numbers(text)


def a_case(_settings: argparse.Namespace) -> Iterator[Case]:
    yield Case(title="made", unit="images", how="by a test", ours="us", settings={}, contenders={}, failed={"us": "no"})


@pytest.mark.parametrize(
    "words",
    [
        ["training", "--bogus", "1"],
        ["training", "--images", "48", "--archs", "no_such_network"],
        ["inference", "--archs", "no_such_network"],
        ["training", "--images", "48", "--precisions", "64"],
        ["augment", "--batches", "0"],
        ["augment", "--repeats", "0"],
        ["check", "--images", "0"],
        ["augment", "--images", "48", "--batches", "16", "--only", "nobody"],
        ["nothing"],
        ["faces", "--quick", "2"],
        [],
    ],
)
def test_wrong_use_ends_with_2(
    words: list[str], few: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if words and words[0] in {"training", "augment"}:
        words = [*words, "--data", str(few.parents[1])]
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_settings_of_a_suite_that_does_not_run_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["loaders", "--ceiling", "1", "--repeats", "5"])
    with pytest.raises(SystemExit):
        run_alone(loaders.SUITE)
    assert "--ceiling runs another suite with its own settings: leave --repeats away" in capsys.readouterr().err


@pytest.mark.parametrize("asked", [["--ceiling"], ["--ceiling", "1"]])
def test_loaders_with_ceiling_is_the_training_suite(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert loaders.SUITE.instead == {"ceiling": training.SUITE}
    suite = replace(loaders.SUITE, instead={"ceiling": replace(training.SUITE, run=a_case)})
    monkeypatch.setattr(sys, "argv", ["loaders", *asked, "--quick", "1", "--results", str(tmp_path)])
    run_alone(suite)
    (path,) = tmp_path.iterdir()
    result = read_result(path)
    assert (result.suite, result.quick, result.cases[0].failed) == ("training", True, {"us": "no"})


def test_all_goes_on_after_a_suite_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def failing(_settings: argparse.Namespace) -> Iterator[Case]:
        raise RuntimeError("no room")

    suites = [Suite(name, "made", (), (), run) for name, run in (("bad", failing), ("good", a_case))]
    monkeypatch.setattr(program, "SUITES", suites)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "all", "--results", str(tmp_path)])
    with pytest.raises(SystemExit, match="these suites failed: bad"):
        program.main()
    assert [read_result(path).suite for path in tmp_path.iterdir()] == ["good"]


def test_what_was_asked_otherwise_does_not_replace_the_evidence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """More turns may: a result tells how many there were."""
    monkeypatch.chdir(tmp_path)
    settings = (Setting("only", "", str, "*"), Setting("repeats", "", int, 3, 1, free=True))
    suite = Suite("made", "", settings, (), a_case)

    def measured(*, quick: bool = False, only: str | None = None, repeats: int | None = None) -> Path:
        return suite.measure(argparse.Namespace(quick=quick, results=None, only=only, repeats=repeats)).parent

    assert [measured(), measured(repeats=5), measured(only="*")] == [RESULTS] * 3
    assert [measured(quick=True), measured(only="us")] == [QUICK_RESULTS] * 2


def test_a_suite_that_is_stopped_leaves_what_it_has_measured_and_the_old_result(tmp_path: Path) -> None:
    def stopped(settings: argparse.Namespace) -> Iterator[Case]:
        yield from a_case(settings)
        raise KeyboardInterrupt

    def whole(settings: argparse.Namespace) -> Iterator[Case]:
        yield from a_case(settings)
        yield from a_case(settings)

    result = Suite("made", "", (), (), whole).by_default(quick=True, results=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        Suite("made", "", (), (), stopped).by_default(quick=True, results=tmp_path)
    (unfinished,) = (tmp_path / "unfinished").iterdir()
    assert len(read_result(unfinished).cases) == 1
    assert len(read_result(result).cases) == 2
    Suite("made", "", (), (), whole).by_default(quick=True, results=tmp_path)
    assert list(tmp_path.iterdir()) == [result]
