"""FID and KID as ppgan metrics: `CartoonFID` and `CartoonKID` in its registry and in section `validate` of a config."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import paddle
from paddle import Tensor

from .. import images
from .features import extractor
from .fid import frechet_distance, kid, statistics

shared_extractor = functools.cache(extractor)  # metrics of the same features share a network


class FeatureDistance(paddle.metric.Metric):
    """Base class of distances between the features of two sets of images.

    Args:
        features: see `features.extractor`.
        weights_file: see `features.extractor`.

    Raises:
        InputError: the features are unknown, or their weights cannot be downloaded or read.
    """

    def __init__(self, features: str = "inception", weights_file: str | None = None) -> None:
        super().__init__()
        self.extractor = shared_extractor(features, weights_file and Path(weights_file).expanduser())
        self.reset()

    def reset(self) -> None:
        self._preds, self._gts = [], []

    def update(self, preds: Tensor | np.ndarray, gts: Tensor | np.ndarray) -> None:
        """Adds cartoons and reference images, [N, 3, H, W] in [-1, 1] each; N and the sizes may differ."""
        for features, batch in ((self._preds, preds), (self._gts, gts)):
            features.append(self.extractor(images.from_network(np.asarray(batch))))

    def accumulate(self) -> float:
        """The distance between all images since the last reset."""
        return self.measure(np.concatenate(self._preds), np.concatenate(self._gts))[""]

    def measure(self, one: np.ndarray, other: np.ndarray) -> dict[str, float]:
        """The distance of features [M, D] and [N, D], with related values, by the suffix of their names in the logs."""
        raise NotImplementedError

    def name(self) -> str:
        return type(self).__name__


class CartoonFID(FeatureDistance):
    """The Fréchet distance; FID for Inception features."""

    def measure(self, one: np.ndarray, other: np.ndarray) -> dict[str, float]:
        return {"": frechet_distance(statistics(one), statistics(other))}


class CartoonKID(FeatureDistance):
    """The kernel distance with its standard error; KID for Inception features."""

    def measure(self, one: np.ndarray, other: np.ndarray) -> dict[str, float]:
        found = kid(one, other)
        return {"": found.value, "_error": found.standard_error}
