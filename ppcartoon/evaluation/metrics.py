"""FID and KID as metrics of ppgan: `CartoonFID` and `CartoonKID` in its registry, and under `validate:` of a config."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import paddle
from paddle import Tensor

from .. import images
from .features import extractor
from .fid import frechet_distance, kid, statistics

shared = functools.cache(extractor)  # metrics of the same features have one network


class FeatureDistance(paddle.metric.Metric):
    """A distance of two sets of images by their features.

    Args:
        features: see `features.extractor`.
        weights_file: likewise.

    Raises:
        InputError: there are no such features, or their weights cannot be had.
    """

    def __init__(self, features: str = "inception", weights_file: str | None = None) -> None:
        super().__init__()
        self.extractor = shared(features, weights_file and Path(weights_file).expanduser())
        self.reset()

    def reset(self) -> None:
        self._preds, self._gts = [], []

    def update(self, preds: Tensor | np.ndarray, gts: Tensor | np.ndarray) -> None:
        """Takes cartoons and what they are compared to, [N, 3, H, W] in [-1, 1] each, of any numbers and sizes."""
        for kept, batch in ((self._preds, preds), (self._gts, gts)):
            kept.append(self.extractor(images.from_network(np.asarray(batch))))

    def accumulate(self) -> float:
        """The distance of all since the last reset."""
        return self.measure(np.concatenate(self._preds), np.concatenate(self._gts))[""]

    def measure(self, one: np.ndarray, other: np.ndarray) -> dict[str, float]:
        """The distance of features [M, D] and [N, D], and what belongs to it, by the ending of its name in logs."""
        raise NotImplementedError

    def name(self) -> str:
        return type(self).__name__


class CartoonFID(FeatureDistance):
    """The Fréchet distance; FID where the features are Inception's."""

    def measure(self, one: np.ndarray, other: np.ndarray) -> dict[str, float]:
        return {"": frechet_distance(statistics(one), statistics(other))}


class CartoonKID(FeatureDistance):
    """The kernel distance, KID where the features are Inception's, with its standard error."""

    def measure(self, one: np.ndarray, other: np.ndarray) -> dict[str, float]:
        found = kid(one, other)
        return {"": found.value, "_error": found.standard_error}
