"""What a process takes of the machine and of its GPU. What cannot be measured here is None: never an estimate or 0."""

from pipelines.probe.gpu import GpuProbe, GpuReading
from pipelines.probe.nvml import device_facts
from pipelines.probe.peaks import peak_device_mib, peak_rss_mib, reset_peaks
from pipelines.probe.room import free_memory_bytes
from pipelines.probe.whole import Probe, Reading

__all__ = [
    "GpuProbe",
    "GpuReading",
    "Probe",
    "Reading",
    "device_facts",
    "free_memory_bytes",
    "peak_device_mib",
    "peak_rss_mib",
    "reset_peaks",
]
