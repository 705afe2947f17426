"""CycleGAN's image pool, resumable: outputs of earlier steps, so that G cannot deceive D by changing back and forth."""

from __future__ import annotations

import random

import numpy as np
import paddle
from paddle import Tensor

from .. import ppgan_compat  # noqa: F401  before ppgan, which it makes importable

# isort: split
from ppgan.utils import image_pool


class ImagePool(image_pool.ImagePool):
    """ppgan's pool: `query(images)` stores images and returns earlier ones in place of about half of them.

    Python's random generator chooses. Images must be detached, as the pool keeps them with their graph.

    Args:
        pool_size: number of images; with 0, `query` returns its images.
    """

    def __init__(self, pool_size: int) -> None:
        super().__init__(pool_size)
        self.images: list[Tensor] = []
        self.num_imgs = 0

    def draw(self, count: int) -> Tensor:
        """`count` stored images, chosen at random with replacement; the pool must not be empty."""
        return paddle.concat(random.choices(self.images, k=count))

    def fit(self, images: Tensor) -> None:
        """Empties the pool if its images have another size, because the run was resumed with other crops."""
        if self.images and self.images[0].shape[1:] != images.shape[1:]:
            self.images, self.num_imgs = [], 0

    def state(self) -> np.ndarray | None:
        """The stored images, [n, 3, H, W]; None if there are none."""
        return paddle.concat(self.images).numpy() if self.images else None

    def load(self, state: np.ndarray | None) -> None:
        """Restores what `state` returned, at most `pool_size` images."""
        images = [] if state is None else state[: self.pool_size]
        self.images = [paddle.to_tensor(image[None]) for image in images]
        self.num_imgs = len(self.images)
