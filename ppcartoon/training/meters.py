"""Loss sums and step times of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import paddle
from paddle import Tensor


class LossMeter:
    """Collects the losses of each step and sums those of stage "cartoon" over an epoch.

    Losses stay on the device until `fetch`, so that steps do not wait for each other.

    Attributes:
        sums: sums of the current epoch by name, and `count`; saved in checkpoints.
    """

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self._pending: list[tuple[int, str, dict[str, Tensor]]] = []

    def add(self, step: int, stage: str, losses: dict[str, Tensor]) -> None:
        self._pending.append((step, stage, losses))

    def fetch(self) -> list[tuple[int, dict[str, float]]]:
        """Step number and losses of each step since the last call."""
        rows = []
        for step, stage, losses in self._pending:
            values = dict(zip(losses, paddle.stack(list(losses.values())).tolist()))
            rows.append((step, values))
            if stage == "cartoon":
                for name, value in {**values, "count": 1}.items():
                    self.sums[name] = self.sums.get(name, 0) + value
        self._pending = []
        return rows

    def end_epoch(self) -> dict[str, float]:
        """The epoch's mean losses by name, none if no step was in stage "cartoon"; resets the sums."""
        means = {name: total / self.sums["count"] for name, total in self.sums.items() if name != "count"}
        self.sums = {}
        return means


class StepTimer:
    """Seconds per step, without pauses, and how much of them is spent waiting for data."""

    def __init__(self) -> None:
        self._restart()

    def _restart(self) -> None:
        self._start, self._waited = time.perf_counter(), 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts the time in the block as waiting for data."""
        start = time.perf_counter()
        yield
        self._waited += time.perf_counter() - start

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Excludes the time in the block, such as samples and checkpoints."""
        start = time.perf_counter()
        yield
        self._start += time.perf_counter() - start

    def lap(self, steps: int) -> tuple[float, float]:
        """Seconds per step and the waiting share, in [0, 1], of the `steps` steps since the last call."""
        seconds = time.perf_counter() - self._start
        waited = self._waited
        self._restart()
        return seconds / steps, waited / seconds
