"""What changed between two results, and what the verbs say of it."""

from pathlib import Path

import pytest

from benchmarks.report.compare import chance_apart, compare, others_changed, verdict, warnings
from benchmarks.report.verbs import VERBS
from fastfer.cli.app import parser, run_verb
from pipelines.errors import InputError
from tests.benchmarks import made
from tests.benchmarks.made import case, entry, result

STEADY = [1.0, 1.01, 0.99, 1.0, 1.0]


def times(factor: float, repetitions: int = 5) -> list[float]:
    return [seconds * factor for seconds in STEADY[:repetitions]]


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (times(0.5), "faster"),
        (times(2.0), "slower"),
        (times(1.0), "within noise"),
        (times(1.005), "within noise"),  # the intervals overlap
        ([1.02] * 5, "within noise"),  # apart, and less than 3%
        ([1.2, 0.8, 1.1, 0.9, 1.3], "within noise"),
        (times(2.0, 3), "slower"),  # 5 and 3 repetitions: 1 time in 28
        (times(2.0, 2), "perhaps slower (5 and 2 repetitions: by chance 1 time in 10)"),
        (times(0.5, 1), "perhaps faster (5 and 1 repetitions: by chance 1 time in 3)"),
    ],
)
def test_a_verdict_needs_intervals_apart_3_percent_and_enough_repetitions(after: list[float], said: str) -> None:
    assert verdict(entry("ours", STEADY), entry("ours", after)) == said


def test_the_chance_that_equal_runs_lie_apart() -> None:
    assert chance_apart(3, 3) == pytest.approx(2 / 20)
    assert chance_apart(5, 5) == pytest.approx(2 / 252)
    assert chance_apart(1, 1) == 1


def test_changes_are_by_case_place_and_contender() -> None:
    before, after = made.scaling(), made.scaling()
    slower = entry("ours", [seconds * 3 for seconds in after.cases[0].contenders["ours"].seconds])
    after.cases[0].contenders["ours"] = slower
    changes = {(change.case, change.contender): change for change in compare(before, after)}
    assert len(changes) == 12
    changed = changes.pop(("Growth, images 10000", "ours"))
    assert changed.times["value"] == pytest.approx(1 / 3)
    assert changed.times["low"] <= changed.times["value"] <= changed.times["high"]
    assert changed.verdict.startswith("perhaps slower (3 and 3")
    assert {change.verdict for change in changes.values()} == {"within noise"}
    assert all(change.times["value"] == 1 for change in changes.values())


def test_what_differs_beside_the_rates_is_said() -> None:
    one = case("A", {"ours": entry("ours", STEADY), "gone": entry("peer", STEADY)})
    other = case("A", {"ours": entry("ours", STEADY)}, settings={"batch": 32})
    before = result("loaders", one, case("B", {"ours": entry("ours", STEADY)}))
    after = result("loaders", other, quick=True, cores=16, device="G", libraries={"torch": "3"}, date="2027-01-01")
    assert list(warnings(before, after)) == [
        "Another machine or other software: cores was 2, is 16.",
        "Another machine or other software: device was none, is G.",
        "Another machine or other software: libraries was torch 2.15.0, is torch 3.",
        "A quick run is a look, not evidence.",
        "Other settings in A: batch 64 before, batch 32 after.",
        "Only before, in A: gone.",
        "Only before, in B: ours.",
    ]
    assert list(warnings(before, before)) == []


def test_peers_and_limits_tell_how_much_is_the_machine() -> None:
    before = result("loaders", case("A", {"ours": entry("ours", [1.0]), "peer": entry("peer", [1.0])}))
    after = result("loaders", case("A", {"ours": entry("ours", [0.1]), "peer": entry("peer", [0.8])}))
    said = others_changed(compare(before, after))
    assert said is not None
    assert "1.25 times as fast (from 1.25 to 1.25)" in said
    alone = result("loaders", case("A", {"ours": entry("ours", [1.0])}))
    assert others_changed(compare(alone, alone)) is None


def test_two_suites_are_refused() -> None:
    with pytest.raises(InputError, match="two suites, loaders and scaling"):
        compare(made.loaders(), made.scaling())


def run(*words: str) -> None:
    run_verb(parser(VERBS, prog="python -m benchmarks"), VERBS, words)


def test_the_verb_says_differences_first_and_the_rule_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = made.write(tmp_path, "before", made.loaders())
    after = made.write(tmp_path, "after", made.loaders(cores=4))
    run("compare", "--before", str(before), "--after", str(after))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Another machine or other software: cores was 2, is 4."
    assert lines[-1].startswith("Rule: a rate has changed when")
    text = "\n".join(lines)
    assert made.HOSTILE in text
    assert text.count("within noise") == sum(len(one.contenders) for one in made.loaders().cases)


def test_nothing_in_common_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = (
        made.write(tmp_path, name, result("faces", case(name, {"ours": entry("ours", [1.0])}))) for name in ("a", "b")
    )
    run("compare", "--before", str(one), "--after", str(other))
    assert "have no contender of one case in common" in capsys.readouterr().out


def test_the_report_verb_writes_where_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made.write(tmp_path / "results", "a", result("faces", case("One", {"ours": entry("ours", [1.0])})))
    out = tmp_path / "performance"
    run("report", "--results", f"{tmp_path / 'results'},{tmp_path / 'none'}", "--out", str(out))
    assert capsys.readouterr().out.splitlines()[-1] == f"report: {out / 'index.html'}"
    assert "Faces: One" in (out / "performance.md").read_text(encoding="utf-8")


def test_a_missing_file_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("compare", "--before", str(tmp_path / "none.json"), "--after", str(tmp_path / "none.json"))
    assert ended.value.code == 2
    assert "none.json cannot be read as a result of a benchmark" in capsys.readouterr().err
