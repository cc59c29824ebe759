"""RetinaFace's weights: the user's file, or one download whose checksum its name carries; never unpickled."""

import io
import pickle
import socket
import urllib.error
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import torch

from pipelines.errors import InputError
from pipelines.records import sha256

URL: Final = "https://github.com/ternaus/retinaface/releases/download/0.01/retinaface_resnet50_2020-07-20-f168fae3c.zip"
"""Of retinaface-pytorch's only model; the last part of the name is the head of the file's SHA-256."""
PATIENCE_S: Final = 20.0
INSTEAD: Final = "give the file as RETINAFACE_WEIGHTS=, or take DETECTOR=mtcnn, which needs no download"
LARGEST_BYTES: Final = 1_000_000_000
TORCH_MEMBER: Final = "data.pkl"


def retinaface_weights(given: Path | None, *, url: str = URL) -> Path:
    """The file of the weights: `given`, else one that is downloaded (with progress) to torch's cache and stays there.

    Raises:
        InputError: `given` is no file, or the download fails or is not what its name says.
    """
    if given is not None:
        if not given.is_file():
            raise InputError(f"no file {given} with RetinaFace's weights: {INSTEAD}")
        return given
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    checksum = path.stem.rpartition("-")[2]
    if path.is_file() and sha256(path).startswith(checksum):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _bounded_patience():
            torch.hub.download_url_to_file(url, str(path), hash_prefix=checksum)
    except (OSError, RuntimeError, urllib.error.URLError) as error:
        raise InputError(f"RetinaFace's weights cannot be downloaded from {url} ({error}): {INSTEAD}") from None
    return path


@contextmanager
def _bounded_patience() -> Iterator[None]:
    """A server that does not answer must not hang the command; torch's download has no setting for that."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def load_weights(network: torch.nn.Module, path: Path) -> None:
    """Load a state dict into the network; a zip around it, as the release has, is opened first.

    Raises:
        InputError: the file is no such state dict.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an unusual pickle: it is refused or harmless
            state = torch.load(_unzipped(path), map_location="cpu", weights_only=True)
        if not isinstance(state, Mapping):
            raise ValueError("it holds no table of weights")
        network.load_state_dict(state)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path} does not hold RetinaFace's weights ({reason}): {INSTEAD}") from None


def _unzipped(path: Path) -> io.BytesIO | str:
    if not zipfile.is_zipfile(path):
        return str(path)
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) != 1 or members[0].filename.endswith(TORCH_MEMBER):
            return str(path)  # torch's own format is a zip too
        if members[0].file_size > LARGEST_BYTES:
            raise ValueError("it is too large")
        return io.BytesIO(archive.read(members[0]))
