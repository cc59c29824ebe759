"""What the report says of augmentation, joint training and chance: from scores, and from `make compare`'s tables."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fastfer.evaluation.paired import DIFFERENCES, PAIRS_NAME, SEEDS_NAME, paired_difference
from fastfer.report import make_report
from fastfer.report.comparisons import comparison_sections
from fastfer.report.contrasts import Compared
from fastfer.report.document import Section
from fastfer.report.locale import ENGLISH
from fastfer.report.naming import run_labels
from fastfer.report.runs import read_runs
from pipelines.errors import InputError
from tests.fastfer.report.conftest import write_result, write_run

JOINT = "demo-rafdb+demo-expw"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """One network without and with augmentation, on each set and on both together."""
    folder = tmp_path / "runs"
    for number, dataset in enumerate(("demo-rafdb", "demo-expw", JOINT)):
        for aug, skill in (("none", 1.5), ("online", 2.0)):
            run = write_run(folder, dataset=dataset, aug=aug, skill=skill + number / 4, name=f"{dataset}-{aug}")
            if dataset == JOINT:
                for part in JOINT.split("+"):
                    write_result(run / "cross" / part, part, skill=skill + 1)
    return folder


def write_pairs(results: Path, pairs: list[tuple[str, str, str, float]]) -> None:
    """`compare.csv` with (run_a, run_b, tested_on, accuracy difference); the others are twice and thrice that."""
    lines = []
    for run_a, run_b, tested_on, difference in pairs:
        line: dict[str, Any] = {"tested_on": tested_on, "tested_variant": "preprocessed", "split": "test"}
        line |= {"run_a": run_a, "run_b": run_b, "n": 140, "only_a_right": 30, "only_b_right": 0, "test": "chi2"}
        line |= {"statistic": 9.0, "p": 1e-7, "p_holm": 0.04, "cohens_g": 0.5, "odds_ratio": None}
        for times, metric in enumerate(DIFFERENCES, start=1):
            value = difference * times
            line |= {f"{metric}_difference": value}
            line |= {f"{metric}_difference_low": value - 0.1, f"{metric}_difference_high": value + 0.2}
        lines.append(line)
    results.mkdir(exist_ok=True)
    pl.DataFrame(lines).write_csv(results / PAIRS_NAME)


def sections(runs: Path, results: Path | None = None) -> dict[str, Section]:
    found = read_runs(runs)
    return comparison_sections(found, run_labels(found), Compared.read(results), results, ENGLISH)


def score(runs: Path, name: str, metric: str, where: str = ".") -> float:
    value: float = json.loads((runs / name / where / "metrics.json").read_text())[metric]["value"]
    return value


def test_augmentation_is_told_for_each_set_trained_on(runs: Path) -> None:
    section = sections(runs)["augmentation"]
    (table,) = section.tables
    assert [record["trained_on"] for record in table.records] == ["demo-expw", JOINT, "demo-rafdb"]
    for record in table.records:
        for metric in DIFFERENCES:
            names = [f"{record['trained_on']}-{aug}" for aug in ("none", "online")]
            below, above = (score(runs, name, metric) for name in names)
            assert record[f"{metric}_base"]["value"] == below
            assert record[f"{metric}_run"]["value"] == above
            assert record[f"{metric}_difference"] == {"value": above - below, "low": None, "high": None}
    (missing,) = section.missing
    assert missing.sentence.startswith("3 of 3 differences have no paired interval")
    assert missing.command == "make compare"


def test_paired_intervals_are_those_of_the_comparison_whichever_run_is_a(runs: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    pairs = [
        ("demo-rafdb-online", "demo-rafdb-none", "demo-rafdb", 0.05),
        ("demo-expw-none", "demo-expw-online", "demo-expw", -0.03),
    ]
    write_pairs(results, pairs)
    section = sections(runs, results)["augmentation"]
    found = {record["trained_on"]: record["accuracy_difference"] for record in section.tables[0].records}
    assert found["demo-rafdb"] == pytest.approx({"value": 0.05, "low": -0.05, "high": 0.25})
    assert found["demo-expw"] == pytest.approx({"value": 0.03, "low": -0.17, "high": 0.13})
    (missing,) = section.missing
    assert missing.sentence.startswith("1 of 3")
    assert missing.command == f"make compare RESULTS={results}"


def test_runs_that_differ_in_more_are_not_contrasted(tmp_path: Path) -> None:
    write_run(tmp_path, arch="resnet", aug="none", seed=1)
    write_run(tmp_path, arch="resnet", aug="online", seed=2)
    section = sections(tmp_path)["augmentation"]
    assert (section.tables, section.figures) == ([], [])
    told = {missing.sentence: missing.command for missing in section.missing}
    baseline = told["demo-rafdb, resnet · online has no baseline without augmentation"]
    assert baseline.startswith("make train ARCH=resnet AUG=none DATASET=demo-rafdb VARIANT=preprocessed")
    assert "SEED=2" in baseline
    assert "AUG=online" in told["demo-rafdb, resnet · none has no augmented counterpart"]


def test_together_is_told_by_test_set(runs: Path) -> None:
    (table,) = sections(runs)["together"].tables
    assert [(record["tested_on"], record["aug"]) for record in table.records] == [
        (dataset, aug) for dataset in ("demo-expw", "demo-rafdb") for aug in ("none", "online")
    ]
    for record in table.records:
        alone = score(runs, f"{record['tested_on']}-{record['aug']}", "macro_f1")
        together = score(runs, f"{JOINT}-{record['aug']}", "macro_f1", f"cross/{record['tested_on']}")
        assert record["macro_f1_difference"]["value"] == together - alone


def test_what_joint_training_lacks_is_told_with_its_command(tmp_path: Path) -> None:
    (missing,) = sections_of_one(tmp_path / "none", dataset="demo-rafdb")["together"].missing
    assert missing.command == "make study TOGETHER=1"
    joint = sections_of_one(tmp_path / "joint", dataset=JOINT)["together"]
    assert [missing.command.split()[:2] for missing in joint.missing] == [["make", "evaluate"]] * 2
    run = write_run(tmp_path / "lonely", dataset=JOINT, name="joint")
    for part in JOINT.split("+"):
        write_result(run / "cross" / part, part)
    lonely = sections(tmp_path / "lonely")["together"].missing
    assert [f"DATASET={part}" in missing.command for part, missing in zip(JOINT.split("+"), lonely, strict=True)] == [
        True,
        True,
    ]


def sections_of_one(folder: Path, dataset: str) -> dict[str, Section]:
    write_run(folder, dataset=dataset)
    return sections(folder)


def test_the_statistics_show_pairs_that_differ_in_one_thing(runs: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    pairs = [
        ("demo-rafdb-none", "demo-rafdb-online", "demo-rafdb", -0.05),
        ("demo-rafdb-none", f"{JOINT}-online", "demo-rafdb", -0.2),  # two things
        ("demo-rafdb-none", "of-another-report", "demo-rafdb", 0.1),
    ]
    write_pairs(results, pairs)
    section = sections(runs, results)["statistics"]
    (table,) = section.tables
    (record,) = table.records
    assert record["run_a"] == "demo-rafdb, efficientnet · none"
    cells = {column.key: cell.text for column, cell in zip(table.columns, table.rows()[0], strict=True)}
    assert (cells["p"], cells["p_holm"], cells["cohens_g"], cells["odds_ratio"]) == ("<0.001", "0.040", "0.500", "–")
    assert cells["accuracy_difference"] == "−0.050"
    assert table.frame()["p"].to_list() == [1e-7]
    assert section.paragraphs[0].startswith("1 of 2 pairs")
    assert "1 of those shown differ" in section.paragraphs[0]
    assert [missing.command for missing in section.missing] == [
        f"make study SEEDS=0,1,2 && make compare RESULTS={results}"
    ]


def test_the_spread_over_seeds_is_told_where_there_are_several(runs: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    line = {
        "trained_on": "demo-rafdb",
        "variant": "augmented",
        "arch": "efficientnet",
        "aug": "online",
        "settings": "x",
    }
    line |= {"tested_on": "demo-rafdb", "tested_variant": "preprocessed", "split": "test"}
    numbers: dict[str, Any] = {"undefined": 0, "mean": 0.5, "std": 0.1, "min": 0.4, "max": 0.6}
    lines = [
        line | {"metric": metric, "seeds": seeds, "arch": arch} | numbers
        for metric in ("balanced_accuracy", "macro_f1", "mcc")
        for arch, seeds in (("efficientnet", 3), ("vit", 3), ("efficientnet", 1))
    ]
    pl.DataFrame(lines).write_csv(results / SEEDS_NAME)
    section = sections(runs, results)["statistics"]
    (table,) = section.tables
    assert [record["metric"] for record in table.records] == ["Balanced accuracy ↑", "Macro F1 ↑"]
    assert [figure.name for figure in section.figures] == ["seeds"]
    assert [missing.sentence for missing in section.missing] == ["The runs were not compared with one another"]


def test_a_broken_comparison_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / PAIRS_NAME).write_bytes(b'tested_on,run_a\n"\xff\xfe,1\n,,,,,\n')
    with pytest.raises(InputError, match=r"compare\.csv cannot be read"):
        Compared.read(tmp_path)


def test_a_pair_without_an_interval_is_no_paired_difference() -> None:
    names = {f"balanced_accuracy_difference{side}": None for side in ("", "_low", "_high")}
    pairs = pl.DataFrame([{"tested_on": "x", "run_a": "a", "run_b": "b", **names}])
    assert paired_difference(pairs, "balanced_accuracy", run="a", base="b", tested_on="x") is None


def test_the_page_shows_them_and_fits_a_phone(runs: Path, tmp_path: Path, open_page: Callable[..., Any]) -> None:
    results = tmp_path / "results"
    write_pairs(results, [("demo-rafdb-none", "demo-rafdb-online", "demo-rafdb", -0.05)])
    opened = open_page(make_report(runs, tmp_path / "report", results=results), width=390)
    for anchor, words in (
        ("augmentation", "What augmentation changes"),
        ("together", "Together against alone"),
        ("statistics", "McNemar's test"),
    ):
        assert words in opened.page.locator(f"section#{anchor}").inner_text()
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
    assert opened.page.evaluate("new Set([...document.querySelectorAll('[id]')].map((one) => one.id)).size") == (
        opened.page.locator("[id]").count()
    )
    assert opened.errors == []
