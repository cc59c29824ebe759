"""Building the demo sets: the same bytes, all or nothing, nothing overwritten."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastfer.datasets.demo import DemoConfig, expw, make_demo_data, rafdb
from fastfer.datasets.demo.build import build
from fastfer.datasets.demo.plan import DemoSet
from fastfer.datasets.demo.portraits import portraits
from pipelines.errors import InputError
from pipelines.progress import untracked
from tests.fastfer.conftest import DEMO_SETS, digests
from tests.fastfer.datasets.demo.conftest import TINY


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers(tiny: Path, tmp_path: Path) -> None:
    again = build(tmp_path, DemoSet.EXPW, TINY, untracked, workers=2)
    assert digests(again) == digests(tiny / "demo-expw")


def test_another_seed_gives_other_images(tiny: Path, tmp_path: Path) -> None:
    other = build(tmp_path, DemoSet.RAFDB, DemoConfig(faces=28, seed=4), untracked)
    here, there = digests(tiny / "demo-rafdb"), digests(other)
    images = [path for path in here if path.startswith("Image/original/")]
    assert all(here[path] != there[path] for path in images)


def refuse(title: str, *, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    raise AssertionError(f"{title}: {total} {unit} drawn again")


def test_finished_data_is_found_again_at_once(tiny: Path) -> None:
    assert make_demo_data(tiny, TINY, contextmanager(refuse)) == tuple(tiny / name for name in DEMO_SETS)


def test_an_interrupted_build_leaves_nothing_that_looks_whole(tiny: Path, tmp_path: Path) -> None:
    @contextmanager
    def interrupt(title: str, *, total: int, unit: str) -> Iterator[Callable[[int], None]]:  # noqa: ARG001
        def advance(_count: int) -> None:
            nonlocal total
            total -= 1
            if total == 5:
                raise KeyboardInterrupt

        yield advance

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, DemoSet.RAFDB, TINY, interrupt)
    assert list(tmp_path.iterdir()) == []

    killed = tmp_path / ".demo-rafdb.unfinished"
    (killed / "EmoLabel").mkdir(parents=True)
    (killed / "stray").write_text("from a killed run")
    assert digests(build(tmp_path, DemoSet.RAFDB, TINY, untracked)) == digests(tiny / "demo-rafdb")
    assert [path.name for path in tmp_path.iterdir()] == ["demo-rafdb"]


def test_progress_counts_every_image(tiny: Path, progress: list[tuple[str, int, int]]) -> None:  # noqa: ARG001
    planned = [("Drawing demo-rafdb", len(rafdb.plan(TINY))), ("Drawing demo-expw", len(expw.plan(TINY)))]
    assert progress == [(title, images, images) for title, images in planned]


def test_data_of_other_settings_is_not_overwritten(tiny: Path) -> None:
    before = digests(tiny)
    with pytest.raises(InputError, match=r"demo-rafdb holds demo data of other settings: remove it"):
        make_demo_data(tiny, DemoConfig(faces=29, seed=3))
    assert digests(tiny) == before


def test_a_folder_that_is_not_ours_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "demo-rafdb").mkdir()
    (tmp_path / "demo-rafdb/thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"something that is not demo data.* choose another --out"):
        make_demo_data(tmp_path, TINY)
    assert (tmp_path / "demo-rafdb/thesis.txt").read_text() == "mine"


def test_an_out_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match=r"Cannot write demo data to .*out .*choose another --out"):
        make_demo_data(tmp_path / "out", TINY)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"faces": 27}, "27 demo faces are too few"),
        ({"label_noise": 1.5}, "1.5: give a share from 0 to 1"),
        ({"label_noise": float("nan")}, "nan: give a share from 0 to 1"),
        ({"seed": -1}, "-1: give 0 or more"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, float], says: str) -> None:
    with pytest.raises(InputError, match=says):
        DemoConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("module", ["skimage", "matplotlib"])
def test_missing_photographs_name_the_extra(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    portraits.cache_clear()
    with pytest.raises(InputError, match=re.escape('pip install "fastfer[demo]"')):
        make_demo_data(tmp_path, TINY)
    assert list(tmp_path.iterdir()) == []


def test_the_description_tells_the_settings(tiny: Path) -> None:
    description = json.loads((tiny / "demo-expw/demo.json").read_text())
    assert description["dataset"] == "demo-expw"
    assert {name: description[name] for name in ("seed", "faces", "label_noise")} == {
        "seed": 3,
        "faces": 28,
        "label_noise": 0.0,
    }
