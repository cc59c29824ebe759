"""demo-expw: scenes of one to four faces, in ExpW's layout and with its flaws.

`image/origin/*.jpg`, named after the web query that found them, and `label/label.lst`: image_name face_id top left
right bottom confidence label. Planted: queries that do not fit the face, annotated faces that are not the largest,
exact duplicate rows, unreadable and missing files, near-duplicates of other scenes and of demo-rafdb's pictures.
"""

import io
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from fastfer.datasets.demo import rafdb
from fastfer.datasets.demo.plan import (
    DemoConfig,
    DemoSet,
    Fault,
    ImagePlan,
    Stream,
    generator,
    scaled,
    written_labels,
)
from fastfer.datasets.demo.scenes import Picture
from fastfer.datasets.demo.truth import Written, annotated, truth_rows
from fastfer.labels import CLASSES, EXPW_TO_CANONICAL

COUNTS: Final = {
    "happiness": 215, "neutral": 130, "sadness": 72, "surprise": 55, "disgust": 48, "anger": 47, "fear": 46,
}  # fmt: skip
"""Faces by class. Split 70/10/20, with floors of 5 and 15 faces, the rarest class keeps over 20 to train on."""

FEWEST = 4
"""Faces a class has at any size."""

FACES_PER_SCENE: Final = (0.50, 0.27, 0.14, 0.09)
"""Shares of the scenes with one to four labelled faces."""

BYSTANDERS = 0.12
"""Share of the scenes of up to three faces with one more that is larger than all and not annotated."""

WRONG_QUERIES = 0.30
"""Share of the scenes whose name speaks of another emotion than their first labelled face shows."""

QUERIES: Final = {
    "anger": ("angry", "furious"), "disgust": ("disgusted", "revolted"), "fear": ("afraid", "scared"),
    "happiness": ("happy", "laughing"), "sadness": ("sad", "crying"), "surprise": ("surprised", "astonished"),
    "neutral": ("calm", "neutral"),
}  # fmt: skip
"""The emotion words of the queries, which begin the file names."""

SUBJECTS: Final = (
    "african", "asian", "european", "actor", "student", "teacher", "doctor", "athlete", "singer", "politician",
)  # fmt: skip
"""Whom the queries asked for."""

FAULTS: Final[tuple[Fault, ...]] = ("cut short", "empty", "not an image", "missing")
FACES_PER_FAULT, FACES_PER_COPY, FACES_PER_REPEATED_ROW = 300, 120, 150
FEWEST_COPIES, FEWEST_REPEATED_ROWS = 2, 2
FOLDERS: Final = ("image/origin", "label")
LABEL_NUMBERS: Final = {canonical: number for number, canonical in EXPW_TO_CANONICAL.items()}


def plan(config: DemoConfig) -> list[ImagePlan]:
    """Every image of demo-expw in the order of its list, which is random."""
    rng = generator(config.seed, DemoSet.EXPW, Stream.PLAN)
    labels = rng.permutation(scaled(COUNTS, config.faces, at_least=FEWEST)).tolist()
    numbers = iter(rng.permutation(np.arange(1, 4 * len(labels))).tolist())  # so that no name comes twice
    plans: list[ImagePlan] = []

    def add(labels: tuple[int, ...], copy_of: ImagePlan | None = None, fault: Fault | None = None) -> None:
        index = len(plans)
        query = (labels[0] + (rng.random() < WRONG_QUERIES) * int(rng.integers(1, len(CLASSES)))) % len(CLASSES)
        word, subject = (words[rng.integers(len(words))] for words in (QUERIES[CLASSES[query]], SUBJECTS))
        beside = len(labels) < len(FACES_PER_SCENE) and bool(rng.random() < BYSTANDERS)
        plans.append(
            ImagePlan(
                dataset=DemoSet.EXPW,
                index=index,
                path=f"image/origin/{word}_{subject}_{next(numbers)}.jpg",
                labels=labels,
                written=written_labels(config, DemoSet.EXPW, index, labels),
                bystander=copy_of.bystander if copy_of else beside,
                copy_of=copy_of,
                query=query,
                fault=fault,
            )
        )

    while labels:
        size = int(rng.choice(len(FACES_PER_SCENE), p=FACES_PER_SCENE)) + 1
        add(tuple(labels[:size]))
        del labels[:size]
    for at in rng.choice(len(plans), max(FEWEST_COPIES, config.faces // FACES_PER_COPY), replace=False):
        add(plans[at].labels, copy_of=plans[at])
    for original in _rafdb_pictures(config, rng):
        add(original.labels, copy_of=original)
    for fault in FAULTS * max(1, config.faces // FACES_PER_FAULT):
        add((int(rng.integers(len(CLASSES))),), fault=fault)
    return [plans[at] for at in rng.permutation(len(plans))]


def _rafdb_pictures(config: DemoConfig, rng: np.random.Generator) -> list[ImagePlan]:
    """One picture of demo-rafdb's train part and one of its test part, neither a copy itself."""
    originals = [image for image in rafdb.plan(config) if image.copy_of is None]
    parts = [[image for image in originals if f"/{split}_" in image.path] for split in ("train", "test")]
    return [part[rng.integers(len(part))] for part in parts]


def write_image(folder: Path, image: ImagePlan, picture: Picture) -> Written:
    """Write one picture, or the unreadable file in its place."""
    _write_file(folder / image.path, picture, image.fault)
    lines = []
    for (face_id, face), label in zip(annotated(picture), image.written, strict=True):
        left, top, right, bottom = face.box_xyxy_px.round().astype(int)
        box = f"{top} {left} {right} {bottom}"
        lines.append(f"{Path(image.path).name} {face_id} {box} {face.confidence:.4f} {LABEL_NUMBERS[label]}")
    return Written(lines=lines, truth=[] if image.fault else truth_rows(image, picture, numbered=True))


def _write_file(path: Path, picture: Picture, fault: Fault | None) -> None:
    if fault == "missing":
        return
    jpeg = io.BytesIO()
    Image.fromarray(picture.img_HWC).save(jpeg, "jpeg", quality=picture.jpeg_quality)
    content = jpeg.getvalue()
    wrong: dict[Fault, bytes] = {
        "cut short": content[: len(content) // 2],
        "empty": b"",
        "not an image": b"<html><body>404 Not Found</body></html>\n",
    }
    path.write_bytes(content if fault is None else wrong[fault])


def write_list(folder: Path, lines: list[str], config: DemoConfig) -> None:
    """Write the label list, a few rows of it twice."""
    rng = generator(config.seed, DemoSet.EXPW, Stream.REPEATED_ROWS)
    lines = lines.copy()
    repeats = max(FEWEST_REPEATED_ROWS, config.faces // FACES_PER_REPEATED_ROW)
    repeated = [lines[at] for at in rng.choice(len(lines), repeats, replace=False)]
    for line in repeated:
        lines.insert(int(rng.integers(len(lines) + 1)), line)
    (folder / "label/label.lst").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
