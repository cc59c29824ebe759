"""DataLoader over a folder of JPEG files: OpenCV decodes, albumentations augments."""

from pathlib import Path

from benchmarks.peers.albumented import Albumented
from benchmarks.peers.files import jpeg_files
from benchmarks.peers.opencv import decode
from benchmarks.peers.protocol import Contender, Job, serve
from benchmarks.peers.stages import Collate, epochs, finish_for, make_loader


class Files:
    """(bytes, label) of each file."""

    def __init__(self, files: list[tuple[Path, int]]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, i: int) -> tuple[bytes, int]:
        path, label = self._files[i]
        return path.read_bytes(), label


def prepare(job: Job) -> Contender:
    """The loader over the files."""
    collate = Collate(decode, finish_for(job.mode, Albumented))
    loader = make_loader(Files(jpeg_files(job)), job, collate_fn=collate)
    return Contender(batches=epochs(loader))


if __name__ == "__main__":
    serve(prepare, formats=("files",), libraries=("torch", "opencv-python-headless", "albumentations", "numpy"))
