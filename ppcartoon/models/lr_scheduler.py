"""Learning rate schedule."""

from __future__ import annotations

from paddle.optimizer.lr import LRScheduler


class FinalLinearDecay(LRScheduler):
    """Constant, then linear decay that would reach 0 one step after the last; never below 0.

    Args:
        learning_rate: the constant rate of stage "cartoon".
        start_epoch: epochs before the decay.
        decay_epochs: epochs of the decay; 0 for none, as in the paper.
        iters_per_epoch: steps per epoch.
        init_learning_rate: the constant rate of stage "init"; None for `learning_rate`.
        init_epochs: length of stage "init".
        init_steps: the same in steps, in place of `init_epochs`; None for `init_epochs`.
    """

    def __init__(
        self,
        learning_rate: float,
        start_epoch: int,
        decay_epochs: int,
        iters_per_epoch: int,
        init_learning_rate: float | None = None,
        init_epochs: int = 0,
        init_steps: int | None = None,
    ) -> None:
        self.end = (start_epoch + decay_epochs) * iters_per_epoch
        self.decay_steps = decay_epochs * iters_per_epoch
        self.init_steps = init_epochs * iters_per_epoch if init_steps is None else init_steps
        self.init_rate = init_learning_rate or learning_rate
        super().__init__(learning_rate)

    def get_lr(self) -> float:
        """The learning rate of step `last_epoch`, which counts steps from 0."""
        rate = self.init_rate if self.last_epoch < self.init_steps else self.base_lr
        if not self.decay_steps:
            return rate
        return rate * min(1.0, max(0, self.end - self.last_epoch) / self.decay_steps)
