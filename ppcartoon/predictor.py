"""CartoonPredictor: images in, cartoons out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
from PIL import Image

from . import engines, images, weights
from .errors import InputError

Source = str | os.PathLike | np.ndarray | Image.Image
DEFAULT_STYLE = "peppercarrot"
# Peak memory of ONNX Runtime a pixel and channel of G's width, measured at 8 megapixels with width 32.
BYTES_PER_PIXEL_AND_CHANNEL = 34


class CartoonPredictor:
    """Cartoonizes images of any size; several threads may share one.

    Example:
        >>> cartoon = CartoonPredictor("peppercarrot")("photo.jpg")

    Args:
        style: a shipped style, see `ppcartoon.weights.manifest()`.
        weights_file: a weights file of one's own instead of a style.
        engine: "auto", "onnx", "paddle" or "paddle-dygraph", see `ppcartoon.engines.create`.
        device: "auto", "cpu" or "gpu".
        threads: CPU threads, all cores by default.
        batch_size: how many images of one size go through the network at once, for GPUs.

    Raises:
        InputError: there is no such style, engine or device, or the weights are not to be trusted.
    """

    def __init__(
        self,
        style: str = DEFAULT_STYLE,
        *,
        weights_file: str | os.PathLike | None = None,
        engine: str = "auto",
        device: str = "auto",
        threads: int | None = None,
        batch_size: int = 1,
    ) -> None:
        self.weights = weights.load_style(style) if weights_file is None else weights.load(Path(weights_file))
        self.engine = engines.create(self.weights, engine, device, threads)
        self.batch_size = batch_size

    @overload
    def __call__(self, image: Source) -> np.ndarray: ...
    @overload
    def __call__(self, image: Sequence[Source]) -> list[np.ndarray]: ...
    def __call__(self, image: Source | Sequence[Source]) -> np.ndarray | list[np.ndarray]:
        """Cartoonizes an image, or each of a list.

        Args:
            image: path, RGB uint8 array [H, W, 3] or PIL image; transparency is ignored.

        Returns:
            RGB uint8 array [H, W, 3] of the image's height and width (as seen: EXIF orientation is applied); a list of
            them for a list.

        Raises:
            InputError: an image cannot be read, is no RGB uint8 array, or is too large for this machine's memory.
        """
        if isinstance(image, (list, tuple)):
            return self._cartoonize([_rgb(each) for each in image])
        return self._cartoonize([_rgb(image)])[0]

    def _cartoonize(self, photos: list[np.ndarray]) -> list[np.ndarray]:
        cartoons: dict[int, np.ndarray] = {}
        padded = [images.pad(photo) for photo in photos]
        for shape in dict.fromkeys(p.shape for p in padded):
            step = min(self.batch_size, self.check_memory(*shape[:2]))
            alike = [i for i, p in enumerate(padded) if p.shape == shape]
            for start in range(0, len(alike), step):
                batch = alike[start : start + step]
                try:
                    outputs = self.engine(images.to_network(np.stack([padded[i] for i in batch])))
                except Exception as error:  # each runtime has its own for a full memory
                    reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
                    raise InputError(f"{reason}; if memory is short, use a smaller size or batch") from error
                cartoons |= zip(batch, images.from_network(outputs))
        return [np.ascontiguousarray(cartoons[i][: p.shape[0], : p.shape[1]]) for i, p in enumerate(photos)]

    def check_memory(self, height: int, width: int) -> int:
        """How many images of a size fit into this machine's memory at once, at least one.

        Raises:
            InputError: not even one; the system would end the process.
        """
        height, width = height + -height % 4, width + -width % 4  # as padded
        per_pixel = BYTES_PER_PIXEL_AND_CHANNEL * self.weights.network["generator"]["channels"]
        wanted, there = height * width * per_pixel, 0.9 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if wanted > there:
            side = int((there / wanted) ** 0.5 * max(height, width)) // 4 * 4
            raise InputError(
                f"{width}x{height} needs about {wanted / 1e9:.0f} GB of memory, {there / 1e9:.0f} can be had here: "
                f"use --max-size {side}"
            )
        return int(there / wanted)


def _rgb(image: Source) -> np.ndarray:
    """RGB uint8 [H, W, 3] of whatever a caller has."""
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise InputError(f"an RGB uint8 array [H, W, 3] is expected, got {image.dtype} {list(image.shape)}")
        return image
    if isinstance(image, Image.Image):
        return images.decode(image).rgb
    if isinstance(image, (str, os.PathLike)):
        try:
            return images.read(Path(image)).rgb
        except InputError as error:
            raise InputError(f"{os.fspath(image)}: {error}") from error
    raise InputError(f"a path, a NumPy array or a PIL image is expected, got {type(image).__name__}")
