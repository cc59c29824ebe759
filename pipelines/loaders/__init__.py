"""From records to batches on the device. Every loader keeps one contract (`tests/pipelines/loaders`)."""

from pipelines.loaders.base import Batch, Loader, LoaderState
from pipelines.loaders.config import CACHE, LOADERS, LoaderConfig
from pipelines.loaders.joint import open_joint
from pipelines.loaders.opening import choose_loader, open_loader, settled
from pipelines.loaders.prefetch import prefetched

__all__ = [
    "CACHE",
    "LOADERS",
    "Batch",
    "Loader",
    "LoaderConfig",
    "LoaderState",
    "choose_loader",
    "open_joint",
    "open_loader",
    "prefetched",
    "settled",
]
