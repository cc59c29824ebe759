"""The GPU's part of the probe, over a made-up NVML, and over the real one where there is a GPU."""

import logging
import os
import subprocess
import sys
import threading
import time
from dataclasses import fields

import pytest
import torch

from pipelines.probe import GpuProbe, GpuReading, Probe, device_facts, nvml
from pipelines.probe.gpu import Series
from tests.nvml import FakeGpu, FakeNvml, NVMLError_NoPermission, NVMLError_NotSupported, pretend

CUDA = torch.device("cuda", 0)
FIGURES = {field.name for field in fields(GpuReading)}
OF_INSTANCE = {"name", "driver", "memory_mib", "memory_used_mib"}


def gpu(**changes: object) -> FakeGpu:
    return FakeGpu(uuid="GPU-a", processes=[(os.getpid(), 300)], **changes)  # type: ignore[arg-type]


def measured(library: FakeNvml, one: FakeGpu, device: torch.device = CUDA) -> GpuReading:
    """What a probe reads of a device, in at least three samples of each figure."""
    with GpuProbe(device, every_s=0.001) as probe:
        for question in ("memory_used_mib", "pcie_tx_mib_s") if not one.is_instance else ("memory_used_mib",):
            library.wait_for(one, question, 3)
    reading = probe.reading()
    assert reading is not None
    return reading


def test_each_figure_is_what_nvml_said(monkeypatch: pytest.MonkeyPatch) -> None:
    one = gpu(refuses={"energy_j": NVMLError_NotSupported})
    library = FakeNvml(one)
    pretend(monkeypatch, library, "a")
    reading = measured(library, one)
    assert reading.energy_j is not None
    found = {name: getattr(reading, name) for name in FIGURES - {"energy_j"}}
    assert found == {
        "name": "Made GPU", "driver": "999.1", "memory_mib": 300, "memory_used_mib": 900, "utilisation": 0.5,
        "power_w": 200, "temperature_c": 62, "sm_clock_mhz": 1980, "pcie_rx_mib_s": 2, "pcie_tx_mib_s": 0.5,
        "power_limit_w": 700,
    }  # fmt: skip
    assert library.open == 0


def test_energy_is_what_the_counter_has_risen_by(monkeypatch: pytest.MonkeyPatch) -> None:
    one = gpu()
    library = FakeNvml(one)
    pretend(monkeypatch, library, "a")
    reading = measured(library, one)
    assert reading.energy_j == pytest.approx((one.asked["energy_j"] - 1) * 7.0)


@pytest.mark.parametrize("changes", [{"refuses": {"energy_j": NVMLError_NotSupported}}, {"mj_per_question": 0}])
def test_without_a_counter_that_counts_energy_is_the_integral_of_power(
    changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = gpu(**changes)
    library = FakeNvml(one)
    pretend(monkeypatch, library, "a")
    before = time.perf_counter()
    with GpuProbe(CUDA, every_s=0.005) as probe:
        inside = time.perf_counter()
        library.wait_for(one, "power_w", 5)
        left = time.perf_counter()
    after = time.perf_counter()
    reading = probe.reading()
    assert reading is not None
    assert reading.energy_j is not None
    assert (left - inside) * 200 < reading.energy_j < (after - before) * 200


def test_a_series_sums_up_its_samples() -> None:
    series = Series()
    assert (series.mean, series.peak) == (None, None)
    for value, at in ((4.0, 10.0), (8.0, 11.0), (2.0, 13.0)):
        series.add(value, at)
    assert (series.peak, series.rise, series.area) == (8, -2, 6 + 10)
    assert series.mean == pytest.approx(14 / 3)


@pytest.mark.parametrize("error", [NVMLError_NotSupported, NVMLError_NoPermission])
@pytest.mark.parametrize("refused", sorted(FIGURES - {"driver"}))
def test_a_refused_figure_is_not_measured_and_the_others_are(
    refused: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    refuses = {refused: error}
    one = gpu(refuses=refuses | ({"power_w": error} if refused == "energy_j" else {}))
    library = FakeNvml(one)
    pretend(monkeypatch, library, "a")
    reading = measured(library, one)
    missing = {name for name in FIGURES if getattr(reading, name) is None}
    assert missing == set(one.refuses)


def test_a_probe_that_may_see_nothing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    one = gpu(refuses=dict.fromkeys(FIGURES, NVMLError_NoPermission))
    library = FakeNvml(one)
    pretend(monkeypatch, library, "a")
    reading = measured(library, one)
    assert {name for name in FIGURES if getattr(reading, name) is not None} == {"driver"}


def test_a_lost_gpu_is_asked_no_more_and_what_was_seen_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    one = gpu()
    library = FakeNvml(one)
    pretend(monkeypatch, library, "a")
    with GpuProbe(CUDA, every_s=0.001) as probe:
        library.wait_for(one, "pcie_tx_mib_s", 3)
        library.wait_for(one, "memory_used_mib", 3)
        one.lost = True
        deadline = time.monotonic() + 60
        while any(thread.name == "probe" for thread in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        asked = dict(one.asked)
    assert one.asked == asked
    reading = probe.reading()
    assert reading is not None
    assert {name for name in FIGURES if getattr(reading, name) is None} == set()
    assert (reading.memory_used_mib, reading.utilisation) == (900, 0.5)
    assert library.open == 0


def test_a_gpu_lost_before_is_no_gpu_to_tell_of(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, FakeNvml(gpu(lost=True)), "a")
    with GpuProbe(CUDA) as probe:
        pass
    reading = probe.reading()
    assert reading is not None
    assert {name for name in FIGURES if getattr(reading, name) is not None} == {"driver"}


def test_a_failing_sample_ends_the_sampling_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = gpu()
    library = FakeNvml(one)
    pretend(monkeypatch, library, "a")
    with caplog.at_level(logging.WARNING), Probe(CUDA, every_s=0.001) as probe:
        library.wait_for(one, "memory_used_mib", 3)
        one.refuses["memory_used_mib"] = ZeroDivisionError
        library.wait_for(one, "memory_used_mib", one.asked["memory_used_mib"] + 1)
    assert "what was seen until now counts" in caplog.text
    reading = probe.reading()
    assert reading.gpu is not None
    assert reading.gpu.memory_used_mib == 900
    assert reading.peak_rss_mib > 0
    assert library.open == 0


@pytest.mark.parametrize(
    ("processes", "expected"),
    [
        ([], None),
        ([(1, 500)], None),
        ([("me", None)], None),
        ([("me", 0)], None),
        ([("me", 300), ("child", 50), (1, 500)], 350),
    ],
)
def test_memory_is_that_of_the_process_tree_or_not_known(
    processes: list[tuple[object, int | None]], expected: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as below:
        pids = {"me": os.getpid(), "child": below.pid}
        one = gpu()
        one.processes = [(pids.get(who, who), mib) for who, mib in processes]  # type: ignore[misc, call-overload]
        pretend(monkeypatch, FakeNvml(one), "a")
        with GpuProbe(CUDA) as probe:
            pass
        below.communicate(b"\n")
    reading = probe.reading()
    assert reading is not None
    assert reading.memory_mib == expected
    assert reading.memory_used_mib == 900


def test_of_several_gpus_it_is_that_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA_VISIBLE_DEVICES=2,0: torch counts anew, NVML does not."""
    library = FakeNvml(*(FakeGpu(uuid=f"GPU-{letter}", name=letter) for letter in "abc"))
    pretend(monkeypatch, library, "c", "a")
    assert [name_of(device) for device in ("cuda:0", "cuda:1", "cuda")] == ["c", "a", "c"]


def name_of(device: str) -> str | None:
    with nvml.opened(torch.device(device)) as found:
        return found and found.name


def divided(instances: int) -> FakeGpu:
    parts = [
        FakeGpu(f"MIG-{number}", name=f"part {number}", used_mib=100 + number, is_instance=True)
        for number in range(instances)
    ]
    return FakeGpu("GPU-a", name="whole", instances=parts)


@pytest.mark.parametrize(
    ("torch_uuids", "visible", "instances", "expected"),
    [
        (["1"], None, 2, ["part 1"]),  # torch tells the instance
        (["a"], "MIG-1", 2, ["part 1"]),  # torch tells the GPU, the environment the instance
        (["a", "a"], "MIG-1, MIG-0", 2, ["part 1", "part 0"]),
        (["a"], None, 1, ["part 0"]),
        (["a"], "0", 1, ["part 0"]),
        (["a"], None, 2, [None]),  # CUDA chose one, and nothing tells which
        (["a"], None, 0, ["whole"]),
        (["unknown"], "MIG-1", 2, ["part 1"]),
        (["unknown"], None, 2, [None]),
    ],
)
def test_of_a_divided_gpu_it_is_the_instance_of_torch(
    torch_uuids: list[str], visible: str | None, instances: int, expected: list[str | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    pretend(monkeypatch, FakeNvml(divided(instances)), *torch_uuids)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    for index, name in enumerate(expected):
        assert name_of(f"cuda:{index}") == name


def test_what_is_the_whole_gpus_is_not_told_of_an_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = divided(2)
    part = whole.instances[1]
    part.processes = [(os.getpid(), 64)]
    library = FakeNvml(whole)
    pretend(monkeypatch, library, "1")
    reading = measured(library, part)
    assert {name for name in FIGURES if getattr(reading, name) is not None} == OF_INSTANCE
    assert (reading.name, reading.memory_mib, reading.memory_used_mib) == ("part 1", 64, 101)
    assert "power_w" not in part.asked.keys() | whole.asked.keys()
    assert device_facts(CUDA) == ("999.1", None)


@pytest.mark.parametrize("library", [None, FakeNvml(initialises=False), FakeNvml(FakeGpu("GPU-of another"))])
def test_without_nvml_or_its_device_there_is_no_gpu(library: FakeNvml | None, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, library, "a")
    with Probe(CUDA) as probe:
        pass
    assert probe.reading().gpu is None
    assert device_facts(CUDA) == (None, None)
    assert library is None or library.open == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a driver here")
def test_the_real_library_without_a_driver_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert nvml.load() is not None
    with GpuProbe(CUDA) as probe:
        pass
    assert probe.reading() is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml.load() is None


def test_without_cuda_nvml_is_not_even_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeNvml(gpu())
    pretend(monkeypatch, library, "a")
    for device in (None, torch.device("cpu")):
        with Probe(device) as probe, GpuProbe(device):
            assert len([thread for thread in threading.enumerate() if thread.name == "probe"]) == 1
        assert probe.reading().gpu is None
    assert device_facts(torch.device("cpu")) == (None, None)
    assert library.began == 0


def test_facts_for_a_result_file(monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeNvml(gpu())
    pretend(monkeypatch, library, "a")
    assert device_facts(CUDA) == ("999.1", 700)
    assert library.open == 0


def test_a_probe_is_read_inside_and_entered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, FakeNvml(gpu()), "a")
    for probe in (Probe(CUDA), GpuProbe(CUDA)):
        with probe:
            inside = probe.reading()
            with pytest.raises(RuntimeError, match="measures once"):
                probe.__enter__()
        assert inside is not None
        with pytest.raises(RuntimeError, match="measures once"), probe:
            pass
    with pytest.raises(RuntimeError, match="nothing yet"):
        Probe().reading()


def test_what_the_context_raises_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeNvml(gpu())
    pretend(monkeypatch, library, "a")
    with pytest.raises(KeyError), Probe(CUDA):
        raise KeyError
    assert library.open == 0


@pytest.mark.gpu
def test_a_real_gpu_is_found_and_its_memory_seen() -> None:
    with Probe(torch.device("cuda"), every_s=0.05) as probe:
        kept = torch.ones(256 * 2**20, dtype=torch.uint8, device="cuda")
        torch.cuda.synchronize()
    reading = probe.reading().gpu
    assert reading is not None
    assert reading.driver
    assert reading.memory_used_mib is None or reading.memory_used_mib >= kept.numel() / 2**20
    assert all(
        value is None or isinstance(value, str) or value >= 0 for value in map(reading.__getattribute__, FIGURES)
    )
