"""The verbs about data, as a person runs them on the demo sets."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.fastfer.cli.test_cli import run


def test_check_shows_counts_and_says_what_is_missing(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "dataset", "check", "--dataset", "demo-expw", "--data-root", str(raw / "demo-expw"))
    assert code == 2  # its planted faults
    assert "ExpW, label/label.lst with image/origin" in out
    assert "happiness" in out
    assert "repeats an earlier line" in out
    assert err.startswith("fastfer: ")
    assert "is not complete: " in err
    assert "with missing image" in err


def test_check_of_a_complete_folder_ends_well(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from fastfer.cli import main

    main(["dataset", "check", "--dataset", "demo-rafdb", "--data-root", str(raw / "demo-rafdb")])
    assert "demo-rafdb is complete" in capsys.readouterr().out


def test_duplicates_inspect_export_and_selection_report(
    raw: Path, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from fastfer.cli import main

    out = tmp_path / "shards"
    shutil.copytree(shards, out)
    where = ["--out", str(out)]
    main(["duplicates", "--dataset", "demo-rafdb+demo-expw", *where])
    said = capsys.readouterr().out
    assert "train images of demo-rafdb that joint training leaves out" in said
    assert (out / "demo-rafdb+demo-expw/duplicates.parquet").is_file()
    reports = ["--reports", str(tmp_path / "reports")]
    main(["shards", "inspect", "--dataset", "demo-expw", *where, *reports])
    assert "train mean" in capsys.readouterr().out
    assert (tmp_path / "reports/demo-expw-preprocessed.jpg").is_file()
    main(["shards", "export", "--dataset", "demo-expw", "--into", str(tmp_path / "faces"), *where])
    assert "faces in" in capsys.readouterr().out
    root = str(raw / "demo-expw")
    main(["selection-report", "--dataset", "demo-expw", "--data-root", root, *where, *reports])
    assert "matched" in capsys.readouterr().out
    assert (tmp_path / "reports/selection-demo-expw/funnel.csv").is_file()


def test_torch_is_not_waited_for_where_there_is_no_driver() -> None:
    code = (
        "import sys\n"
        "from fastfer.cli.data import device_of, has_driver\n"
        "print(device_of('auto'), has_driver() == ('torch' in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["cuda" if torch.cuda.is_available() else "cpu", "True"]
