"""The shard stage through its command line, treated badly: killed, interrupted, out of disk, fed with hostile files."""

import errno
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import psutil
import pytest
from PIL import Image

from fastfer.datasets.expw import LAYOUTS
from fastfer.variants import PARTS
from pipelines.errors import InputError
from pipelines.loaders import LoaderConfig, open_loader
from pipelines.records import find_faults, read_info, read_manifest
from tests.conftest import LOADERS_HERE, on_small_disk
from tests.fastfer.conftest import digests
from tests.fastfer.faces.test_images import huge_png

LABEL_LIST, IMAGES = LAYOUTS[0]
PLENTY_S = 120


def command(raw: Path, out: Path, dataset: str = "demo-expw") -> list[str]:
    words = f"shards --dataset {dataset} --data-root {raw / dataset} --out {out} --size 32 --shard-rows 16 --workers 2"
    return [sys.executable, "-m", "fastfer", *words.split()]


def start(raw: Path, out: Path) -> subprocess.Popen[str]:
    """The command in a process group of its own."""
    return subprocess.Popen(
        command(raw, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def finish(raw: Path, out: Path) -> None:
    done = subprocess.run(command(raw, out), capture_output=True, text=True, timeout=PLENTY_S, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def whole(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an uninterrupted run makes."""
    out = tmp_path_factory.mktemp("whole")
    finish(raw, out)
    return out / "demo-expw" / "preprocessed"


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that make shards: children of the server that forks them."""
    servers = [one for one in psutil.Process(process.pid).children() if "forkserver" in " ".join(one.cmdline())]
    return [worker for server in servers for worker in server.children()]


def wait_for_a_shard(folder: Path, process: subprocess.Popen[str]) -> None:
    while not list((folder / PARTS).glob("*-*.json")):
        assert process.poll() is None, process.stderr
        time.sleep(0.005)


def test_killed_again_and_again_the_same_command_makes_the_same_bytes(raw: Path, whole: Path, tmp_path: Path) -> None:
    """SIGKILL to every process of it, at random moments of the work; then once to the end."""
    folder = tmp_path / "demo-expw" / "preprocessed"
    chance = random.Random(0)
    for _ in range(3):
        process = start(raw, tmp_path)
        if not (folder / PARTS).exists():
            wait_for_a_shard(folder, process)
        time.sleep(chance.uniform(0, 0.3))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    (folder / ".train-00000.tar.1.tmp").write_bytes(b"of a process that was killed while it wrote")
    finish(raw, tmp_path)
    assert digests(folder) == digests(whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(
    number: signal.Signals, raw: Path, whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "demo-expw" / "preprocessed"
    process = start(raw, tmp_path)
    wait_for_a_shard(folder, process)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal sends it: to every process
    else:
        process.send_signal(number)
    _, said = process.communicate(timeout=PLENTY_S)
    assert process.returncode == 130
    assert said.strip() == "fastfer: stopped; the same command goes on where it can"
    assert not (folder / "dataset.json").exists()
    made = {path.stem: path.stat().st_mtime_ns for path in folder.glob("*.tar")}
    finish(raw, tmp_path)
    assert digests(folder) == digests(whole)
    parts_kept = [name for name, when in made.items() if (folder / f"{name}.tar").stat().st_mtime_ns == when]
    assert parts_kept  # what was finished was not made again


def test_shards_of_a_description_that_was_removed_do_not_stay_among_the_new(
    raw: Path, whole: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(whole, tmp_path / "demo-expw" / "preprocessed")
    for suffix in (".tar", ".idx"):
        shutil.copyfile(folder / f"train-00000{suffix}", folder / f"train-00099{suffix}")
    (folder / "dataset.json").unlink()
    finish(raw, tmp_path)
    assert digests(folder) == digests(whole)


def test_a_killed_worker_is_one_sentence_and_the_same_command_goes_on(raw: Path, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "demo-expw" / "preprocessed"
    process = start(raw, tmp_path)
    wait_for_a_shard(folder, process)
    workers = workers_of(process)
    workers[-1].kill()
    _, said = process.communicate(timeout=PLENTY_S)
    assert process.returncode == 2
    assert "a worker process was killed" in said
    assert "Traceback" not in said
    finish(raw, tmp_path)
    assert digests(folder) == digests(whole)


def test_workers_end_when_their_parent_is_killed(raw: Path, tmp_path: Path) -> None:
    process = start(raw, tmp_path)
    wait_for_a_shard(tmp_path / "demo-expw" / "preprocessed", process)
    workers = workers_of(process)
    assert workers
    process.kill()  # it alone, as the system does for want of memory
    process.communicate()
    _, alive = psutil.wait_procs(workers, timeout=PLENTY_S)
    assert alive == []


def test_a_full_disk_is_one_sentence_and_leaves_no_half_shard(raw: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    done, left = on_small_disk(disk, "400k", " ".join(command(raw, disk)))
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert os.strerror(errno.ENOSPC) in done.stderr
    assert "then give the same command again" in done.stderr
    folder = left / "demo-expw" / "preprocessed"
    assert not (folder / "dataset.json").exists()
    assert list(left.rglob("*.tmp")) == []
    for part in (folder / PARTS).glob("*-*.json"):  # what says it is finished is whole
        info = json.loads(part.read_text(encoding="utf-8"))["info"]
        assert hashlib.sha256((folder / f"{info['name']}.tar").read_bytes()).hexdigest() == info["tar_sha256"]


def flip_a_byte(folder: Path) -> Path:
    shard = folder / "train-00001.tar"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    return shard


def cut_short(folder: Path) -> Path:
    shard = folder / "train-00000.tar"
    shard.write_bytes(shard.read_bytes()[:-512])
    return shard


def lose_an_index(folder: Path) -> Path:
    (folder / "train-00001.idx").unlink()
    return folder / "train-00001.tar"


def take_from_another_run(folder: Path) -> Path:
    shutil.copyfile(folder / "test-00000.tar", folder / "train-00001.tar")
    shutil.copyfile(folder / "test-00000.idx", folder / "train-00001.idx")
    return folder / "train-00001.tar"


def edit_the_manifest(folder: Path) -> Path:
    manifest = folder / "manifest.parquet"
    table = pl.read_parquet(manifest)
    table.with_columns(label=pl.lit(3, pl.Int8)).write_parquet(manifest)
    return manifest


@pytest.mark.parametrize("kind", LOADERS_HERE)
@pytest.mark.parametrize(
    "damage",
    [flip_a_byte, cut_short, lose_an_index, take_from_another_run, edit_the_manifest],
    ids=lambda f: f.__name__,
)
def test_damage_is_named_by_verify_and_refused_by_loaders(
    whole: Path, tmp_path: Path, damage: object, kind: str
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(whole, folder)
    config = LoaderConfig(variant=folder, split="train", batch=8, train=True, kind=kind, workers=1)
    with open_loader(config) as loader:  # sound so far
        assert len(loader) > 0
    touched = damage(folder)  # type: ignore[operator]
    assert str(touched) in " ".join(find_faults(folder))
    with pytest.raises(InputError, match=touched.name):
        open_loader(config)


def test_the_same_command_does_not_call_damaged_records_done(raw: Path, whole: Path, tmp_path: Path) -> None:
    touched = flip_a_byte(shutil.copytree(whole, tmp_path / "demo-expw" / "preprocessed"))
    done = subprocess.run(command(raw, tmp_path), capture_output=True, text=True, timeout=PLENTY_S, check=False)
    assert done.returncode == 2
    assert f"{touched} is not as it was written" in done.stderr
    assert "remove the folder and make the records again" in done.stderr
    shutil.rmtree(touched.parent)
    finish(raw, tmp_path)
    assert digests(touched.parent) == digests(whole)


@pytest.fixture(scope="module")
def hostile(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """demo-expw with lines and files that attack, under `raw/demo-expw`."""
    folder = tmp_path_factory.mktemp("hostile")
    root = folder / "demo-expw"
    shutil.copytree(raw / "demo-expw", root)
    Image.new("RGB", (300, 300), "red").save(folder / "secret.jpg")
    (root / IMAGES / "link.jpg").symlink_to(folder / "secret.jpg")
    (root / IMAGES / "huge.jpg").write_bytes(huge_png(60_000))
    with (root / IMAGES / "zip.jpg").open("wb") as file:
        file.write(b"PK\x03\x04" + bytes(200))
    Image.new("RGB", (64, 64)).save(root / IMAGES / "small.jpg")
    box = "10 10 50 60 90 3"
    lines = [
        f"../../../secret.jpg 0 {box}",
        f"{folder}/secret.jpg 0 {box}",
        f"link.jpg 0 {box}",
        f"huge.jpg 0 {box}",
        f"zip.jpg 0 {box}",
        "small.jpg 0 200 200 300 300 90 3",
    ]
    label_list = root / LABEL_LIST
    label_list.write_text(
        label_list.read_text(encoding="utf-8").rstrip("\n") + "\n" + "\n".join(lines), encoding="utf-8"
    )
    return folder


def test_hostile_files_end_in_the_manifest_and_the_rest_goes_on(hostile: Path, whole: Path, tmp_path: Path) -> None:
    finish(hostile, tmp_path)
    folder = tmp_path / "demo-expw" / "preprocessed"
    manifest = read_manifest(folder)
    reasons = manifest["reason"].to_list()[-6:]
    expected = (
        "path leaves the image folder",
        "path leaves the image folder",
        "path leaves the dataset folder",
        "image too large",
        "unreadable image",
        "box lies outside the image",
    )
    for reason, part in zip(reasons, expected, strict=True):
        assert part in reason
    assert manifest["status"].to_list()[-6:] == ["dropped"] * 6
    assert find_faults(folder) == []
    counts, before = (read_info(one).samples() for one in (folder, whole))
    assert counts == before
