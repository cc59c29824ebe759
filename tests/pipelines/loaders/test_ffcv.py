"""The loader over FFCV: a clear sentence without it, the whole contract where its environment has been made."""

import subprocess
from pathlib import Path

import pytest

from benchmarks.peers.environments import is_ready, python_of
from pipelines.errors import InputError
from pipelines.loaders import LoaderConfig, open_loader

CONTRACT = Path(__file__).with_name("test_contract.py")


def test_without_ffcv_it_says_how_to_get_it(records: Path, tmp_path: Path) -> None:
    config = LoaderConfig(variant=records, split="test", batch=8, train=False, kind="ffcv", cache=tmp_path)
    with pytest.raises(InputError, match="make peers NAMES=ffcv"):
        open_loader(config)


@pytest.mark.skipif(not is_ready("ffcv"), reason="make peers NAMES=ffcv makes its environment")
def test_with_ffcv_it_keeps_the_contract() -> None:
    """All but opening it 200 times: FFCV compiles at each opening, and keeps what it compiled."""
    chosen = "ffcv and not leaves_no_memory"
    words = f"-m pytest -q -p no:cacheprovider -o filterwarnings=default {CONTRACT} -k".split()
    done = subprocess.run(
        [str(python_of("ffcv")), *words, chosen], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
