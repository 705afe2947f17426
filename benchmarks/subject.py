"""Whose inference is measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ppcartoon import weights

if TYPE_CHECKING:
    from ppcartoon.inference.predictor import CartoonPredictor


class Subject(NamedTuple):
    """The weights, named so that each process loads them by itself.

    Attributes:
        style: a shipped one.
        weights_file: one's own instead.
    """

    style: str
    weights_file: Path | None = None

    def weights(self) -> weights.Weights:
        """Raises an InputError where they cannot be loaded."""
        return weights.load(self.weights_file) if self.weights_file else weights.load_style(self.style)

    def predictor(self, threads: int, tile: int | str = "auto") -> CartoonPredictor:
        """On the CPU, by the engine that is the default there."""
        from ppcartoon.inference.predictor import CartoonPredictor

        return CartoonPredictor(**self._asdict(), device="cpu", threads=threads, tile=tile)

    def options(self) -> list[str]:
        """For the command line of `infer.py`."""
        return ["--weights", str(self.weights_file)] if self.weights_file else ["--style", self.style]
