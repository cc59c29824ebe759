"""The loop that people write to cut faces out of photographs.

Pillow opens each image, facenet-pytorch's MTCNN searches the whole of it, one image at a time, OpenCV warps each
annotated face and writes a file. Run as `python -m benchmarks.peers.plain_faces ROOT OUT`; the annotated boxes come
from the demo set's truth.
"""

import json
import sys
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from facenet_pytorch import MTCNN
from PIL import Image

from fastfer.datasets.demo import read_truth
from fastfer.faces.align import ARCFACE_LMK_52, ARCFACE_SIDE
from fastfer.faces.match import iou

SIZE_PX: Final = 224
MIN_IOU: Final = 0.3
LANDMARKS_NAME: Final = "landmarks.json"


def main() -> None:
    """Write the faces, and the landmarks found for the n-th row of the truth as `landmarks.json`."""
    root, out = Path(sys.argv[1]), Path(sys.argv[2])
    truth = read_truth(root).with_row_index("n")
    network = MTCNN(keep_all=True)
    target = (ARCFACE_LMK_52 * SIZE_PX / ARCFACE_SIDE).astype(np.float32)
    found = {}
    for rows in truth.partition_by("image", maintain_order=True):
        img = Image.open(root / rows["image"][0]).convert("RGB")
        boxes, _, landmarks = network.detect(img, landmarks=True)
        if boxes is None:
            continue
        img_HWC, lmk_N52 = np.asarray(img), np.array(landmarks.tolist(), np.float32)
        overlap = iou(np.array(rows["box"].to_list()), boxes.astype(np.float64))
        for n, best, value in zip(rows["n"], overlap.argmax(1), overlap.max(1), strict=True):
            if value >= MIN_IOU:
                matrix, _ = cv2.estimateAffinePartial2D(lmk_N52[best], target)
                face = cv2.cvtColor(cv2.warpAffine(img_HWC, matrix, (SIZE_PX, SIZE_PX)), cv2.COLOR_RGB2GRAY)
                cv2.imwrite(str(out / f"{n}.jpg"), face)
                found[n] = lmk_N52[best].ravel().tolist()
    (out / LANDMARKS_NAME).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
