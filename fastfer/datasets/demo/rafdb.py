"""demo-rafdb: one face per picture, in RAF-DB's layout.

`EmoLabel/list_patition_label.txt`, `Image/original/<stem>.jpg`, `Image/aligned/<stem>_aligned.jpg` (100 x 100),
`Annotation/boundingbox/<stem>_boundingbox.txt` and `Annotation/manual/<stem>_manu_attri.txt`.
"""

from pathlib import Path
from typing import Final

from PIL import Image

from fastfer.datasets.demo.plan import DemoConfig, DemoSet, ImagePlan, Stream, generator, scaled, written_labels
from fastfer.datasets.demo.scenes import Picture
from fastfer.datasets.demo.truth import Written, rounded, truth_rows
from fastfer.faces.align import align
from fastfer.labels import RAFDB_TO_CANONICAL

TRAIN_COUNTS: Final = {
    "happiness": 220, "neutral": 90, "sadness": 55, "surprise": 40, "disgust": 34, "anger": 30, "fear": 27,
}  # fmt: skip
"""Train faces by class; with a tenth (at least five) of each kept for validation, happiness is to fear as 9 to 1."""

TEST_COUNTS: Final = {
    "happiness": 25, "neutral": 20, "sadness": 16, "surprise": 15, "disgust": 15, "anger": 15, "fear": 15,
}  # fmt: skip
"""Test faces by class."""

FEWEST_TRAIN, FEWEST_TEST = 3, 1
"""Faces a class has at any size."""

FACES_PER_COPY, FEWEST_COPIES = 100, 3
"""One near-duplicate of a train picture is planted for so many faces; every third stands among test."""

BYSTANDERS = 0.12
"""Share of pictures with somebody else at the edge, smaller and not annotated."""

ALIGNED_PX, ALIGNED_SCALE = 100, 0.8
"""RAF-DB's aligned images are 100 px and show some forehead and chin: less than ArcFace's scale."""

FOLDERS: Final = ("EmoLabel", "Image/original", "Image/aligned", "Annotation/boundingbox", "Annotation/manual")
LABEL_NUMBERS: Final = {canonical: number for number, canonical in RAFDB_TO_CANONICAL.items()}


def plan(config: DemoConfig) -> list[ImagePlan]:
    """Every image of demo-rafdb in the order of its list: train, then test."""
    rng = generator(config.seed, DemoSet.RAFDB, Stream.PLAN)
    plans: dict[str, list[ImagePlan]] = {"train": [], "test": []}

    def add(split: str, label: int, copy_of: ImagePlan | None = None) -> None:
        index, number = sum(map(len, plans.values())), len(plans[split]) + 1
        name = f"train_{number:05d}" if split == "train" else f"test_{number:04d}"
        plans[split].append(
            ImagePlan(
                dataset=DemoSet.RAFDB,
                index=index,
                path=f"Image/original/{name}.jpg",
                labels=(label,),
                written=written_labels(config, DemoSet.RAFDB, index, (label,)),
                bystander=copy_of.bystander if copy_of else bool(rng.random() < BYSTANDERS),
                copy_of=copy_of,
            )
        )

    for split, counts, fewest in (("train", TRAIN_COUNTS, FEWEST_TRAIN), ("test", TEST_COUNTS, FEWEST_TEST)):
        for label in rng.permutation(scaled(counts, config.faces, at_least=fewest)):
            add(split, int(label))
    copies = max(FEWEST_COPIES, config.faces // FACES_PER_COPY)
    for turn, at in enumerate(rng.choice(len(plans["train"]), copies, replace=False), start=1):
        original = plans["train"][at]
        add("train" if turn % 3 else "test", original.labels[0], original)
    return plans["train"] + plans["test"]


def write_image(folder: Path, image: ImagePlan, picture: Picture) -> Written:
    """Write one picture, its aligned face and its annotation files."""
    (truth,) = truth_rows(image, picture, numbered=False)
    face = next(face for face in picture.faces if face.annotated)
    name = Path(image.path).name
    stem = Path(image.path).stem
    Image.fromarray(picture.img_HWC).save(folder / image.path, quality=picture.jpeg_quality)
    aligned_HWC = align(picture.img_HWC, face.lmk_P2_px, size_px=ALIGNED_PX, face_scale=ALIGNED_SCALE)
    assert aligned_HWC is not None  # its five points are apart
    Image.fromarray(aligned_HWC).save(folder / f"Image/aligned/{stem}_aligned.jpg", quality=picture.jpeg_quality)
    (folder / f"Annotation/boundingbox/{stem}_boundingbox.txt").write_text(
        " ".join(f"{value:.3f}" for value in truth["box"]) + "\n", encoding="ascii"
    )
    points = rounded(face.lmk_P2_px)
    lines = [f"{x:.3f}\t{y:.3f}" for x, y in zip(points[::2], points[1::2], strict=True)]
    lines += [str(code) for code in (face.person.gender, face.person.race, face.person.age)]
    (folder / f"Annotation/manual/{stem}_manu_attri.txt").write_text("\n".join(lines) + "\n", encoding="ascii")
    return Written(lines=[f"{name} {LABEL_NUMBERS[image.written[0]]}"], truth=[truth])


def write_list(folder: Path, lines: list[str], config: DemoConfig) -> None:  # noqa: ARG001
    """Write the label list, which ends without a newline, as RAF-DB's does."""
    (folder / "EmoLabel/list_patition_label.txt").write_text("\n".join(lines), encoding="ascii")
