"""A process that loads and is stopped leaves nothing behind: no process, no shared memory, no half cache."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipelines.loaders import LoaderConfig
from pipelines.loaders.cache import PIXELS, cache_file, decoded_split
from pipelines.progress import untracked
from pipelines.records import read_info, sha256
from tests.conftest import LOADERS_HERE, make_records

PLENTY_S = 60
LOAD = """
import sys, time
from pathlib import Path
import torch
from pipelines.loaders import LoaderConfig, open_loader, prefetched
if __name__ == "__main__":
    variant, cache, kind = sys.argv[1:]
    config = LoaderConfig(
        variant=Path(variant), split="train", batch=4, train=True, kind=kind, cache=Path(cache), workers=2
    )
    with open_loader(config) as loader:
        for batch in prefetched(loader, lambda batch: batch.img_BCHW, torch.device("cpu")):
            print("loading", flush=True)
            time.sleep(0.2)
"""
FINISH = (
    LOAD.replace("    variant,", "    import signal; signal.signal(signal.SIGINT, lambda *_: None)\n    variant,")
    .replace("batch=4", "batch=1")
    .replace("0.2", "0.02")
)
"""Takes Ctrl-C for a request, as a trainer does, and goes on."""
DECODE = """
import sys, time
from pathlib import Path
from pipelines.loaders import LoaderConfig, cache, open_loader
variant, folder = map(Path, sys.argv[1:])
cache.DECODED_AT_ONCE = 1
parts = cache._parts
def slowly(*arguments):
    for part in parts(*arguments):
        print("decoding", flush=True)
        time.sleep(0.05)
        yield part
cache._parts = slowly
open_loader(LoaderConfig(variant=variant, split="train", batch=4, train=True, kind="resident", cache=folder))
"""

ALL_AT_ONCE = """
import sys, time
from pathlib import Path
from pipelines.loaders import LoaderConfig, cache, open_loader
variant, folder = map(Path, sys.argv[1:])
cache.DECODED_AT_ONCE = 1
decode = cache.SplitReader.decode
def slowly(*arguments):
    print("decoding", flush=True)
    time.sleep(0.1)
    return decode(*arguments)
cache.SplitReader.decode = slowly
open_loader(LoaderConfig(variant=variant, split="train", batch=4, train=True, kind="resident", cache=folder))
"""
"""Has all of its images in line when it is stopped."""


def started(script: Path, text: str, *arguments: object) -> subprocess.Popen[str]:
    """The script in a process group of its own, after it has printed its first lines."""
    script.write_text(text, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(script), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline(), process.communicate()[1]
    return process


@pytest.mark.parametrize("kind", LOADERS_HERE)
def test_ctrl_c_leaves_no_process_and_no_shared_memory(records: Path, tmp_path: Path, kind: str) -> None:
    process = started(tmp_path / "load.py", LOAD, records, tmp_path, kind)
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to every process
    _, said = process.communicate(timeout=PLENTY_S)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in said
    _, alive = psutil.wait_procs(family, timeout=PLENTY_S)
    assert alive == []
    theirs = [f"_{one.pid}_" for one in (process, *family)]
    assert not [path for path in Path("/dev/shm").iterdir() if any(part in path.name for part in theirs)]


@pytest.mark.parametrize("kind", LOADERS_HERE)
def test_who_takes_ctrl_c_for_a_request_still_gets_the_batches(records: Path, tmp_path: Path, kind: str) -> None:
    process = started(tmp_path / "load.py", FINISH, records, tmp_path, kind)
    os.killpg(process.pid, signal.SIGINT)
    rest, said = process.communicate(timeout=PLENTY_S)
    assert process.returncode == 0, said
    assert rest.splitlines() == ["loading"] * (47 - 3)


def test_stopped_while_decoding_nothing_that_waits_is_decoded(tmp_path: Path) -> None:
    made = make_records(tmp_path / "made", per_split={"train": 60})
    process = started(tmp_path / "decode.py", ALL_AT_ONCE, made, tmp_path / "cache")
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=PLENTY_S)
    assert process.returncode != 0
    assert len(rest.splitlines()) < 30


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_while_decoding_no_half_cache_is_taken_for_whole(tmp_path: Path, how: signal.Signals) -> None:
    made = make_records(tmp_path / "made", per_split={"train": 60})
    config = LoaderConfig(variant=made, split="train", batch=4, train=True, kind="resident", cache=tmp_path / "cache")
    process = started(tmp_path / "decode.py", DECODE, made, config.cache)
    process.send_signal(how)
    process.communicate(timeout=PLENTY_S)
    assert process.returncode != 0
    left = {path.suffix for path in cache_file(config, PIXELS).parent.iterdir()}
    assert left == ({".lock"} if how == signal.SIGINT else {".lock", ".tmp"})
    elsewhere = LoaderConfig(
        variant=made, split="train", batch=4, train=True, kind="resident", cache=tmp_path / "elsewhere"
    )
    again, undisturbed = (decoded_split(one, read_info(made), untracked).path for one in (config, elsewhere))
    assert sha256(again) == sha256(undisturbed)
    assert sorted(path.name for path in again.parent.iterdir()) == ["train.u8", "train.u8.json", "train.u8.lock"]
