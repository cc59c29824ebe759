"""What a run tells of each epoch: `epochs.csv` and TensorBoard."""

import csv
import io
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from fastfer.training.gpu_use import GpuUse
from pipelines.records import write_atomically

EPOCHS_NAME = "epochs.csv"


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochRow:
    """One line of `epochs.csv`; losses are cross-entropies in nats, accuracies and macro-F1 in 0..1.

    Training loss and accuracy are averages over the epoch's (augmented) batches. None means not measured.
    `peak_gpu_mib` is what torch has reserved, `gpu_memory_mib` what NVML gives to the process and those below it; both,
    `energy_j` and `gpu_utilisation` (0..1) are of the first process's device.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    val_balanced_accuracy: float
    val_macro_f1: float
    lr: float
    seconds: float
    train_seconds: float
    images_per_s: float
    loader_wait_s: float
    peak_rss_mib: float
    peak_gpu_mib: float | None
    energy_j: float | None = None  # checkpoints of before there were these lack them
    gpu_utilisation: float | None = None
    gpu_memory_mib: float | None = None

    @property
    def gpu_use(self) -> GpuUse:
        """What the epoch took of the device."""
        return GpuUse(self.seconds, self.energy_j, self.gpu_utilisation, self.gpu_memory_mib)


def median_speed(folder: Path) -> float | None:
    """Images per second of a run's training, the median of its epochs; None if none is logged."""
    path = folder / EPOCHS_NAME
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        return statistics.median(float(row["images_per_s"]) for row in csv.DictReader(file))


class EpochLog:
    """Writes the rows of a run after each epoch, whole, so that no reader sees half a line.

    `epochs` were logged before: what TensorBoard's file says of later ones no longer counts.
    """

    def __init__(self, folder: Path, epochs: int) -> None:
        self._path = folder / EPOCHS_NAME
        self._tensorboard = SummaryWriter(str(folder), purge_step=epochs + 1)

    def write(self, rows: Sequence[EpochRow]) -> None:
        """All epochs; the last one is new."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [field.name for field in fields(EpochRow)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
        write_atomically(self._path, text.getvalue().encode())
        for name, value in asdict(rows[-1]).items():
            if name != "epoch" and value is not None:
                self._tensorboard.add_scalar(name.replace("_", "/", 1), value, rows[-1].epoch)

    def close(self) -> None:
        """Flush and close TensorBoard's file."""
        self._tensorboard.close()
