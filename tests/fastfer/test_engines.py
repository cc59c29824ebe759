"""Where shards are made does not matter: processes, Ray tasks, a worker lost on the way, an object store."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from moto.server import ThreadedMotoServer

from fastfer.balance import BalanceConfig, balance
from fastfer.engines import run_local, run_ray
from fastfer.shards import make_shards
from pipelines.errors import InputError
from pipelines.loaders import LoaderConfig, open_loader
from pipelines.records import find_faults, parse_place
from tests.fastfer.conftest import shard_config
from tests.fastfer.test_shards import digests

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:botocore", "ignore::ResourceWarning", "ignore::FutureWarning:ray"
)


def double(number: int) -> int:
    return 2 * number


def die_once(folder: Path) -> str:
    """Kills its own worker the first time, as the system does for want of memory."""
    mark = folder / "died"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


@pytest.mark.parametrize("run", [run_local, run_ray])
def test_every_job_is_done_once_and_comes_with_its_result(run: Any) -> None:
    assert sorted(run(double, range(9), 2)) == [(number, 2 * number) for number in range(9)]
    assert list(run(double, [], 2)) == []


def threads_of_torch(_job: int) -> int:
    import torch  # perhaps only now

    return torch.get_num_threads()


def test_a_worker_has_one_thread_whenever_torch_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert list(run_local(threads_of_torch, [0], 1)) == [(0, 1)]


def test_ray_runs_a_task_again_whose_worker_was_killed(tmp_path: Path) -> None:
    assert list(run_ray(die_once, [tmp_path], 1)) == [(tmp_path, "alive")]
    assert (tmp_path / "died").exists()


def test_local_says_that_a_worker_was_killed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the same command goes on"):
        list(run_local(die_once, [tmp_path], 1))
    assert list(run_local(die_once, [tmp_path], 1)) == [(tmp_path, "alive")]


def test_a_cluster_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(InputError, match=r"no Ray cluster at 127\.0\.0\.1:1"):
        list(run_ray(double, [1], 1))


def test_ray_makes_the_same_bytes_though_a_worker_is_killed(raw: Path, shards: Path, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill_a_worker(_line: str) -> None:
        """Called when the first shard is reported: by then the others are being made."""
        if not killed:
            workers = [
                one for one in psutil.process_iter(["cmdline"]) if "ray::" in " ".join(one.info["cmdline"] or [])
            ]
            busy = [one for one in workers if "_with_one_thread" in " ".join(one.info["cmdline"])]
            if busy:
                busy[0].kill()
                killed.append(busy[0].pid)

    from contextlib import contextmanager

    @contextmanager
    def track(title: str, *, total: int, unit: str) -> Iterator[Any]:
        yield lambda count: kill_a_worker(f"{title} {total} {unit} {count}")

    make_shards(shard_config(raw, tmp_path, "demo-expw", engine="ray"), track)
    assert killed
    assert digests(tmp_path / "demo-expw" / "preprocessed") == digests(shards / "demo-expw" / "preprocessed")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket on a local S3 server; the environment says where it is."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    known = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in known.items():
            patch.setenv(name, value)
        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="faces")
        yield "s3://faces"
    server.stop()


def test_raw_data_and_records_in_an_object_store(raw: Path, shards: Path, bucket: str, tmp_path: Path) -> None:
    store = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    root = raw / "demo-expw"
    for path in root.rglob("*"):
        if path.is_file():
            store.upload_file(str(path), "faces", f"raw/demo-expw/{path.relative_to(root)}")
    out = parse_place(f"{bucket}/shards")
    make_shards(shard_config(parse_place(f"{bucket}/raw"), out, "demo-expw"))
    balance(BalanceConfig(dataset="demo-expw", out=out))
    for variant in ("preprocessed", "augmented"):
        folder = out / "demo-expw" / variant
        assert find_faults(folder) == []
        here = tmp_path / variant
        here.mkdir()
        for path in folder.iterdir():
            (here / path.name).write_bytes(path.read_bytes())
        assert digests(here) == digests(shards / "demo-expw" / variant)
    with pytest.raises(InputError, match="copy the folder to a disk"):
        open_loader(LoaderConfig(variant=folder, split="train", batch=4, train=True))


@pytest.mark.parametrize("address", ["nowhere://bucket/x", "s4://a"])
def test_an_unknown_kind_of_address_is_one_sentence(address: str) -> None:
    with pytest.raises(InputError, match="cannot be opened"):
        parse_place(address)
