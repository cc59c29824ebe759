"""Two processes over gloo train as one does, and miss no row."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch

from fastfer.cells import as_arguments, train_and_test, unseen
from fastfer.config import TrainConfig
from fastfer.training import checkpoint
from fastfer.training.run import Run
from pipelines.progress import untracked
from tests.fastfer.training.test_fit import quiet, train_config


def config(shards: Path, runs: Path) -> TrainConfig:
    """Without batch normalisation, and all images in one step: two halves then make the same step."""
    return train_config(
        shards,
        runs,
        arch="vit_tiny_patch16_224",
        aug="none",
        mixup=0.0,
        batch=1024,
        epochs=3,
        lr=1e-4,
        loader="reference",
    )


def test_two_processes_train_and_test_as_one(shards: Path, tmp_path: Path) -> None:
    one, two = config(shards, tmp_path / "one"), config(shards, tmp_path / "two")
    images = sum(Run.of(one).info.counts["train"].values())
    on_this_machine = os.environ | {"GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    done = subprocess.run(
        [*command, "-m", "fastfer", "train", *as_arguments(two)],
        env=on_this_machine,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    run, metrics = train_and_test(one, track=untracked, epochs=unseen, say=quiet)
    assert metrics is not None
    other = Run.of(two)
    assert other.folder.name == run.folder.name
    rows, other_rows = (pl.read_csv(each.folder / "epochs.csv") for each in (run, other))
    columns = ["val_loss", "val_accuracy", "val_macro_f1"]
    assert images % 2 == 0  # or one image would be left over
    columns += ["train_loss", "train_accuracy"]
    weights, other_weights = (checkpoint.load(each.folder / "last.pth")["model"] for each in (run, other))
    for name, tensor in weights.items():
        torch.testing.assert_close(other_weights[name], tensor, atol=2e-4, rtol=0)
    for column in columns:
        assert other_rows[column].to_list() == pytest.approx(rows[column].to_list(), abs=2e-3), column
    tested, other_tested = (pl.read_parquet(each.folder / "predictions.parquet") for each in (run, other))
    assert other_tested["key"].to_list() == tested["key"].to_list()
    assert (other.folder / "training.json").is_file()
