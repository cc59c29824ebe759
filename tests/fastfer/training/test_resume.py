"""A training that is stopped anywhere and given again ends with the same bits as one that never was."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fastfer.cells import as_arguments
from fastfer.config import TrainConfig
from fastfer.json_files import read_json
from fastfer.training import checkpoint, fit, learner
from fastfer.training.learner import Learner, Stopped
from fastfer.training.run import Run
from pipelines.errors import InputError
from tests.fastfer.training.test_fit import train_config

SETTINGS: dict[str, Any] = {"epochs": 3, "batch": 12, "accumulate": 2, "ema": 0.9, "arch": "test_efficientnet"}
"""Online augmentation and MixUp (see `train_config`), an average of the weights, gradients of two batches."""


def stopped_config(shards: Path, runs: Path, **changes: object) -> TrainConfig:
    return train_config(shards, runs, **(SETTINGS | changes))


@pytest.fixture(scope="module")
def whole(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The checkpoints of a training that nothing stopped."""
    run = Run.of(stopped_config(shards, tmp_path_factory.mktemp("whole")))
    fit.fit(run)
    return {name: checkpoint.load(run.folder / f"{name}.pth") for name in ("best", "last")}


def assert_same(run: Run, whole: dict[str, dict[str, Any]]) -> None:
    for name, expected in whole.items():
        found = checkpoint.load(run.folder / f"{name}.pth")
        assert found["epoch"] == expected["epoch"]
        for key, tensor in expected["model"].items():
            assert torch.equal(found["model"][key], tensor), key
    for key in ("average", "random"):
        torch.testing.assert_close(found[key], expected[key], rtol=0, atol=0)
    losses = [
        [row[key] for key in ("train_loss", "val_loss", "val_macro_f1", "lr")] for row in expected["training"]["rows"]
    ]
    assert losses == [
        [row[key] for key in ("train_loss", "val_loss", "val_macro_f1", "lr")] for row in found["training"]["rows"]
    ]


@pytest.mark.parametrize("looks", [1, 5])
def test_a_training_stopped_between_two_steps_goes_on_exactly(
    looks: int, shards: Path, whole: dict[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked to stop again and again, a look later each time: in the middle of epochs and in validation."""
    run = Run.of(stopped_config(shards, tmp_path))
    stops = 0

    @contextmanager
    def impatient(**_kwargs: object) -> Iterator[Any]:
        left = iter(range(looks + stops))
        yield lambda: next(left, None) is None

    monkeypatch.setattr(fit, "stop_requests", impatient)
    while not run.is_trained:
        try:
            fit.fit(run)
        except KeyboardInterrupt:
            stops += 1
    assert stops > 1
    assert_same(run, whole)


def small_network(num_classes: int) -> nn.Module:
    """A compiler is soon done with it, and yet its last bits are others where sizes are left open."""

    def block(before: int, after: int, stride: int) -> nn.Sequential:
        convolution = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU())

    blocks = block(1, 32, 2), nn.MaxPool2d(3, 2, padding=1), block(32, 48, 1), block(48, 96, 2)
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, num_classes))


def test_a_compiled_training_stopped_in_its_validation_goes_on_exactly(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On going on the network is compiled for validation first, and in what was never stopped for training."""
    monkeypatch.setattr(learner, "build_model", lambda *_args, num_classes, **_kwargs: small_network(num_classes))
    config = stopped_config(shards, tmp_path / "whole", epochs=2, image_size=32, ema=0.0, compile=True, aug="none")
    validated = sum(Run.of(config).info.counts["val"].values())
    config = replace(config, batch=validated - 1)  # a whole batch and a short one
    run = Run.of(config)
    torch.compiler.reset()
    fit.fit(run)
    whole = {"last": checkpoint.load(run.folder / "last.pth")}
    stopped, asked = Run.of(replace(config, runs=tmp_path / "stopped")), []
    validate = Learner._validated

    def interrupted(self: Learner, *others: Any) -> dict[str, float]:
        if not asked:
            asked.append(True)
            raise Stopped
        return validate(self, *others)

    monkeypatch.setattr(Learner, "_validated", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit.fit(stopped)
    torch.compiler.reset()  # a new process
    fit.fit(stopped)
    assert_same(stopped, whole)


def started(config: TrainConfig) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "fastfer", "train", *as_arguments(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not path.is_file():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_training_goes_on_exactly(
    number: signal.Signals, shards: Path, whole: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    config = stopped_config(shards, tmp_path)
    run = Run.of(config)
    process = started(config)
    wait_for(run.folder / "last.pth", process)
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=60)
    if not run.is_trained and number == signal.SIGTERM:
        assert process.returncode == 130
        assert b"goes on where it can" in said
    fit.fit(run)
    assert_same(run, whole)


def test_what_fails_as_the_terminal_stops_all_processes_is_no_fault(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*_all: object) -> None:
        signal.raise_signal(signal.SIGINT)
        raise RuntimeError("DataLoader worker exited unexpectedly")

    monkeypatch.setattr(Learner, "epoch", ended)
    with pytest.raises(KeyboardInterrupt):
        fit.fit(Run.of(stopped_config(shards, tmp_path, epochs=1)))


def test_a_precision_that_this_machine_has_not_is_refused(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    run = Run.of(stopped_config(shards, tmp_path, precision="fp16"))
    with pytest.raises(InputError, match="PRECISION=fp16 needs a GPU"):
        fit.fit(run)
    assert not run.folder.exists()


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_damaged_description_of_a_run_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config\.json cannot be read .*: remove it, and give the command"):
        read_json(tmp_path / "config.json")


def test_beginning_anew_can_be_asked_for(shards: Path, tmp_path: Path) -> None:
    config = stopped_config(shards, tmp_path, epochs=1, resume=False)
    run = Run.of(config)
    fit.fit(run)
    (run.folder / "training.json").unlink()
    fit.fit(run)
    assert checkpoint.load(run.folder / "last.pth")["epoch"] == 1


def test_what_cannot_go_on_exactly_says_so(shards: Path, tmp_path: Path) -> None:
    run = Run.of(stopped_config(shards, tmp_path, epochs=1))
    fit.fit(run)
    content = checkpoint.load(run.folder / "last.pth")
    content["ran_on"]["processes"] = 2
    checkpoint.save(run.folder / "last.pth", content)
    with pytest.raises(InputError, match=r"processes 2 and cannot go on with .*processes 1: RESUME=0"):
        fit.fit(run)


def test_weights_alone_in_place_of_what_going_on_needs_are_named(shards: Path, tmp_path: Path) -> None:
    run = Run.of(stopped_config(shards, tmp_path, epochs=1))
    fit.fit(run)
    shutil.copyfile(run.folder / "best.pth", run.folder / "last.pth")
    with pytest.raises(InputError, match=r"last\.pth is no checkpoint of fastfer: it lacks average, optimiser"):
        fit.fit(run)


def test_a_run_without_its_best_weights_is_not_trained_already_and_can_be_begun_anew(
    shards: Path, tmp_path: Path
) -> None:
    config = stopped_config(shards, tmp_path, epochs=1)
    run = Run.of(config)
    fit.fit(run)
    (run.folder / "best.pth").unlink()
    assert not run.is_trained
    with pytest.raises(InputError, match=r"has lost best\.pth, the best of its 1 epochs: RESUME=0"):
        fit.fit(run)
    fit.fit(replace(run, config=replace(config, resume=False)))
    assert run.is_trained


def test_what_is_left_of_a_run_half_forgotten_counts_for_nothing(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.of(stopped_config(shards, tmp_path, epochs=1))
    fit.fit(run)

    def killed(_self: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "iterdir", killed)
    with pytest.raises(KeyboardInterrupt):
        run.forget()
    assert (run.folder / "best.pth").is_file()
    assert not run.is_trained
    assert not run.is_begun


def test_two_processes_do_not_train_one_run_at_once(shards: Path, tmp_path: Path) -> None:
    run = Run.of(stopped_config(shards, tmp_path, epochs=1, resume=False))
    with run.held():
        (run.folder / "last.pth").write_bytes(b"the other's")
        with pytest.raises(InputError, match=r"another process trains .*: wait until it is done"):
            fit.fit(run)
        assert (run.folder / "last.pth").read_bytes() == b"the other's"
    fit.fit(run)


def test_a_damaged_checkpoint_is_named(shards: Path, tmp_path: Path) -> None:
    run = Run.of(stopped_config(shards, tmp_path))
    run.folder.mkdir(parents=True)
    (run.folder / "last.pth").write_bytes(b"PK\x03\x04 no checkpoint")
    with pytest.raises(InputError, match=r"last\.pth is no checkpoint"):
        fit.fit(run)
