import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfer.report.commands import train_command
from fastfer.report.locale import ENGLISH
from fastfer.report.naming import file_names, run_labels
from fastfer.report.runs import Confusion, Run, read_runs
from fastfer.report.settings import flattened, split_shared
from fastfer.report.summary import headlines
from pipelines.errors import InputError


def bare_run(name: str, **config: Any) -> Run:
    return Run(
        name=name, folder=Path("runs", name), config=config, environment=None, epochs=None, result=None, cross=()
    )


def test_a_run_is_read_as_it_was_written(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    folder = write_run(tmp_path, epochs=3, cross=["demo-expw"])
    (run,) = read_runs(tmp_path)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert run.config == json.loads((folder / "config.json").read_text())
    assert run.result is not None
    assert run.result.scores["mcc"] == metrics["mcc"]
    assert run.result.per_class == metrics["per_class"]
    assert run.result.training == metrics["training"]
    assert run.result.confusion is not None
    assert run.result.confusion.counts_KK.sum() == metrics["n"] == run.result.n
    assert [result.dataset for result in run.results()] == ["demo-rafdb", "demo-expw"]
    assert run.epochs is not None
    assert run.epochs["epoch"].to_list() == [1, 2, 3]
    assert run.epochs["peak_gpu_mib"].to_list() == [None, None, None]
    assert run.epochs["images_per_s"].to_list() == [420.0] * 3


def test_the_parts_of_a_joint_set_are_not_other_datasets(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    write_run(tmp_path, dataset="demo-rafdb+demo-expw", cross=["demo-rafdb", "demo-expw", "expw"])
    (run,) = read_runs(tmp_path)
    assert [result.dataset for result in run.parts] == ["demo-expw", "demo-rafdb"]
    assert [result.dataset for result in run.cross] == ["expw"]
    assert len(run.results()) == 4
    (told,) = headlines([run], {run.name: "joint"}, ENGLISH)
    text = " ".join(told.sentences)
    assert "On demo-rafdb alone it reaches" in text
    assert "On demo-rafdb, which it was not trained on" not in text


def test_selection_by_pattern_and_by_function(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    for name in ("demo-a", "demo-b", "rafdb-a"):
        write_run(tmp_path, name=name, finished=False)
    (tmp_path / "tensorboard").mkdir()  # no config.json: no run
    assert [run.name for run in read_runs(tmp_path)] == ["demo-a", "demo-b", "rafdb-a"]
    assert [run.name for run in read_runs(tmp_path, "demo-*")] == ["demo-a", "demo-b"]
    assert [run.name for run in read_runs(tmp_path, {"demo-b"}.__contains__)] == ["demo-b"]


def test_no_run_names_the_command_that_makes_one(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=r"no run in .*make train"):
        read_runs(tmp_path)
    with pytest.raises(InputError, match=r"no run in .*make train"):
        read_runs(tmp_path / "nowhere")
    write_run(tmp_path, finished=False)
    with pytest.raises(InputError, match=r"none of the 1 runs in .* matches 'vit-\*'.*make train"):
        read_runs(tmp_path, "vit-*")


def test_losses_that_are_not_finite_are_missing(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    folder = write_run(tmp_path, finished=False)
    (folder / "epochs.csv").write_text("epoch,train_loss,val_loss\n1,nan,inf\n2,0.5,\n")
    (run,) = read_runs(tmp_path)
    assert run.epochs is not None
    assert run.epochs["train_loss"].to_list() == [None, 0.5]
    assert run.epochs["val_loss"].to_list() == [None, None]
    assert run.epochs["seconds"].to_list() == [None, None]  # a column that is not there was not measured


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("config.json", "{", "cannot be read"),
        ("config.json", "[]", "no JSON object"),
        ("metrics.json", '{"n": 3}', "lacks accuracy"),
        ("metrics.json", "", "cannot be read"),
        ("epochs.csv", "epoch,val_loss\n1,high\n", "cannot be read"),
        ("epochs.csv", "", "cannot be read"),
        ("confusion.csv", "label,anger,fear\nfear,1,2\nanger,3,4\n", "not the same classes"),
        ("confusion.csv", "label,anger\nanger,many\n", "cannot be read"),
    ],
)
def test_a_broken_file_is_named(
    tmp_path: Path, write_run: Callable[..., Path], name: str, content: str, says: str
) -> None:
    folder = write_run(tmp_path)
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=says) as caught:
        read_runs(tmp_path)
    assert str(folder / name) in str(caught.value)


def test_a_metric_without_an_interval_is_named(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    path = write_run(tmp_path) / "metrics.json"
    metrics = json.loads(path.read_text())
    del metrics["mcc"]["low"]
    del metrics["per_class"]["fear"]["f1"]
    path.write_text(json.dumps(metrics))
    with pytest.raises(InputError, match=r"lacks mcc, per_class\.fear\.f1: .*make evaluate"):
        read_runs(tmp_path)


def test_normalised_rows_sum_to_1_and_empty_rows_to_0() -> None:
    matrix = Confusion(classes=("a", "b"), counts_KK=np.array([[3, 1], [0, 0]]))
    assert matrix.shares_KK().tolist() == [[0.75, 0.25], [0.0, 0.0]]
    assert matrix.cells()[1] == {"true": "a", "predicted": "b", "faces": 1, "share": 0.25}


def test_labels_say_only_what_is_needed() -> None:
    runs = [
        bare_run("1-aaa", dataset="x", arch="resnet", aug="none", seed=0, batch=64),
        bare_run("2-bbb", dataset="x", arch="resnet", aug="online", seed=0, batch=64),
        bare_run("3-ccc", dataset="y", arch="resnet", aug="online", seed=0, batch=64),
    ]
    assert run_labels(runs) == {"1-aaa": "resnet · none", "2-bbb": "resnet · online", "3-ccc": "resnet · online"}


def test_labels_of_seeds_and_of_settings_without_a_name_differ() -> None:
    same = {"dataset": "x", "arch": "vit", "aug": "none", "image_size": 64}
    seeds = [bare_run(f"{seed}-h{seed}", **same, seed=seed) for seed in (0, 1)]
    assert list(run_labels(seeds).values()) == ["vit · none · seed 0", "vit · none · seed 1"]
    hashes = [bare_run(f"{seed}-h{seed}", **same, seed=0) for seed in (0, 1)]
    assert list(run_labels(hashes).values()) == ["vit · none · h0", "vit · none · h1"]


@given(st.lists(st.text(max_size=30), unique=True, max_size=8))
def test_file_names_are_plain_and_differ(names: list[str]) -> None:
    chosen = file_names(names)
    assert list(chosen) == names
    assert len({name.lower() for name in chosen.values()}) == len(names)
    for name in chosen.values():
        assert re.fullmatch(r"[A-Za-z0-9._+-]+", name)
        assert name.strip(".-")  # neither hidden nor only dots


def test_the_train_command_gives_every_setting_and_quotes_what_a_shell_would_read() -> None:
    run = bare_run("r", arch="vit", aug="none", dataset="a b; $(rm)", seed=3, lr=1e-3, pretrained=False, weights=None)
    assert train_command(run) == ("make train ARCH=vit AUG=none DATASET='a b; $$(rm)' LR=0.001 SEED=3 PRETRAINED=0")


def test_shared_settings_are_told_once() -> None:
    first, second = {"seed": 1, "a": {"b": None, "c": True}}, {"seed": 2, "a": {"b": None, "c": False}}
    shared, own = split_shared([flattened(first), flattened(second)])
    assert shared == {"a.b": "none"}
    assert own == [{"seed": "1", "a.c": "yes"}, {"seed": "2", "a.c": "no"}]
