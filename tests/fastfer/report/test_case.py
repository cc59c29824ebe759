"""The case about the datasets: its numbers on demo data whose truth is known, its page in a real browser."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fastfer.analysis import case as analysis
from fastfer.analysis.case import Case, CaseConfig, make_case
from fastfer.cli import main
from fastfer.datasets.demo import DemoConfig, make_demo_data, read_truth
from fastfer.report.case import write_case
from fastfer.report.case_text import TEXT, Speaker
from fastfer.shards import make_shards
from pipelines.errors import InputError
from tests.fastfer.conftest import DEMO_SETS, shard_config

NOISE = 0.1


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> CaseConfig:
    """Both demo sets with a tenth of their labels changed, and their records; large enough for an estimate."""
    folder = tmp_path_factory.mktemp("case")
    make_demo_data(folder / "raw", DemoConfig(faces=400, label_noise=NOISE))
    for dataset in DEMO_SETS:
        make_shards(shard_config(folder / "raw", folder / "shards", dataset, size_px=64, shard_rows=128))
    return CaseConfig(
        datasets=DEMO_SETS,
        data_root=folder / "raw",
        shards=folder / "shards",
        runs=folder / "runs",
        results=folder / "results",
        images=60,
    )


@pytest.fixture(scope="module")
def case(config: CaseConfig) -> Case:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastfer.analysis.separability.DRAWS", 3)
        return make_case(config)


@pytest.fixture(scope="module")
def page(case: Case, config: CaseConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_case(case, config, tmp_path_factory.mktemp("report") / "case", speaker=Speaker("en"))


def test_it_finds_the_truth_of_the_demo(case: Case, config: CaseConfig) -> None:
    for facts in case.facts:
        truth = read_truth(config.data_root / facts.name)
        assert facts.noise is not None
        flipped = (truth["label"] != truth["written_label"]).mean()
        assert facts.noise.overall["low"] <= flipped <= facts.noise.overall["high"]  # type: ignore[operator]
        assert facts.evidence is not None
        not_largest = facts.evidence.not_so["is_largest"]
        assert not_largest.low is not None
        assert not_largest.high is not None
        assert not_largest.low <= (~truth["is_largest"]).mean() <= not_largest.high  # type: ignore[operator]
    rafdb, expw = case.facts
    assert rafdb.queries is None
    named = read_truth(config.data_root / expw.name).drop_nulls("query_class")
    assert expw.queries is not None
    assert expw.queries.low is not None
    assert expw.queries.high is not None
    assert expw.queries.low <= (named["query_class"] == named["written_label"]).mean() <= expw.queries.high  # type: ignore[operator]


def test_larger_photographs_are_found_so(case: Case) -> None:
    width = next(row for row in case.compared if row.quantity == "width")
    assert width.difference is not None
    assert width.difference.size == "large"
    assert width.difference.delta > 0
    assert width.p_adjusted is not None
    assert width.p_adjusted < 0.001


def test_what_is_missing_says_what_to_run(case: Case, config: CaseConfig, tmp_path: Path) -> None:
    assert [command for _, command in case.missing] == [f"make train DATASET={name}" for name in DEMO_SETS]
    nothing = replace(config, data_root=tmp_path, shards=tmp_path, datasets=("demo-expw",))
    with pytest.raises(InputError, match=r"make demo-data.*make shards"):
        make_case(nothing)
    broken = replace(config, results=tmp_path, datasets=("demo-expw",))
    broken.verdicts("demo-expw").write_text("key,verdict\na,maybe\n")
    with pytest.raises(InputError, match="line 2: 'maybe' is no verdict"):
        make_case(broken)
    with pytest.raises(InputError, match="images is 0"):
        replace(config, images=0)
    with pytest.raises(InputError, match=r"no detector 'x'"):
        replace(config, detector="x")
    with pytest.raises(InputError, match="no dataset 'x'"):
        replace(config, datasets=("x",))


def test_the_page_opens_and_says_the_numbers(page: Path, case: Case, open_page: Callable[..., Any]) -> None:
    opened = open_page(page, width=390)
    text = opened.page.locator("main").inner_text()
    speaker = Speaker("en")
    for facts in case.facts:
        assert facts.noise is not None
        assert f"{facts.name}: an estimated {speaker.percent(facts.noise.overall['value'])}" in text
    assert "carry another label than the word asks for" in text
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
    assert opened.page.locator("figure.picture img").count() == len(DEMO_SETS)
    assert opened.errors == []
    assert opened.requests == [page.as_uri()]
    assert page.stat().st_size < 15_000_000


def test_tables_hold_what_was_measured(page: Path, case: Case) -> None:
    table = pl.read_csv(page.parent / "tables" / "label-noise.csv")
    for facts in case.facts:
        assert facts.noise is not None
        told = table.filter(pl.col("dataset") == facts.name, pl.col("class") == "all").row(0, named=True)
        for suffix, part in (("", "value"), ("_low", "low"), ("_high", "high")):
            assert told[f"share{suffix}"] == pytest.approx(facts.noise.overall[part])
    assert (page.parent / "tables" / "photographs.tex").read_text().startswith(r"\begin{table}")


def test_a_persons_verdicts_come_back_into_the_page(
    case: Case, config: CaseConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config.verdicts("demo-rafdb")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows[:4]:
        row["verdict"] = "disagree"
    rows[4]["verdict"] = "agree"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    noise = case.facts[0].noise
    monkeypatch.setattr(analysis, "label_noise", lambda *_args, **_kwargs: noise)
    monkeypatch.setattr(analysis, "separability", lambda *_args, **_kwargs: {})
    again = make_case(replace(config, datasets=("demo-rafdb",)))
    judged = again.facts[0].judged
    assert judged is not None
    assert (judged.n, judged.value) == (5, 0.8)
    html = write_case(again, config, tmp_path / "case", speaker=Speaker("pt")).read_text()
    assert "uma pessoa julgou 5 dos rótulos mais suspeitos; 80,0%" in html
    assert '<html lang="pt">' in html


def test_sentences_and_numbers_are_in_the_speakers_language() -> None:
    assert Speaker("en").say("no_query", dataset="expw") == TEXT["no_query"].format(dataset="expw")
    assert Speaker("pt").say("no_query", dataset="expw") == (
        "expw: nenhum nome de arquivo contém uma palavra de emoção."
    )
    assert (Speaker("en").word("anger"), Speaker("pt").word("anger")) == ("anger", "raiva")
    assert Speaker("pt").number(1234.5, 1) == "1.234,5"


def test_an_unknown_locale_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["dataset-case", "--locale", "xx"])
    assert stop.value.code == 2
    assert "choose one of en, pt" in capsys.readouterr().err
