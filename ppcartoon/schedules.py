"""The learning rate over a run."""

from __future__ import annotations

from paddle.optimizer.lr import LRScheduler


class FinalLinearDecay(LRScheduler):
    """Constant, then falling on a line that would reach 0 one step after the last; never below 0.

    Args:
        learning_rate: the constant.
        start_epoch: epochs before the fall.
        decay_epochs: epochs of the fall; 0 for none, as in the paper.
        iters_per_epoch: steps of an epoch.
    """

    def __init__(self, learning_rate: float, start_epoch: int, decay_epochs: int, iters_per_epoch: int) -> None:
        self.end = (start_epoch + decay_epochs) * iters_per_epoch
        self.fall = decay_epochs * iters_per_epoch
        super().__init__(learning_rate)

    def get_lr(self) -> float:
        """The learning rate of step `last_epoch`, counted from 0."""
        if not self.fall:
            return self.base_lr
        return self.base_lr * min(1.0, max(0, self.end - self.last_epoch) / self.fall)
