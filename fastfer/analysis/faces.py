"""Aligned faces for the analyses, and what they are described by: a training-free baseline, or a trained network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from skimage.feature import hog

from fastfer.evaluation.evaluate import FinishedRun
from fastfer.labels import CLASSES
from fastfer.training.checkpoint import load_model
from fastfer.training.run import BEST_NAME
from fastfer.variants import open_records
from pipelines.progress import Track, untracked
from pipelines.records import ShardReader, read_manifest

HOG_PX: Final = 64
HOG: Final[dict[str, Any]] = {"orientations": 9, "pixels_per_cell": (8, 8), "cells_per_block": (2, 2)}
"""Dalal and Triggs 2005, "Histograms of oriented gradients for human detection": their cells, blocks and bins."""
BATCH: Final = 64

Features = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AlignedFaces:
    """N faces of `preprocessed` records: keys, labels, images they are from, and gray pixels (uint8 `N x H x W`)."""

    dataset: str
    key_N: NDArray[Any]
    label_N: NDArray[np.int64]
    group_N: NDArray[Any]
    img_NHW: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.label_N)

    def counts(self) -> NDArray[np.int64]:
        """Faces of each class, `K`."""
        return np.bincount(self.label_N, minlength=len(CLASSES))


def read_faces(
    shards: Path,
    dataset: str,
    *,
    most: int,
    seed: int,
    splits: tuple[str, ...] = ("train", "val", "test"),
    track: Track = untracked,
) -> AlignedFaces:
    """A random sample of `most` faces of a dataset's `preprocessed` records, or all of them, in the manifest's order.

    Raises:
        InputError: the records are not there.
    """
    open_records(shards, dataset, "preprocessed")
    folder = shards / dataset / "preprocessed"
    kept = read_manifest(folder).filter(pl.col("status") == "kept", pl.col("split").is_in(splits))
    chosen = kept.sample(min(most, len(kept)), seed=seed).sort("shard", "position")
    images: list[NDArray[np.uint8]] = []
    with track(f"Reading faces of {dataset}", total=len(chosen), unit="faces") as advance:
        for (shard,), rows in chosen.group_by("shard", maintain_order=True):
            with ShardReader(folder, str(shard)) as reader:
                for position in rows["position"]:
                    images.append(_gray(reader, position))
                    advance(1)
    img_NHW = np.stack(images) if images else np.zeros((0, HOG_PX, HOG_PX), np.uint8)
    label_N = chosen["label"].cast(pl.Int64).to_numpy()
    return AlignedFaces(dataset, chosen["key"].to_numpy(), label_N, chosen["image_path"].to_numpy(), img_NHW)


def _gray(reader: ShardReader, position: int) -> NDArray[np.uint8]:
    img = cv2.imdecode(np.frombuffer(reader.member(position, "jpg"), np.uint8), cv2.IMREAD_GRAYSCALE)
    return np.asarray(img, np.uint8)


def hog_features(faces: AlignedFaces, track: Track = untracked) -> Features:
    """Histograms of oriented gradients of each face, drawn `HOG_PX` wide: float32 `N x F`. Nothing is trained."""
    described = []
    with track(f"Describing faces of {faces.dataset}", total=len(faces), unit="faces") as advance:
        for img in faces.img_NHW:
            small = cv2.resize(img, (HOG_PX, HOG_PX), interpolation=cv2.INTER_AREA)
            described.append(hog(small, **HOG).astype(np.float32))
            advance(1)
    return np.stack(described)


@torch.inference_mode()
def network_features(run: FinishedRun, faces: AlignedFaces, track: Track = untracked) -> Features:
    """What a trained network knows of each face before its last layer: float32 `N x F`.

    Raises:
        InputError: the run's weights cannot be read.
    """
    network, preprocessing, _ = load_model(run.folder / BEST_NAME)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.eval().to(device)
    described = []
    with track(f"Describing faces of {faces.dataset}", total=len(faces), unit="faces") as advance:
        for start in range(0, len(faces), BATCH):
            img_BHW = torch.from_numpy(faces.img_NHW[start : start + BATCH]).to(device)
            img_BCHW = preprocessing(img_BHW[:, None].expand(-1, preprocessing.channels, -1, -1))
            maps = network.forward_features(img_BCHW)  # type: ignore[operator]
            described.append(network.forward_head(maps, pre_logits=True).float().cpu().numpy())  # type: ignore[operator]
            advance(len(img_BHW))
    return np.concatenate(described)
