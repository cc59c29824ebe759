"""The training suite, run once: three contenders, a step's parts that make up the whole, and what a rate comes to."""

import argparse
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import scaling, training
from benchmarks.harness import Turns, in_turn
from benchmarks.peak import peak_flops
from benchmarks.processes import ProgramError
from benchmarks.steps import PHASES, Steps, run_epoch, split
from benchmarks.training import DATALOADER, EPOCH_IMAGES, OURS, REPLAY, Training, training_case, training_config
from fastfer.training.fit import start_fabric
from fastfer.training.learner import Learner
from fastfer.training.run import Run
from fastfer.training.state import EpochProgress
from pipelines.augment import STRONG
from pipelines.loaders import Batch, open_loader
from pipelines.records import read_info

SMALL = {"precision": "32", "loader": "resident", "batch": 8, "image_size": 64}


class Slow(Steps):
    """Its batches come late."""

    def __iter__(self) -> Iterator[Batch]:
        for batch in super().__iter__():
            time.sleep(0.3)
            yield batch


def test_three_contenders_train_one_network(few: Path) -> None:
    config = training_config(few, "resnet10t", workers=0, **SMALL)
    case = training_case(few, config, steps=2, repeats=2)
    assert not case.failed
    assert {name: entry.role for name, entry in case.contenders.items()} == {
        OURS: "ours", REPLAY: "limit", DATALOADER: "peer",
    }  # fmt: skip
    for entry in case.contenders.values():
        assert entry.items == 16
        assert len(entry.seconds) == 2
        assert sum(entry.measures[f"{phase}_share"] or 0 for phase in PHASES) == pytest.approx(1)
        assert 0 < (entry.measures["mfu"] or 0) < 1
        assert entry.measures["cpu_s_per_1000"]
        assert entry.measures["rafdb_epoch_s"] == pytest.approx(EPOCH_IMAGES["rafdb_epoch_s"] / entry.per_s.median)
        if not torch.cuda.is_available():
            assert entry.measures["gpu_memory_mib"] is entry.measures["allocated_mib"] is None


def test_the_parts_of_a_step_make_up_the_whole_and_a_slow_loader_is_waited_for(few: Path) -> None:
    config = training_config(few, "resnet10t", **SMALL)
    fabric = start_fabric(config)
    with open_loader(config.loader_config(few, "train", str(fabric.device))) as loader:
        steps = Slow(loader, 3)
        learner = Learner.of(Run(config, [], read_info(few), {}), fabric, steps)
        run_epoch(learner, steps, 1)
        started = time.perf_counter()
        seconds = split(learner, steps, 2)
        whole = time.perf_counter() - started
    assert sum(seconds.values()) == pytest.approx(whole, rel=0.1)
    assert all(seconds[phase] > 0 for phase in PHASES)
    assert seconds["wait"] > 0.25  # the first batch comes after 0.3 s, whatever a step takes


@pytest.mark.parametrize("phase", ["backward", "optimiser"])
def test_what_takes_long_is_found_in_its_own_phase(few: Path, phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = training_config(few, "resnet10t", **SMALL)
    fabric = start_fabric(config)
    with open_loader(config.loader_config(few, "train", str(fabric.device))) as loader:
        steps = Steps(loader, 2)
        learner = Learner.of(Run(config, [], read_info(few), {}), fabric, steps)
        owner, name = {"backward": (fabric, "backward"), "optimiser": (learner.optimiser, "step")}[phase]
        swift = getattr(owner, name)

        def slow(*arguments: Any, **options: Any) -> Any:
            time.sleep(1)
            return swift(*arguments, **options)

        monkeypatch.setattr(owner, name, slow)
        seconds = split(learner, steps, 1)
    assert seconds[phase] >= 2
    assert max(seconds, key=seconds.__getitem__) == phase  # a step of this network takes a tenth of a second


def test_contenders_differ_in_nothing_but_the_loader_and_each_turn_is_another_epoch(
    few: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contenders: dict[str, Training] = {}
    epochs: list[int] = []

    def noted(runs: Mapping[str, Any], **how: Any) -> Turns:
        contenders.update({name: run.__self__ for name, run in runs.items()})
        return in_turn(runs, **how)

    def noted_epoch(learner: Learner, steps: Steps, epoch: int) -> EpochProgress:
        epochs.append(epoch)
        return EpochProgress(epoch, images=len(steps) * learner.config.batch)

    monkeypatch.setattr(training, "in_turn", noted)
    monkeypatch.setattr(training, "run_epoch", noted_epoch)
    monkeypatch.setattr(Training, "measures", lambda _one: {})
    case = training_case(few, training_config(few, "resnet10t", workers=0, **SMALL), steps=2, repeats=2)
    assert {name: one.learner.policy and one.learner.policy.policy for name, one in contenders.items()} == {
        OURS: STRONG, REPLAY: None, DATALOADER: STRONG,
    }  # fmt: skip
    assert {one.learner.network for one in contenders.values()} == {contenders[OURS].learner.network}
    assert len(set(epochs)) == len(epochs) == 3 * (1 + 2 + 1)  # a warm-up, two turns, and one that is watched
    for entry in case.contenders.values():
        trained = 3 * (entry.measures["gflops_per_image"] or 0) * entry.per_s.median  # backward takes twice forward
        assert entry.measures["mfu"] == pytest.approx(trained / case.settings["peak_gflops_per_s"])


def test_the_replayed_batch_is_what_the_loader_gave_as_floats(few: Path) -> None:
    config = training_config(few, "resnet10t", **SMALL)
    with open_loader(config.loader_config(few, "train")) as loader:
        steps = Steps(loader, 3)
        first = next(iter(steps))
        replayed = list(steps.replaying())
    assert len(replayed) == 3
    assert all(torch.equal(batch.img_BCHW, first.img_BCHW.float() / 255) for batch in replayed)


def test_steps_are_no_more_than_the_loader_has(few: Path) -> None:
    config = training_config(few, "resnet10t", **SMALL)
    with open_loader(config.loader_config(few, "train")) as loader:
        assert len(Steps(loader, 4)) == 4
        assert len(Steps(loader, 100)) == len(loader) == 6


def test_the_peak_is_measured() -> None:
    assert peak_flops("cpu", "32-true") > 1e9


def test_several_processes_train_together(few: Path) -> None:
    case = scaling.gpus_case(few, "resnet10t", 2, batch=4, size_px=32, steps=2, repeats=2)
    assert not case.failed
    assert case.contenders[OURS].items == 2 * 4 * 2
    assert len(case.contenders[OURS].seconds) == 2


def test_processes_that_fail_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def failing(*_: object, **__: object) -> None:
        raise ProgramError("torch.distributed.run ended with 1: no port is free")

    monkeypatch.setattr(scaling, "train_on", failing)
    case = scaling.gpus_case(tmp_path, "resnet10t", 2, batch=4, size_px=32, steps=2, repeats=1)
    assert not case.contenders
    assert case.failed == {OURS: "torch.distributed.run ended with 1: no port is free"}


def test_what_is_compiled_too_is_so_in_the_last_precision_alone(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "bench_records", lambda _data, _images: few)
    monkeypatch.setattr(training, "training_case", lambda _variant, config, **_how: config)
    asked = {one.key: one.default for one in training.SUITE.settings}
    asked |= {"archs": ("resnet10t", "vit"), "precisions": ("32", "bf16"), "compiled": "res*"}
    assert [(one.arch, one.precision, one.compile) for one in training.SUITE.run(argparse.Namespace(**asked))] == [
        ("resnet10t", "32", False), ("resnet10t", "bf16", False), ("resnet10t", "bf16", True),
        ("vit", "32", False), ("vit", "bf16", False),
    ]  # fmt: skip
