"""The learning rate over a run."""

from __future__ import annotations

from paddle.optimizer.lr import LRScheduler


class FinalLinearDecay(LRScheduler):
    """Constant, then falling on a line that would reach 0 one step after the last; never below 0.

    Args:
        learning_rate: the constant, of stage "cartoon".
        start_epoch: epochs before the fall.
        decay_epochs: epochs of the fall; 0 for none, as in the paper.
        iters_per_epoch: steps of an epoch.
        init_learning_rate: the constant of stage "init"; None for the same.
        init_epochs: length of stage "init".
    """

    def __init__(
        self,
        learning_rate: float,
        start_epoch: int,
        decay_epochs: int,
        iters_per_epoch: int,
        init_learning_rate: float | None = None,
        init_epochs: int = 0,
    ) -> None:
        self.end = (start_epoch + decay_epochs) * iters_per_epoch
        self.fall = decay_epochs * iters_per_epoch
        self.init_steps, self.init_rate = init_epochs * iters_per_epoch, init_learning_rate or learning_rate
        super().__init__(learning_rate)

    def get_lr(self) -> float:
        """The learning rate of step `last_epoch`, counted from 0."""
        rate = self.init_rate if self.last_epoch < self.init_steps else self.base_lr
        if not self.fall:
            return rate
        return rate * min(1.0, max(0, self.end - self.last_epoch) / self.fall)
