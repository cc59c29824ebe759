"""What a variant of records holds: a summary for the terminal and a contact sheet."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from fastfer.report.locale import ENGLISH, Locale
from fastfer.report.sheets import COLUMNS, Tile, contact_sheet
from fastfer.variants import open_records
from pipelines.records import DatasetInfo, ShardReader, decode_jpeg, read_manifest, write_atomically

SHOWN_SETTINGS: Final = (
    "layout", "detector_version", "scene", "color", "face_scale", "min_iou", "min_confidence", "seed",
)  # fmt: skip
MIB: Final = 2**20


def summary_of(info: DatasetInfo) -> dict[str, Any]:
    """What is known of a variant, by name, ready to show."""
    size = sum(shard.tar_bytes for shard in info.shards)
    return {
        "faces": f"{info.samples():,} in {len(info.shards)} shards, {size / MIB:,.1f} MiB",
        "images": f"{info.size_px} x {info.size_px} px, {'gray' if info.channels == 1 else 'RGB'}",
        "train mean": ", ".join(f"{value:.4f}" for value in info.pixel_mean),
        "train standard deviation": ", ".join(f"{value:.4f}" for value in info.pixel_std),
        **{
            name.replace("_", " "): info.settings[name]
            for name in SHOWN_SETTINGS
            if info.settings.get(name) is not None
        },
        "made by fastfer": info.code_version,
    }


def write_sheet(shards: Path, dataset: str, variant: str, out: Path, *, seed: int = 0) -> Path:
    """Write `sample_sheet` to `out`.

    Raises:
        InputError: the variant is not there.
    """
    sheet = sample_sheet(shards, dataset, variant, seed=seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, sheet)
    return out


def sample_sheet(shards: Path, dataset: str, variant: str, *, seed: int = 0, _: Locale = ENGLISH) -> bytes:
    """Some random faces of each class, a row each, as JPEG.

    Raises:
        InputError: the variant is not there.
    """
    info = open_records(shards, dataset, variant)
    folder = shards / dataset / variant
    kept = read_manifest(folder).filter(pl.col("status") == "kept").sort("row")
    tiles = []
    for label, name in enumerate(info.classes):
        of_class = kept.filter(pl.col("label") == label)
        rows = list(of_class.sample(min(COLUMNS, len(of_class)), seed=seed, shuffle=True).iter_rows(named=True))
        for row in rows:
            with ShardReader(folder, row["shard"]) as reader:
                img = decode_jpeg(reader.member(row["position"], "jpg"))
            tiles.append(Tile(img, (f"{name}, {_(row['split'])}", row["key"])))
        blank = Tile(np.full((1, 1), 255, np.uint8), (_("no more") if rows else _("no {name}", name=name),))
        tiles += [blank] * (COLUMNS - len(rows))
    return contact_sheet(tiles, _("{dataset} {variant}: faces of each class", dataset=dataset, variant=variant))
