"""The harness: a known sleep gives a known time, contenders run in turn, and a result file is held to its schema."""

import json
import subprocess
import time
from pathlib import Path

import pytest
import torch

from benchmarks.harness import Measured, in_turn, rate_of, said
from benchmarks.machine import RESULTS, commit_of, machine
from benchmarks.result_files import write_result
from benchmarks.schema import Case, read_result
from pipelines.errors import InputError
from tests.nvml import FakeGpu, FakeNvml, pretend

COMMITTED = sorted((Path(__file__).parents[2] / RESULTS).glob("*.json"))


def a_case(**changes: object) -> Case:
    timed = Measured(100, [0.5, 0.4, 0.6])
    made = Case(
        title="made", unit="images", how="by a test", ours="fastfer", settings={"batch": 8},
        contenders={"fastfer": timed.entry("ours", {"pss_mib": 10.0, "power_w": None})}, failed={"other": "not there"},
    )  # fmt: skip
    return made.model_copy(update=changes)


def test_a_known_sleep_gives_a_known_time() -> None:
    def sleeping() -> int:
        time.sleep(0.05)
        return 10

    measured = in_turn({"sleep": sleeping}, repeats=3).measured["sleep"]
    assert len(measured.seconds) == 3
    assert all(0.05 <= seconds < 0.25 for seconds in measured.seconds)
    assert measured.entry("ours").per_s.median <= 200


def test_contenders_run_in_turn_after_the_warm_up() -> None:
    order: list[str] = []

    def noting(name: str) -> int:
        order.append(name)
        return 1

    measured = in_turn({"a": lambda: noting("a"), "b": lambda: noting("b")}, repeats=2).measured
    assert order == ["a", "b"] * 3
    assert {name: len(one.seconds) for name, one in measured.items()} == {"a": 2, "b": 2}


def test_one_that_raises_or_miscounts_is_named_and_the_others_are_measured() -> None:
    counts = iter([3, 4])
    calls = []

    def raising() -> int:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("no more\npaper")
        return 1

    measured, failed = in_turn({"raising": raising, "well": lambda: 5, "counts": lambda: next(counts)}, repeats=3)
    assert failed == {"raising": "no more paper", "counts": "it handled 4 items, and 3 before"}
    assert list(measured) == ["well"]
    assert len(measured["well"].seconds) == 3
    assert len(calls) == 2


def test_an_error_without_words_is_named_by_its_kind() -> None:
    assert said("it", KeyError()) == "KeyError"


def test_the_rate_has_quartiles_and_an_interval_around_its_median() -> None:
    rate = rate_of(100, [1.0, 2.0, 4.0, 5.0, 10.0])
    assert rate.median == 25
    assert 10 <= rate.low <= rate.q25 <= rate.median <= rate.q75 <= rate.high <= 100
    assert rate_of(100, [2.0]).model_dump() == dict.fromkeys(("median", "q25", "q75", "low", "high"), 50.0)


def test_a_written_result_is_read_as_it_was(tmp_path: Path) -> None:
    path = write_result("made", [a_case()], quick=True, folder=tmp_path)
    result = read_result(path)
    assert (result.suite, result.quick, result.cases) == ("made", True, [a_case()])
    assert result.machine.cores >= 1
    assert result.cases[0].contenders["fastfer"].measures == {"pss_mib": 10.0, "power_w": None}


def test_results_of_different_hardware_have_files_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for processor in ("AMD EPYC", "Intel(R) Xeon(R) Processor", "../other/(TM) 5%"):
        facts = machine().model_copy(update={"processor": processor, "cores": 2, "device": "NVIDIA H200"})
        monkeypatch.setattr("benchmarks.result_files.machine", lambda facts=facts: facts)
        write_result("made", [a_case()], quick=False, folder=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "made--2-core-amd-epyc--nvidia-h200.json",
        "made--2-core-intel-xeon-processor--nvidia-h200.json",
        "made--2-core-other-5--nvidia-h200.json",
    }


def test_the_machine_tells_the_driver_and_the_power_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, FakeNvml(FakeGpu("GPU-a")), "a")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert (machine().driver, machine().power_limit_w) == (None, None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Made GPU")
    assert (machine().device, machine().driver, machine().power_limit_w) == ("Made GPU", "999.1", 700)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda of: of.update(schema_version=1), "schema_version"),
        (lambda of: of.pop("machine"), "machine: Field required"),
        (lambda of: of["cases"][0]["contenders"]["fastfer"].update(seconds=[]), "seconds"),
        (lambda of: of["cases"][0]["contenders"]["fastfer"]["measures"].update(warmth=3), "unknown measure warmth"),
        (lambda of: of["cases"][0].update(unit="sheep"), "unit"),
        (lambda of: of.update(more=1), "more: Extra inputs"),
    ],
)
def test_what_is_no_result_is_refused_by_name(tmp_path: Path, change, said: str) -> None:
    path = write_result("made", [a_case()], quick=False, folder=tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_result(path)


@pytest.mark.parametrize("content", ["", "[", "[]", "null", '{"suite": 1}', "\x00"])
def test_a_damaged_result_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"result\.json"):
        read_result(path)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_every_committed_result_is_one(path: Path) -> None:
    result = read_result(path)
    assert not result.quick
    assert path.name.startswith(f"{result.suite}--")
    assert result.machine.commit
    for case in result.cases:
        for entry in case.contenders.values():
            assert entry.per_s == rate_of(entry.items, entry.seconds)


def test_the_commit_says_whether_the_code_differs_from_it_and_results_do_not_count(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=b", *words], cwd=tmp_path, check=True)

    assert commit_of(tmp_path) is None
    (tmp_path / RESULTS).mkdir(parents=True)
    code, result = tmp_path / "code.py", tmp_path / RESULTS / "made.json"
    for path in (code, result):
        path.write_text("before")
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "made")
    clean = commit_of(tmp_path)
    assert clean
    assert clean.isalnum()
    result.write_text("after")
    assert commit_of(tmp_path) == clean
    code.write_text("after")
    assert commit_of(tmp_path) == f"{clean}+"


def test_a_copy_on_another_machine_is_told_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTFER_COMMIT", "abc1234")
    assert commit_of(tmp_path) == "abc1234"
