"""Notices during training when G's outputs hardly depend on their photos any more."""

from __future__ import annotations

from collections import deque

import numpy as np
import paddle.nn.functional as F
from paddle import Tensor

from ..models import losses

CELLS = 8  # an image is compared by the mean luma of CELLS x CELLS parts of it
IMAGES = 16  # the last images that are compared with each other
THRESHOLD = (
    0.1  # of `dependence`; in docs/dashboards.md at most 0.04 in the collapsed run, at least 0.18 in the healthy
)


def dependence(photos: np.ndarray, outputs: np.ndarray) -> float:
    """How much of the differences between photos is left in their outputs.

    That is the slope of the regression of outputs on photos, both without their mean over the images: 1 if the outputs
    differ from each other as their photos do; 0 if they are all the same, or differ in another way than their photos.

    Args:
        photos: [N, K], K values of each photo.
        outputs: [N, K], the same of its output.
    """
    photos, outputs = photos - photos.mean(0), outputs - outputs.mean(0)
    return float((photos * outputs).sum() / max((photos**2).sum(), 1e-12))


class CollapseAlarm:
    """Compares the last images of a run; raises the alarm once each time that the dependence falls below THRESHOLD."""

    def __init__(self) -> None:
        self._pairs: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=IMAGES)
        self._raised = False

    def add(self, photos: Tensor, outputs: Tensor) -> float | None:
        """Adds a batch.

        Args:
            photos: [N, 3, H, W] in [-1, 1].
            outputs: of G, the same shape.

        Returns:
            The dependence if this is an alarm, otherwise None.
        """
        self._pairs.extend(zip(_cells(photos), _cells(outputs)))
        if len(self._pairs) < IMAGES:
            return None
        value = dependence(*(np.stack(side) for side in zip(*self._pairs)))
        before, self._raised = self._raised, value < THRESHOLD
        return value if self._raised and not before else None


def _cells(images: Tensor) -> np.ndarray:
    luma = losses.yuv(images.detach())[:, :1]
    return F.adaptive_avg_pool2d(luma, CELLS).flatten(1).numpy()
