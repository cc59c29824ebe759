"""The peaks of this process: of its memory they begin anew, of a device there are none where torch has no CUDA."""

import os

import numpy as np
import pytest
import torch

from pipelines.probe import peak_device_mib, peak_rss_mib, reset_peaks

CPU = torch.device("cpu")
TAKEN_MIB = 96


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="this system lets no peak begin anew")
def test_the_peak_of_memory_is_seen_and_begins_anew() -> None:
    reset_peaks(CPU)
    before = peak_rss_mib()
    np.ones(TAKEN_MIB * 2**20, np.uint8)  # and lets go of it
    assert before + 0.9 * TAKEN_MIB < peak_rss_mib() < before + 1.5 * TAKEN_MIB
    reset_peaks(CPU)
    assert peak_rss_mib() < before + 0.1 * TAKEN_MIB


def test_a_device_without_a_count_of_its_memory_has_no_peak() -> None:
    assert peak_device_mib(CPU) is None
