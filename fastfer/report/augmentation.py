"""What the augmentation does to a face: every operation by itself, and all of them together, as one contact sheet.

The pictures come from the engines that train: the online policy, and the offline copies.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from fastfer.datasets.demo.portraits import affine, portraits
from fastfer.faces.align import align
from fastfer.report.locale import ENGLISH, Locale
from fastfer.report.sheets import COLUMNS, Tile, contact_sheet
from fastfer.variants import open_records
from pipelines.augment import LIGHT, STRONG, Policy, draw
from pipelines.augment.offline import augment_copy
from pipelines.augment.online import OnlinePolicy
from pipelines.errors import InputError
from pipelines.records import ShardReader, write_atomically

Image = NDArray[np.uint8]
SIZE_PX: Final = 224
FACE_SCALE: Final = 0.85
EPOCH: Final = 0
PER_OPERATION: Final = COLUMNS // 2
"""Pictures of each operation: two operations stand in a row."""
TOLD: Final = 2
"""Parameters written under a picture, a line for each: more would make a tall sheet."""


def _online(img_HWC: Image, policy: Policy, seed: int, count: int, _: Locale) -> list[Tile]:
    rows = np.arange(count)
    img_BCHW = torch.from_numpy(img_HWC.transpose(2, 0, 1).copy()).expand(count, -1, -1, -1)
    out_BHWC = (OnlinePolicy(policy, seed)(img_BCHW, rows, EPOCH) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    told = {}
    for one in draw(policy, seed, EPOCH, rows):
        for row, values in zip(one.index_n.tolist(), one.params_nK.tolist(), strict=True):
            drawn = zip(one.operation.ranges[:TOLD], values, strict=False)
            told[row] = tuple(f"{_(limits.name)} {value:.3g}" for limits, value in drawn)
    return [Tile(_picture(img), told.get(row, ())) for row, img in enumerate(out_BHWC)]


def _offline(img_HWC: Image, policy: Policy, seed: int, count: int, _: Locale) -> list[Tile]:
    copies = (augment_copy(img_HWC, policy=policy, seed=seed, key="shown", copy=copy) for copy in range(count))
    return [Tile(_picture(copy), ()) for copy in copies]


POLICIES: Final[dict[str, tuple[Policy, Callable[[Image, Policy, int, int, Locale], list[Tile]]]]] = {
    "strong": (STRONG, _online),
    "light": (LIGHT, _offline),
}
"""Name -> (table, the engine that works by it)."""


def _picture(img_HWC: Image) -> Image:
    return img_HWC[..., 0] if img_HWC.shape[-1] == 1 else img_HWC


def write_augmentation_sheet(path: Path, img_HWC: Image, *, policy: str, seed: int) -> Policy:
    """Write `augmentation_sheet` to `path`; returns the policy's table.

    Raises:
        InputError: there is no such policy.
    """
    table, sheet = augmentation_sheet(img_HWC, policy=policy, seed=seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, sheet)
    return table


def augmentation_sheet(img_HWC: Image, *, policy: str, seed: int, _: Locale = ENGLISH) -> tuple[Policy, bytes]:
    """A policy's table, and what it does to one face as JPEG.

    Args:
        img_HWC: uint8 `H x W x C`, C 1 or 3.
        policy: the table's name, "strong" or "light".
        seed: of the draws.
        _: the language of the labels.

    Raises:
        InputError: there is no such policy.
    """
    if policy not in POLICIES:
        raise InputError(f"no policy {policy!r}: choose one of {', '.join(POLICIES)}")
    table, engine = POLICIES[policy]
    tiles = [
        Tile(tile.img, (_(operation.name.replace("_", " ")), *tile.lines))
        for operation in table.operations
        for tile in engine(img_HWC, table.alone(operation.name), seed, PER_OPERATION, _)
    ]
    together = engine(img_HWC, table, seed, 2 * COLUMNS - 1, _)
    tiles += [Tile(_picture(img_HWC), (_("as it is"),))]
    tiles += [
        Tile(tile.img, (_("whole policy, {number}", number=number),)) for number, tile in enumerate(together, start=1)
    ]
    return table, contact_sheet(tiles, _("Policy {policy}: each operation by itself, then all together", policy=policy))


def first_training_image(shards: Path, dataset: str, variant: str) -> Image:
    """The first training image of a variant: uint8 `H x W x C`.

    Raises:
        InputError: the records are not there, or hold no training image.
    """
    info = open_records(shards, dataset, variant)
    for shard in info.split_shards("train"):
        with ShardReader(shards / dataset / variant, shard.name) as reader:
            if len(reader):
                return reader.decode(0, info)
    raise InputError(f"the {variant} records of {dataset} hold no training image")


def portrait() -> Image:
    """An aligned gray face of the demo's: uint8 `224 x 224 x 1`."""
    face = portraits()[0]
    lmk_52_px = affine(face.to_px_23, face.lmk_P2)
    img = align(np.ascontiguousarray(face.cutouts[0][..., :3]), lmk_52_px, size_px=SIZE_PX, face_scale=FACE_SCALE)
    assert img is not None
    return np.asarray(img @ np.array([0.299, 0.587, 0.114]), np.uint8)[..., None]
