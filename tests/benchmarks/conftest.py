"""Images to measure on: few, and made once a session."""

from pathlib import Path

import pytest

from benchmarks.images import bench_records


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of 48 training images of 224 px."""
    return bench_records(tmp_path_factory.mktemp("bench"), 48)
