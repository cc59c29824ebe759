"""The folder of JPEG files that most programs start from: `<label>/<n>.jpg`."""

from pathlib import Path

from benchmarks.peers.protocol import Job, converted, read_records


def jpeg_files(job: Job) -> list[tuple[Path, int]]:
    """Every file and its label; written from our records if it is not there."""

    def write(folder: Path) -> None:
        records = read_records(job)
        for label in set(records.labels.tolist()):
            (folder / str(label)).mkdir()
        for i, (view, label) in enumerate(zip(records.views(), records.labels.tolist(), strict=True)):
            (folder / str(label) / f"{i:06d}.jpg").write_bytes(view)

    folder = converted(job, "files", write)
    return [(path, int(path.parent.name)) for path in sorted(folder.glob("*/*.jpg"))]
