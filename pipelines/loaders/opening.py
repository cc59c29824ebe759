"""The one function that opens any loader, and what it looks at before."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import torch

from pipelines.errors import InputError
from pipelines.loaders.base import Loader
from pipelines.loaders.cache import MIB, decoded_bytes, kept_bytes, room_bytes
from pipelines.loaders.config import LoaderConfig
from pipelines.probe import free_memory_bytes
from pipelines.progress import Say, Track, unsaid, untracked
from pipelines.records import SPLITS, DatasetInfo, is_local, read_info, refuse_damaged

ROOM: Final = 0.5
"""Share of the free memory, or of the disk, that `auto` lets decoded images take."""


def open_loader(config: LoaderConfig, track: Track = untracked) -> Loader:
    """Open the loader that `config.kind` names; `auto` is `choose_loader`'s choice.

    `track` is told of checking the files, and of the decoding that a resident loader's first use takes.

    Raises:
        InputError: the variant is not a finished record folder, its bytes have changed since they were written, it is
            in an object store, or the split (or this rank's part) has no samples; or there is no such GPU.
    """
    _refuse_absent(torch.device(config.device))
    info = read_variant(config)
    refuse_changed(config, info, track)
    (config,) = settled([config])
    if config.kind == "resident":
        from pipelines.loaders.resident import ResidentLoader

        return ResidentLoader(config, info, track)
    if config.kind == "reference":
        from pipelines.loaders.reference import ReferenceLoader

        return ReferenceLoader(config, info)
    if config.kind == "ffcv":
        from pipelines.loaders.ffcv import FfcvLoader

        return FfcvLoader(config, info, track)
    from pipelines.loaders.dali import DaliLoader

    return DaliLoader(config, info)


def read_variant(config: LoaderConfig) -> DatasetInfo:
    """The variant's `dataset.json`, if there is something in it for this split and every rank.

    Raises:
        InputError: as `open_loader`.
    """
    if not is_local(config.variant):
        raise InputError(
            f"{config.variant} is not on this machine: copy the folder to a disk to train and test from it"
        )
    info = read_info(config.variant)
    samples = info.samples(config.split)
    if samples < config.world_size:
        what = "nothing of its dataset could be kept there" if not samples else "start fewer of them"
        raise InputError(
            f"the {config.split} split of {config.variant} has {samples} samples for {config.world_size} process(es): "
            f"{what}"
        )
    return info


def refuse_changed(config: LoaderConfig, info: DatasetInfo, track: Track = untracked) -> None:
    """Check the files of the split, once more or for the first time, as `config.verify` says.

    Raises:
        InputError: one of them is not as it was written; names it.
    """
    refuse_damaged(config.variant, info, config.split, full=config.verify == "full", track=track)


def _refuse_absent(device: torch.device) -> None:
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"there is no GPU {device} here: take the device cpu, or one of {torch.cuda.device_count()}")


def settled(configs: Sequence[LoaderConfig], say: Say = unsaid) -> list[LoaderConfig]:
    """The settings with `auto` decided, for all of them alike; `say` is told what it is taken for, and why."""
    if configs[0].kind != "auto":
        return list(configs)
    kind, why = choose_loader(*configs)
    say(f"loader: {kind}, as {why}")
    return [replace(config, kind=kind) for config in configs]


def choose_loader(*configs: LoaderConfig) -> tuple[str, str]:
    """What `auto` takes for variants, and why: resident if their decoded splits have room in memory and on the disk.

    The answer is the same for all splits of the variants, so that a run has one loader.
    """
    need = sum(decoded_bytes(info, split) for info in map(read_variant, configs) for split in SPLITS)
    cache, kept = configs[0].cache, kept_bytes(*configs)
    sizes = f"its {need / MIB:,.0f} MiB of decoded images"
    if need > ROOM * free_memory_bytes():
        return "dali", f"{sizes} are more than half of the free memory"
    if need > kept and need > ROOM * (kept + room_bytes(cache)):
        return "dali", f"{sizes} are more than half of the room in {cache}"
    return "resident", f"{sizes} fit in memory"
