"""When to stop, and which epoch was the best."""

from dataclasses import dataclass


@dataclass(slots=True)
class EarlyStopping:
    """Watches a score of which more is better; stops after `patience` epochs without a gain of `min_delta`."""

    patience: int
    min_delta: float
    best: float = float("-inf")
    best_epoch: int = 0
    epoch: int = 0

    def improves(self, score: float) -> bool:
        """Take the next epoch's score; whether it is a new best."""
        self.epoch += 1
        if score > self.best + self.min_delta:
            self.best, self.best_epoch = score, self.epoch
            return True
        return False

    @property
    def exhausted(self) -> bool:
        """Whether the patience is spent."""
        return self.epoch - self.best_epoch >= self.patience
