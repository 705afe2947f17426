"""CartoonPredictor: images in, cartoons out."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, overload

import numpy as np
from PIL import Image

from .. import images, weights
from ..errors import InputError
from . import engines, tiling

Source = str | os.PathLike | np.ndarray | Image.Image
DEFAULT_STYLE = "peppercarrot"
MEMORY = 1.5 * 2**30  # bytes that the network may take at once, if the machine has more


class CartoonPredictor:
    """Cartoonizes images of any size; several threads may share one.

    Example:
        >>> cartoon = CartoonPredictor("peppercarrot")("photo.jpg")

    Args:
        style: a shipped style, see `ppcartoon.weights.manifest()`.
        weights_file: a weights file of one's own instead of a style.
        engine: "auto", "openvino", "onnx", "paddle", "tensorrt" or "paddle-dygraph", see
            `ppcartoon.inference.engines.create`.
        device: "auto", "cpu" or "gpu".
        precision: "auto", "fp32", "bf16" or "fp16", likewise.
        threads: CPU threads, all cores by default.
        batch_size: how many images of one size go through the network at once, for GPUs.
        tile: "auto": images that would take more than `MEMORY` are made of tiles, as large as that allows; pixels of a
            tile's side for all images larger than a tile; 0: never.

    Raises:
        InputError: there is no such style, engine or device, or the weights are not to be trusted.
    """

    smaller = "--tile auto"  # what to use where memory is short

    def __init__(
        self,
        style: str = DEFAULT_STYLE,
        *,
        weights_file: str | os.PathLike | None = None,
        engine: str = "auto",
        device: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
        batch_size: int = 1,
        tile: int | Literal["auto"] = "auto",
    ) -> None:
        if tile not in ("auto", 0) and tile < tiling.SMALLEST:
            raise InputError(f"tile {tile}: too small, take at least {tiling.SMALLEST} pixels, auto, or 0 for none")
        self.weights = weights.load_style(style) if weights_file is None else weights.load(Path(weights_file))
        self.engine = engines.create(self.weights, engine, device, threads, precision)
        self.batch_size, self.tile = batch_size, tile

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

    def blended(self, photo: np.ndarray, given: np.ndarray | None, share: float) -> tuple[np.ndarray, np.ndarray]:
        """As `Engine.run_blended`, for an RGB uint8 array [H, W, 3], or as `Engine.measured` if nothing is given.

        Raises:
            InputError: the photo is too large for this machine's memory.
        """
        height, width = photo.shape[:2]
        tile = self.tile_size(height, width)
        with _as_input_error():
            if tile:
                if given is None:
                    statistics = self._sampled(photo)[None]
                elif share == 0:
                    statistics = given
                else:
                    statistics = np.float32(share * self._sampled(photo, tiling.SAMPLES // 4) + (1 - share) * given)
                return tiling.cartoonize(self.engine, photo, tile, statistics[0]), statistics
            padded = images.to_network(images.pad(photo)[None])
            if given is None:
                cartoons, statistics = self.engine.measured(padded)
            else:
                cartoons, statistics = self.engine.run_blended(padded, given, share)
        return np.ascontiguousarray(images.from_network(cartoons)[0, :height, :width]), statistics

    def _cartoonize(self, photos: list[np.ndarray]) -> list[np.ndarray]:
        cartoons: list[np.ndarray] = [photo[:0] for photo in photos]
        for shape in dict.fromkeys(photo.shape for photo in photos):
            alike = [i for i, photo in enumerate(photos) if photo.shape == shape]
            tile, step = self.tile_size(*shape[:2]), self._max_batch(*shape[:2])
            for start in range(0, len(alike), step):
                batch = alike[start : start + step]
                with _as_input_error():
                    for i, cartoon in zip(batch, self._run([photos[i] for i in batch], tile)):
                        cartoons[i] = cartoon
        return cartoons

    def _run(self, photos: list[np.ndarray], tile: int) -> Iterable[np.ndarray]:
        """Cartoons of photos of one shape, by tiles unless `tile` is 0."""
        if tile:
            return [tiling.cartoonize(self.engine, photo, tile, self._sampled(photo)) for photo in photos]
        height, width = photos[0].shape[:2]
        outputs = self.engine(images.to_network(np.stack([images.pad(photo) for photo in photos])))
        return np.ascontiguousarray(images.from_network(outputs[:, :, :height, :width]))

    def _sampled(self, photo: np.ndarray, count: int = tiling.SAMPLES) -> np.ndarray:
        """The LN statistics [L, 2] of a photo [H, W, 3], measured on about so many samples of it, as memory allows."""
        return tiling.statistics(self.engine, photo, min(count, int(self._pixels() / tiling.SIDE**2)))

    def _pixels(self, memory: float = MEMORY) -> float:
        """How many pixels the network can take at once, in so many bytes."""
        channels = max(self.weights.network["generator"]["channels"], 16)  # narrower ones spend it on their images
        return memory / (self.engine.bytes_per_pixel * channels)

    def _max_batch(self, height: int, width: int) -> int:
        return max(1, min(self.batch_size, int(self._pixels() / (height * width))))

    def tile_size(self, height: int, width: int) -> int:
        """The side of the tiles, in pixels, that an image is made of; 0 where it is made whole.

        Raises:
            InputError: that takes more memory than this machine has; the system would end the process.
        """
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        largest = self._pixels(min(MEMORY, there / 4))
        if self.tile == "auto":
            tile, whole = max(int(largest**0.5) - 2 * tiling.MARGIN, tiling.SMALLEST), height * width <= largest
        else:
            tile, whole = self.tile, self.tile == 0 or max(height, width) <= self.tile
        taken = (height, width) if whole else (min(side, tile + 2 * tiling.MARGIN) for side in (height, width))
        if math.prod(taken) > self._pixels(0.9 * there):
            what = f"{width}x{height} needs" if whole else f"tile {tile}: needs"
            raise InputError(f"{what} more than the {there / 1e9:.0f} GB of memory here: use {self.smaller}")
        return 0 if whole else tile // 4 * 4


@contextmanager
def _as_input_error() -> Iterator[None]:
    """Turns what a runtime raises, each its own for a full memory, into an InputError."""
    try:
        yield
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise InputError(f"{reason}; if memory is short, use a smaller size, tile or batch") from error


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
