"""The settings of a run: what is trained, on what, and how."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastfer.datasets import DATASETS, find_dataset
from fastfer.models import timm_name
from fastfer.recipes import OTHER_RECIPE, RECIPE_BATCH, RECIPES, Recipe
from pipelines.augment import STRONG, Policy
from pipelines.errors import InputError
from pipelines.records import sha256

if TYPE_CHECKING:
    from pipelines.loaders import LoaderConfig  # imports torch: --help must not wait

AUGMENTATIONS: Final = {"none": "preprocessed", "offline": "augmented", "online": "augmented"}
"""`AUG=` and the variant it trains on; `online` adds the strong policy every epoch."""


PRECISIONS: Final = {"auto": None, "32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
"""`PRECISION=` and Fabric's name for it; auto takes bf16 or fp16 on a GPU that has it, 32 elsewhere."""


MONITORS: Final = {
    "macro_f1": ("val_macro_f1", 1),
    "balanced_accuracy": ("val_balanced_accuracy", 1),
    "accuracy": ("val_accuracy", 1),
    "loss": ("val_loss", -1),
}
"""`MONITOR=`, what the best epoch is chosen by on the validation split: its column, and 1 where more is better."""

IMBALANCES: Final = ("none", "weights", "logits")
"""`IMBALANCE=`, what the loss does about rare classes: nothing, weights, or adjusted logits (see `Loss`)."""

SAMPLINGS: Final = ("size", "equal")
"""`SAMPLING=` of a joint set: every image once an epoch, or as many of each dataset (the smaller ones come again)."""

INCIDENTAL: Final = {"shards", "runs", "cache", "place", "verify", "workers", "resume"}
"""Settings that do not change a run's result."""

CHOICES: Final[dict[str, Iterable[str]]] = {
    "aug": AUGMENTATIONS,
    "precision": PRECISIONS,
    "monitor": MONITORS,
    "imbalance": IMBALANCES,
    "sampling": SAMPLINGS,
}
"""Settings that take one of some values."""

NOUNS: Final = {"aug": "augmentation"}
"""What a setting is called in a sentence, where that is not its name."""

COUNTS: Final = ("epochs", "batch", "accumulate", "patience", "image_size")
"""Settings that are 1 or more, if they are given."""
MOST: Final = 2**31 - 1
"""The largest of them, as 32 bits hold it."""
INFINITE: Final = float("inf")
FROM_ZERO: Final = {
    "mixup": (1000, "0 (off) or an alpha above 0 and below 1000"),
    "cutmix": (1000, "0 (off) or an alpha above 0 and below 1000"),
    "clip": (INFINITE, "0 (off) or a norm above 0"),
    "ema": (1, "0 (off) or a decay below 1"),
    "min_delta": (INFINITE, "0 or more"),
    "workers": (MOST + 1, f"from 0 to {MOST}"),
}
"""Settings that may not be negative: what they must be below, and how to say so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """One run. `None` means: by the architecture's recipe, or as stored; `mixup`, `cutmix`: see `Mixing`.

    `dataset` may be several, joined by `+`: they are then trained on together. `batch` is images per step over all
    processes, and `accumulate` steps make one of the optimiser. `clip` is the largest norm of the gradients and `ema`
    the decay of a moving average of the weights, which is then what is tested.

    `shards`, `runs` and `cache` are the folders of all variants, of all runs, and of decoded images. They, `place`,
    `verify` (see `LoaderConfig`), `workers` and `resume` (go on where the run was stopped) do not change the result and
    stay out of the run's name (`INCIDENTAL`).
    """

    dataset: str
    arch: str = "efficientnet"
    aug: str = "none"
    variant: str | None = None
    sampling: str = "size"
    loader: str = "dali"
    epochs: int = 40
    batch: int = 128
    accumulate: int = 1
    lr: float | None = None
    weight_decay: float | None = None
    layer_decay: float | None = None
    warmup_epochs: float | None = None
    label_smoothing: float | None = None
    imbalance: str = "none"
    mixup: float = 0.0
    cutmix: float = 0.0
    clip: float = 1.0
    ema: float = 0.0
    monitor: str = "macro_f1"
    patience: int = 10
    min_delta: float = 0.001
    image_size: int | None = None
    seed: int = 0
    pretrained: bool = True
    weights: Path | None = None
    precision: str = "auto"
    compile: bool = False
    shards: Path = Path("data/shards")
    runs: Path = Path("runs")
    cache: Path = Path("data/cache")
    place: str = "auto"
    verify: str = "once"
    workers: int = 2
    resume: bool = True

    def __post_init__(self) -> None:
        """Refuse impossible settings now, not after the first epoch."""
        split_datasets(self.dataset)
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise InputError(
                    f"no {NOUNS.get(name, name)} {getattr(self, name)!r}: choose one of {', '.join(known)}"
                )
        for name in COUNTS:
            if (count := getattr(self, name)) is not None and not 1 <= count <= MOST:
                raise InputError(f"{name} is {count}: it must be from 1 to {MOST}")
        for name, (end, rule) in FROM_ZERO.items():
            if not 0 <= getattr(self, name) < end:
                raise InputError(f"{name} is {getattr(self, name)}: it must be {rule}")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed is {self.seed}: it must be from 0 to 4294967295")
        if self.lr is not None and not 0 < self.lr < INFINITE:
            raise InputError(f"a learning rate of {self.lr} is impossible: it must be above 0")
        recipe = self.recipe()
        if not 0 <= recipe.weight_decay < INFINITE:
            raise InputError(f"weight_decay is {recipe.weight_decay}: it must be 0 or more")
        if not 0 < recipe.layer_decay <= 1:
            raise InputError(f"layer_decay is {recipe.layer_decay}: it must be above 0, and 1 for off")
        if not 0 <= recipe.label_smoothing < 1:
            raise InputError(f"label_smoothing is {recipe.label_smoothing}: it must be from 0 to below 1")
        if not 0 <= recipe.warmup_epochs < INFINITE:
            raise InputError(f"warmup_epochs is {recipe.warmup_epochs}: it must be 0 or more")
        if self.weights is not None and not self.pretrained:
            raise InputError("WEIGHTS= gives weights to start from and PRETRAINED=0 asks for none: choose one")
        timm_name(self.arch)

    @property
    def datasets(self) -> tuple[str, ...]:
        """The datasets trained on: one, or several together."""
        return split_datasets(self.dataset)

    @property
    def trained_variant(self) -> str:
        """The variant trained on: the one asked for, or the one that goes with the augmentation."""
        return self.variant or AUGMENTATIONS[self.aug]

    def loader_config(
        self, records: Path, split: str, device: str = "cpu", *, rank: int = 0, world_size: int = 1
    ) -> "LoaderConfig":
        """How `split` of a variant is loaded by one of `world_size` processes.

        Raises:
            InputError: the batch cannot be shared out, or a setting of the loader is impossible.
        """
        from pipelines.loaders import LoaderConfig

        if self.batch % world_size:
            raise InputError(f"a batch of {self.batch} images cannot be shared out among {world_size} processes")
        return LoaderConfig(
            variant=records,
            split=split,
            batch=self.batch // world_size,
            train=split == "train",
            seed=self.seed,
            kind=self.loader,
            device=device,
            rank=rank,
            world_size=world_size,
            workers=self.workers,
            cache=self.cache,
            place=self.place,
            verify=self.verify,
            policy=self.policy(),
        )

    def policy(self) -> Policy | None:
        """What images meet anew in each epoch."""
        return STRONG if self.aug == "online" else None

    def recipe(self) -> Recipe:
        """The architecture's recipe with what was asked for in its place; the learning rate is that of this batch."""
        recipe = RECIPES.get(self.arch, OTHER_RECIPE)
        asked = {field.name: getattr(self, field.name) for field in fields(Recipe)}
        scaled = replace(recipe, lr=recipe.lr * self.batch * self.accumulate / RECIPE_BATCH)
        return replace(scaled, **{name: value for name, value in asked.items() if value is not None})


def split_datasets(names: str) -> tuple[str, ...]:
    """`rafdb+expw` as its datasets, in the order of `DATASETS`, so that a joint set has one name.

    Raises:
        InputError: one is unknown or named twice, or they are not of one kind.
    """
    found = [find_dataset(name) for name in names.split("+")]
    if len({dataset.name for dataset in found}) < len(found):
        raise InputError(f"{names} names a dataset twice")
    kinds = {dataset.kind for dataset in found}
    if len(kinds) > 1:
        raise InputError(f"{names} mixes datasets of the kinds {', '.join(sorted(kinds))}: train on one kind together")
    return tuple(name for name in DATASETS if name in {dataset.name for dataset in found})


def settings_of(config: TrainConfig, *, records_sha256: str, image_size: int) -> dict[str, Any]:
    """All that determines the run's result, as plain values: the contents of its `config.json`."""
    policy = config.policy()
    settings = {name: value for name, value in asdict(config).items() if name not in INCIDENTAL}
    return settings | {
        "dataset": "+".join(config.datasets),
        "model": timm_name(config.arch),
        "variant": config.trained_variant,
        "weights": str(config.weights) if config.weights else None,
        "weights_sha256": sha256(config.weights) if config.weights and config.weights.is_file() else None,
        "sampling": config.sampling if len(config.datasets) > 1 else None,
        **asdict(config.recipe()),
        "image_size": image_size,
        "records_sha256": records_sha256,
        "policy_sha256": hashlib.sha256(json.dumps(asdict(policy)).encode()).hexdigest() if policy else None,
    }


def run_name(settings: dict[str, Any]) -> str:
    """`<dataset>-<variant>-<arch>-<aug>-s<seed>-<hash>`: other settings or records never share a folder."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    return "-".join(
        [*(settings[name] for name in ("dataset", "variant", "arch", "aug")), f"s{settings['seed']}", digest]
    )
