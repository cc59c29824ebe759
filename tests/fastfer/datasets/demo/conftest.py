"""Demo sets with four faces of each class, and the same with label noise."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastfer.datasets.demo import DemoConfig, make_demo_data

TINY = DemoConfig(faces=28, seed=3)
NOISY = DemoConfig(faces=28, seed=3, label_noise=0.3)


@pytest.fixture(scope="session")
def progress() -> list[tuple[str, int, int]]:
    """Title, total and sum of advances of each stage of making `tiny`."""
    return []


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, progress: list[tuple[str, int, int]]) -> Path:
    @contextmanager
    def track(title: str, *, total: int, unit: str) -> Iterator[Callable[[int], None]]:  # noqa: ARG001
        done: list[int] = []
        yield done.append
        progress.append((title, total, sum(done)))

    out = tmp_path_factory.mktemp("tiny")
    make_demo_data(out, TINY, track)
    return out


@pytest.fixture(scope="session")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("noisy")
    make_demo_data(out, NOISY)
    return out
