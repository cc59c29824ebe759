"""The settings of a run: what is trained, on what, and how. Recommended values are data, one row per architecture."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastfer.datasets import find_dataset
from fastfer.models import timm_name
from pipelines.errors import InputError

if TYPE_CHECKING:
    from pipelines.loaders import LoaderConfig  # imports torch: --help must not wait

AUGMENTATIONS: Final = {"none": "preprocessed", "offline": "augmented", "online": "augmented"}
"""`AUG=` and the variant it trains on; `online` adds the strong policy every epoch."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Recommended optimiser settings for fine-tuning; the learning rate is for a batch of 128."""

    lr: float
    weight_decay: float


RECIPES: Final = {
    "resnet": Recipe(lr=3e-4, weight_decay=0.05),
    "efficientnet": Recipe(lr=5e-4, weight_decay=0.02),
    "vit": Recipe(lr=1e-4, weight_decay=0.05),
    "efficientvit": Recipe(lr=3e-4, weight_decay=0.05),
}
RECIPE_BATCH: Final = 128
OTHER_RECIPE: Final = Recipe(lr=3e-4, weight_decay=0.05)


PRECISIONS: Final = {"auto": None, "32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
"""`PRECISION=` and Fabric's name for it; auto takes bf16 or fp16 on a GPU that has it, 32 elsewhere."""


INCIDENTAL: Final = {"shards", "runs", "cache", "place", "verify", "workers"}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """One run. `batch` is images per step; `None` means: by the recipe, or as stored; `mixup`, `cutmix`: see `Mixing`.

    `shards`, `runs` and `cache` are the folders of all variants, of all runs, and of decoded images. They, `place`,
    `verify` (see `LoaderConfig`) and `workers` do not change the result and stay out of the run's name (`INCIDENTAL`).
    """

    dataset: str
    arch: str = "efficientnet"
    aug: str = "none"
    variant: str | None = None
    loader: str = "dali"
    epochs: int = 40
    batch: int = 128
    lr: float | None = None
    weight_decay: float | None = None
    warmup_epochs: float = 2.0
    mixup: float = 0.0
    cutmix: float = 0.0
    label_smoothing: float = 0.1
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

    def __post_init__(self) -> None:
        """Refuse impossible settings now, not after the first epoch."""
        find_dataset(self.dataset)
        if self.aug not in AUGMENTATIONS:
            raise InputError(f"no augmentation {self.aug!r}: choose one of {', '.join(AUGMENTATIONS)}")
        if self.precision not in PRECISIONS:
            raise InputError(f"no precision {self.precision!r}: choose one of {', '.join(PRECISIONS)}")
        for name in ("epochs", "batch", "patience"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: it must be at least 1")
        for name in ("mixup", "cutmix"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"{name} is {getattr(self, name)}: it must be 0 (off) or an alpha above 0")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed is {self.seed}: it must be from 0 to 4294967295")
        if self.lr is not None and self.lr <= 0:
            raise InputError(f"a learning rate of {self.lr} is impossible: it must be above 0")
        if self.weights is not None and not self.pretrained:
            raise InputError("WEIGHTS= gives weights to start from and PRETRAINED=0 asks for none: choose one")
        timm_name(self.arch)

    @property
    def trained_variant(self) -> str:
        """The variant trained on: the one asked for, or the one that goes with the augmentation."""
        return self.variant or AUGMENTATIONS[self.aug]

    @property
    def records(self) -> Path:
        """The folder of the variant trained on."""
        return self.shards / self.dataset / self.trained_variant

    def loader_config(self, split: str, device: str = "cpu") -> "LoaderConfig":
        """How `split` of the records trained on is loaded."""
        from pipelines.augment import STRONG
        from pipelines.loaders import LoaderConfig

        return LoaderConfig(
            variant=self.records,
            split=split,
            batch=self.batch,
            train=split == "train",
            seed=self.seed,
            kind=self.loader,
            device=device,
            workers=self.workers,
            cache=self.cache,
            place=self.place,
            verify=self.verify,
            policy=STRONG if self.aug == "online" else None,
        )

    def optimiser(self) -> Recipe:
        """Learning rate (scaled linearly with the batch, Goyal et al. 2017) and weight decay of this run."""
        recipe = RECIPES.get(self.arch, OTHER_RECIPE)
        return Recipe(
            lr=self.lr if self.lr is not None else recipe.lr * self.batch / RECIPE_BATCH,
            weight_decay=self.weight_decay if self.weight_decay is not None else recipe.weight_decay,
        )


def settings_of(config: TrainConfig, *, records_sha256: str, image_size: int) -> dict[str, Any]:
    """All that determines the run's result, as plain values: the contents of its `config.json`."""
    settings = {name: value for name, value in asdict(config).items() if name not in INCIDENTAL}
    optimiser = config.optimiser()
    return settings | {
        "model": timm_name(config.arch),
        "variant": config.trained_variant,
        "weights": str(config.weights) if config.weights else None,
        "lr": optimiser.lr,
        "weight_decay": optimiser.weight_decay,
        "image_size": image_size,
        "records_sha256": records_sha256,
    }


def run_name(settings: dict[str, Any]) -> str:
    """`<dataset>-<variant>-<arch>-<aug>-s<seed>-<hash>`: other settings or records never share a folder."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    return "-".join(
        [*(settings[name] for name in ("dataset", "variant", "arch", "aug")), f"s{settings['seed']}", digest]
    )
