"""From records to batches on the device. Every loader keeps one contract (`tests/pipelines/loaders`)."""

from pipelines.loaders.base import LOADERS, Batch, Loader, LoaderConfig, LoaderState, open_loader

__all__ = ["LOADERS", "Batch", "Loader", "LoaderConfig", "LoaderState", "open_loader"]
