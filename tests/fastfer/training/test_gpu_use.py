"""What NVML tells of a training adds up over its epochs and stops, and changes nothing of it."""

import csv
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from fastfer.training import checkpoint, fit, gpu_use
from fastfer.training.gpu_use import GpuUse
from fastfer.training.run import Run
from pipelines.probe import GpuProbe
from tests.fastfer.training.test_resume import stopped_config
from tests.nvml import FakeGpu, FakeNvml, pretend

SMALL: dict[str, Any] = {"epochs": 2, "batch": 16, "ema": 0.0}


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    """A made-up NVML, whose only GPU every probe of the trainer watches."""
    made = FakeNvml(FakeGpu("GPU-a", processes=[(os.getpid(), 300)]))
    pretend(monkeypatch, made, "a")
    monkeypatch.setattr(gpu_use, "GpuProbe", lambda _, **how: GpuProbe(torch.device("cuda", 0), **how))
    return made


def stopped_after(looks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def impatient(**_: object) -> Iterator[Any]:
        left = iter(range(looks))
        yield lambda: next(left, None) is None

    monkeypatch.setattr(fit, "stop_requests", impatient)


def summary_of(run: Run) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run.folder / "training.json").read_text())
    return content


def test_two_stretches_add_up_where_both_were_measured() -> None:
    one, other = GpuUse(1.0, 100.0, 0.2, 300.0), GpuUse(3.0, 50.0, 0.6, 200.0)
    assert GpuUse().plus(one) == one
    assert one.plus(other) == GpuUse(4.0, 150.0, pytest.approx(0.5), 300.0)
    assert one.plus(GpuUse(3.0)) == GpuUse(4.0, None, None, 300.0)
    assert GpuUse(1.0).plus(other) == GpuUse(4.0, None, None, 200.0)
    assert GpuUse(1.0).plus(GpuUse(1.0)) == GpuUse(2.0)


def test_the_energy_of_a_training_adds_up_over_epochs_and_stops(
    library: FakeNvml, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.of(stopped_config(shards, tmp_path, **SMALL))
    stops = 0
    while not run.is_trained:
        stopped_after(2 + 2 * stops, monkeypatch)
        try:
            fit.fit(run)
        except KeyboardInterrupt:
            stops += 1
    assert stops > 1
    (gpu,) = library.gpus
    counted_j = (gpu.asked["energy_j"] - library.began) * gpu.mj_per_question / 1000
    found = summary_of(run)
    assert found["energy_j"] == pytest.approx(counted_j)
    assert (found["gpu_utilisation"], found["gpu_memory_mib"]) == (pytest.approx(0.5), 300)
    lines = list(csv.DictReader((run.folder / "epochs.csv").read_text().splitlines()))
    assert sum(float(line["energy_j"]) for line in lines) == pytest.approx(counted_j)
    assert "pcie_rx_mib_s" not in gpu.asked
    assert library.open == 0


def test_watching_changes_nothing_of_what_is_learnt(
    library: FakeNvml, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = []
    for folder in ("watched", "not"):
        run = Run.of(stopped_config(shards, tmp_path / folder, **SMALL))
        fit.fit(run)
        ended.append(checkpoint.load(run.folder / "last.pth"))
        began = library.began
        monkeypatch.setattr(gpu_use, "GpuProbe", GpuProbe)
    assert library.began == began == 2  # an epoch each, and none of a training on the CPU
    assert {name: summary_of(run)[name] for name in ("energy_j", "gpu_utilisation", "gpu_memory_mib")} == {
        "energy_j": None, "gpu_utilisation": None, "gpu_memory_mib": None,
    }  # fmt: skip
    one, other = ended
    assert torch.equal(one["random"], other["random"])
    assert all(torch.equal(tensor, other["model"][name]) for name, tensor in one["model"].items())


@pytest.mark.parametrize(("looks", "epochs"), [(2, 0), (12, 1)])
def test_a_training_begun_before_nvml_was_asked_goes_on_and_does_not_tell_its_energy(
    looks: int, epochs: int, library: FakeNvml, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was stopped in its first epoch, or in its second."""
    run = Run.of(stopped_config(shards, tmp_path, **SMALL))
    with monkeypatch.context() as patch:
        stopped_after(looks, patch)
        with pytest.raises(KeyboardInterrupt):
            fit.fit(run)
    content = checkpoint.load(run.folder / "last.pth")
    assert len(content["training"]["rows"]) == epochs
    assert content["training"]["progress"].pop("gpu")["energy_j"] > 0
    for row in content["training"]["rows"]:
        for name in ("energy_j", "gpu_utilisation", "gpu_memory_mib"):
            del row[name]
    checkpoint.save(run.folder / "last.pth", content)
    fit.fit(run)
    found = summary_of(run)
    assert (found["energy_j"], found["gpu_utilisation"], found["gpu_memory_mib"]) == (None, None, 300)
    assert library.open == 0
