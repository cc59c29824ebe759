"""The loop that people write to balance classes: a folder of JPEG files for each class, copies until all are as large.

OpenCV reads an image, albumentations changes it as the light policy does, OpenCV writes a file. Run as
`python -m benchmarks.peers.plain_balance SOURCE OUT`, folders with one folder for each class.
"""

import os

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask the network for its newest version

import sys
from pathlib import Path
from typing import Any, Final

import albumentations as A
import cv2

QUALITY: Final = 95
SIZE_PX: Final = 224


def light() -> Any:
    """`pipelines.augment.LIGHT`, written out."""
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.Affine(
                scale=(0.95, 1.05),
                keep_ratio=True,
                rotate=(-8, 8),
                translate_percent={"x": (-0.03, 0.03), "y": (-0.03, 0.03)},
                border_mode=cv2.BORDER_REFLECT_101,
                p=1.0,
            ),
            A.OneOf(
                [
                    A.RandomBrightnessContrast(brightness_limit=(-0.08, 0.08), contrast_limit=(-0.15, 0.15), p=0.6),
                    A.RandomGamma(gamma_limit=(80, 125), p=0.4),
                ],
                p=0.6,
            ),
            A.OneOf(
                [
                    A.GaussianBlur(blur_limit=0, sigma_limit=(0.004 * SIZE_PX, 0.008 * SIZE_PX), p=0.5),
                    A.GaussNoise(std_range=(0.01, 0.03), p=0.5),
                ],
                p=0.3,
            ),
        ]
    )


def main() -> None:
    """Write the copies."""
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    transform = light()
    classes = {folder.name: sorted(folder.glob("*.jpg")) for folder in source.iterdir()}
    largest = max(len(files) for files in classes.values())
    for name, files in classes.items():
        (out / name).mkdir(parents=True)
        for number in range(largest - len(files)):
            file = files[number % len(files)]
            img = transform(image=cv2.imread(str(file), cv2.IMREAD_GRAYSCALE))["image"]
            copy = out / name / f"{file.stem}_{number // len(files) + 1}.jpg"
            cv2.imwrite(str(copy), img, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == "__main__":
    main()
