"""RetinaFace: batches give the boxes of the package's own call; weights come from a file or one safe download."""

import hashlib
import http.server
import io
import pickle
import threading
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from fastfer.faces.detect import open_detector
from fastfer.faces.retinaface import RetinaFace, make_network
from fastfer.faces.weights import retinaface_weights
from pipelines.errors import InputError

CONFIDENCE = 0.97
EVERY_SIZE = (0.0, 1e9)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    """Random weights: at `CONFIDENCE` some anchors pass for faces."""
    torch.manual_seed(0)
    return make_network().eval()


@pytest.fixture(scope="module")
def weights(network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "retinaface.pth"
    torch.save(network.state_dict(), path)
    return path


def pictures(count: int, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, height // 8, width // 8, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


@pytest.mark.parametrize(("height", "width"), [(192, 192), (96, 160), (224, 128)])
def test_a_batch_gives_what_the_package_gives_one_image_at_a_time(weights: Path, height: int, width: int) -> None:
    from retinaface.predict_single import Model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = Model(max_size=max(height, width))
    theirs.load_state_dict(torch.load(weights, weights_only=True))
    theirs.eval()
    img_BHWC = pictures(5, height, width)
    found = RetinaFace("cpu", weights, confidence=CONFIDENCE).detect(img_BHWC, face_range_px=EVERY_SIZE)
    assert sum(map(len, found)) > 5
    for faces, img_HWC in zip(found, img_BHWC, strict=True):
        expected = theirs.predict_jsons(img_HWC, confidence_threshold=CONFIDENCE)
        expected = [one for one in expected if one["bbox"]]
        assert len(faces) == len(expected)
        if not expected:
            continue
        order = np.argsort(-faces.score_N, kind="stable")
        np.testing.assert_allclose(faces.box_N4_px[order], [one["bbox"] for one in expected], atol=0.5)
        np.testing.assert_allclose(faces.lmk_N52_px[order], [one["landmarks"] for one in expected], atol=0.5)
        np.testing.assert_allclose(faces.score_N[order], [one["score"] for one in expected], atol=0.011)


def test_the_batch_a_picture_stands_in_does_not_change_its_faces(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = RetinaFace("cpu", weights, confidence=CONFIDENCE)
    img_BHWC = pictures(3, 96, 96)
    together = detector.detect(img_BHWC, face_range_px=EVERY_SIZE)
    monkeypatch.setattr("fastfer.faces.retinaface.PIXELS_AT_ONCE", 1)
    alone = detector.detect(img_BHWC, face_range_px=EVERY_SIZE)
    for one, other in zip(together, alone, strict=True):
        assert len(one) == len(other)
        np.testing.assert_allclose(one.box_N4_px, other.box_N4_px, atol=0.01)


def test_no_face_is_an_empty_finding(weights: Path) -> None:
    (faces,) = RetinaFace("cpu", weights, confidence=1.0).detect(pictures(1, 64, 64), face_range_px=EVERY_SIZE)
    assert (len(faces), faces.box_N4_px.shape, faces.lmk_N52_px.shape) == (0, (0, 4), (0, 5, 2))


def test_weights_may_be_zipped_once_more_as_the_release_is(weights: Path, tmp_path: Path) -> None:
    release = tmp_path / "release.zip"
    with zipfile.ZipFile(release, "w") as archive:
        archive.write(weights, "retinaface_resnet50.pth")
    img_BHWC = pictures(1, 64, 64)
    plain, zipped = (
        open_detector("retinaface", "cpu", path).detect(img_BHWC, face_range_px=EVERY_SIZE)[0]
        for path in (weights, release)
    )
    np.testing.assert_array_equal(plain.box_N4_px, zipped.box_N4_px)


class Evil:
    """Touches a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


def test_what_is_not_weights_is_one_sentence_and_nothing_is_unpickled(weights: Path, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    evil = io.BytesIO()
    torch.save({"weight": Evil(mark)}, evil)
    whole = weights.read_bytes()
    contents = {
        "evil": evil.getvalue(),
        "pickle": pickle.dumps(Evil(mark)),
        "empty": b"",
        "text": b"not weights at all",
        "cut": whole[: len(whole) // 2],
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    torch.save([1, 2], tmp_path / "list")
    torch.save({"other.weight": torch.zeros(1)}, tmp_path / "other")
    with zipfile.ZipFile(tmp_path / "zipped", "w") as archive:
        archive.writestr("weights.pth", contents["evil"])
    for name in (*contents, "list", "other", "zipped"):
        with pytest.raises(
            InputError, match=f"{name} does not hold RetinaFace's weights .*RETINAFACE_WEIGHTS="
        ) as said:
            RetinaFace("cpu", tmp_path / name)
        assert "DETECTOR=mtcnn" in str(said.value)
        assert "\n" not in str(said.value)
    assert not mark.exists()


# ---- download


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """An HTTP server on this machine: its address, the folder it serves, and the paths it was asked for."""
    folder = tmp_path / "served"
    folder.mkdir()
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", folder, asked
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    return tmp_path / "hub"


def served(folder: Path, content: bytes, *, digest: str | None = None) -> str:
    name = f"made-{digest or hashlib.sha256(content).hexdigest()[:9]}.zip"
    (folder / name).write_bytes(content)
    return name


def test_weights_are_downloaded_once_and_checked(server: tuple[str, Path, list[str]], hub: Path) -> None:
    address, folder, asked = server
    name = served(folder, b"pretend weights")
    path = retinaface_weights(None, url=f"{address}/{name}")
    assert path.is_relative_to(hub)
    assert path.read_bytes() == b"pretend weights"
    assert retinaface_weights(None, url=f"{address}/{name}") == path
    assert asked == [f"/{name}"]
    path.write_bytes(b"pretend")  # a torn file in the cache is not trusted
    assert retinaface_weights(None, url=f"{address}/{name}").read_bytes() == b"pretend weights"


def test_a_download_that_is_something_else_is_refused(server: tuple[str, Path, list[str]], hub: Path) -> None:
    address, folder, _ = server
    name = served(folder, b"not what the name says", digest="0" * 9)
    with pytest.raises(InputError, match=r"cannot be downloaded from http.*hash.*RETINAFACE_WEIGHTS=.*DETECTOR=mtcnn"):
        retinaface_weights(None, url=f"{address}/{name}")
    assert list(hub.rglob("*.*")) == []


def test_without_file_and_network_both_ways_out_are_named(server: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    address, _, _ = server
    with pytest.raises(InputError, match=r"cannot be downloaded .*RETINAFACE_WEIGHTS=.*DETECTOR=mtcnn"):
        retinaface_weights(None, url=f"{address}/gone-123456789.zip")
    with pytest.raises(InputError, match=r"cannot be downloaded .*RETINAFACE_WEIGHTS=.*DETECTOR=mtcnn"):
        retinaface_weights(None, url="http://127.0.0.1:1/refused-123456789.zip")
    with pytest.raises(InputError, match=r"no file .*nowhere with RetinaFace's weights: .*RETINAFACE_WEIGHTS="):
        retinaface_weights(tmp_path / "nowhere")
