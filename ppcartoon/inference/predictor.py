"""CartoonPredictor: images in, cartoons out."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar, overload

import numpy as np
from PIL import Image

from .. import images, weights
from ..errors import InputError, UnavailableError
from ..utils import machine
from . import engines, levels, looks, tiling, upscale
from . import working_size as sizes

T = TypeVar("T")
Source = str | os.PathLike | np.ndarray | Image.Image
DEFAULT_STYLE = "peppercarrot"
SMALLEST_SIZE = 16  # pixels of a working size
MEMORY = 1.5 * 2**30  # bytes that one run of the network may use, if the machine has them


class CartoonPredictor:
    """Cartoonizes images of any size; several threads may share one.

    Example:
        >>> cartoon = CartoonPredictor("peppercarrot")("photo.jpg")

    Args:
        style: a shipped style, see `ppcartoon.weights.manifest()`.
        weights_file: a weights file of your own, .safetensors or .pdparams, instead of a style.
        engine: "auto", "openvino", "onnx", "paddle", "tensorrt" or "paddle-dygraph", see
            `ppcartoon.inference.engines.create`; or an `Engine` for the same weights, in place of the next three.
        device: "auto", "cpu" or "gpu".
        precision: "auto", "fp32", "bf16", "int8" or "fp16", see there.
        threads: CPU threads, all cores by default.
        batch_size: how many images of one size run through the network together, for GPUs.
        working_size: longer side in pixels at which the network sees a photo, and from which the cartoon is enlarged to
            the size of the photo; smaller photos are not enlarged. Smaller is bolder, larger is finer. "auto": by the
            photo's edges, from 320 to 1024, see `ppcartoon.inference.working_size`; 0: full resolution.
        keep_colors: in [0, 1], share of the photo in the colors, see `ppcartoon.inference.looks.mix`.
        strength: in [0, 1], share of the cartoon in the result, see there.
        tile: a number: larger images are processed in tiles of that many pixels a side; "auto": only images that need
            more than `MEMORY`, in tiles as large as that allows; 0: no tiles.

    Attributes:
        sizes_used: the longer sides in pixels at which the network has seen images so far.
        progress: called after each tile of an image with the number of its tiles so far, and of all; does nothing at
            first.

    Raises:
        InputError: the style, engine or device does not exist, the weights file cannot be used, or a number is out of
            range.
    """

    smaller = "--tile auto"  # what an error suggests if an image needs too much memory

    def __init__(
        self,
        style: str = DEFAULT_STYLE,
        *,
        weights_file: str | os.PathLike | None = None,
        engine: str | engines.Engine = "auto",
        device: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
        batch_size: int = 1,
        tile: int | Literal["auto"] = "auto",
        working_size: int | Literal["auto"] = "auto",
        keep_colors: float = 0.0,
        strength: float = 1.0,
    ) -> None:
        if tile not in ("auto", 0) and tile < tiling.SMALLEST:
            raise InputError(f"tile {tile}: too small, use at least {tiling.SMALLEST} pixels, auto, or 0 for none")
        self.weights = weights.load_style(style) if weights_file is None else weights.load(Path(weights_file))
        if isinstance(engine, str):
            engine = engines.create(self.weights, engine, device, threads, precision)
        self.engine = engine
        self.batch_size, self.tile, self.sizes_used = batch_size, tile, set()
        self.progress: Callable[[int, int], None] = lambda done, total: None
        self._set(working_size, keep_colors, strength)

    def _set(self, working_size: int | Literal["auto"], keep_colors: float, strength: float) -> None:
        if working_size not in ("auto", 0) and working_size < SMALLEST_SIZE:
            raise InputError(f"working_size {working_size}: use at least {SMALLEST_SIZE} pixels, auto, or 0 for all")
        looks.check(keep_colors, strength)
        self.working_size, self.keep_colors, self.strength = working_size, keep_colors, strength

    def replace(self, **changes: object) -> CartoonPredictor:
        """A predictor with another working_size, keep_colors or strength, which shares this one's engine.

        Raises:
            InputError: a number is out of range.
        """
        other = copy.copy(self)
        other._set(**{name: getattr(self, name) for name in ("working_size", "keep_colors", "strength")} | changes)
        return other

    @overload
    def __call__(self, image: Source) -> np.ndarray: ...
    @overload
    def __call__(self, image: Sequence[Source]) -> list[np.ndarray]: ...
    def __call__(self, image: Source | Sequence[Source]) -> np.ndarray | list[np.ndarray]:
        """Cartoonizes one image, or each image of a list.

        Args:
            image: path, RGB uint8 array [H, W, 3] or PIL image; transparency is ignored.

        Returns:
            RGB uint8 array [H, W, 3] of the image's height and width after its EXIF orientation is applied; a list of
            them for a list.

        Raises:
            InputError: an image cannot be read, is no RGB uint8 array, or is too large for this machine's memory.
        """
        several = isinstance(image, (list, tuple))
        photos = [_rgb(each) for each in (image if several else [image])]
        cartoons = self.draw([self.reduce(photo) for photo in photos])
        finished = [self.finish(cartoon, photo) for cartoon, photo in zip(cartoons, photos)]
        return finished if several else finished[0]

    def choose_size(self, photos: Sequence[np.ndarray]) -> int:
        """The working size for a photo, or one for all frames of a video, in pixels; 0: full resolution.

        Args:
            photos: the photo, or some frames, each RGB uint8 [H, W, 3].
        """
        return sizes.choose(photos, self.weights.edge_target) if self.working_size == "auto" else self.working_size

    def reduce(self, photo: np.ndarray) -> np.ndarray:
        """A photo, RGB uint8 [H, W, 3], at the size at which the network sees it."""
        small = sizes.reduce(photo, self.choose_size([photo]))
        self.sizes_used.add(max(small.shape[:2]))
        return small

    def finish(self, cartoon: np.ndarray, photo: np.ndarray) -> np.ndarray:
        """Corrects the levels of a cartoon, RGB uint8 [h, w, 3], enlarges it to its photo [H, W, 3], and mixes both."""
        cartoon = upscale.enlarge(levels.apply(cartoon, self.weights.levels), *photo.shape[:2])
        return looks.mix(photo, cartoon, self.keep_colors, self.strength)

    def with_stats(self, photo: np.ndarray, stats: np.ndarray | None, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        """The cartoon of a photo, and the LN statistics used: alpha * those of the photo + (1 - alpha) * `stats`.

        Args:
            photo: RGB uint8 [H, W, 3], at the size at which the network sees it, see `reduce`.
            stats: LN statistics, float32 [1, L, 2], as returned for another photo; ignored if alpha is 1.
            alpha: in [0, 1].

        Returns:
            RGB uint8 [H, W, 3] and float32 [1, L, 2].

        Raises:
            InputError: the photo is too large for this machine's memory.
        """
        height, width = photo.shape[:2]

        def run(tile: int) -> tuple[np.ndarray, np.ndarray]:
            if not tile:
                padded = images.to_network(images.pad(photo)[None])
                cartoons, used = self.engine.run_blended(padded, stats, alpha)
                return np.ascontiguousarray(images.from_network(cartoons)[0, :height, :width]), used
            used = stats
            if alpha == 1:
                used = self._sampled_stats(photo)[None]
            elif alpha > 0:
                own = self._sampled_stats(photo, tiling.SAMPLES // 4)
                used = np.float32(alpha * own + (1 - alpha) * stats)
            return tiling.cartoonize_tiles(self.engine, photo, tile, used[0], self.progress), used

        return self._in_memory(run, height, width)

    def draw(self, photos: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Runs the network on photos from `reduce`, RGB uint8 [h, w, 3]; `finish` turns the results into cartoons.

        Raises:
            InputError: a photo is too large for this machine's memory.
        """
        cartoons: list[np.ndarray] = [photo[:0] for photo in photos]
        for indices in images.by_shape(photos):
            size = photos[indices[0]].shape[:2]
            step = self._max_batch(*size)
            for start in range(0, len(indices), step):
                batch = indices[start : start + step]
                run = partial(self._run, [photos[i] for i in batch])
                for i, cartoon in zip(batch, self._in_memory(run, *size)):
                    cartoons[i] = cartoon
        return cartoons

    def _in_memory(self, run: Callable[[int], T], height: int, width: int) -> T:
        """Calls `run` with the size of tiles for an image; if that fails, with smaller and smaller ones in `auto`.

        Raises:
            InputError: `run` fails with the smallest tiles, too; each runtime raises another error if memory runs out.
        """
        tile = self.tile_size(height, width)
        while True:
            try:
                return run(tile)
            except UnavailableError:
                raise
            except Exception as error:
                if self.tile != "auto" or tile == tiling.SMALLEST:
                    reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
                    raise InputError(f"{reason}; if memory is short, use a smaller size, tile or batch") from error
            tile = max((tile or max(height, width)) // 8 * 4, tiling.SMALLEST)

    def _run(self, photos: list[np.ndarray], tile: int) -> Iterable[np.ndarray]:
        """Cartoons of photos of one shape, in tiles unless `tile` is 0."""
        if tile:
            return [
                tiling.cartoonize_tiles(self.engine, photo, tile, self._sampled_stats(photo), self.progress)
                for photo in photos
            ]
        height, width = photos[0].shape[:2]
        outputs = self.engine(images.to_network(np.stack([images.pad(photo) for photo in photos])))
        return np.ascontiguousarray(images.from_network(outputs[:, :, :height, :width]))

    def _sampled_stats(self, photo: np.ndarray, count: int = tiling.SAMPLES) -> np.ndarray:
        """LN statistics [L, 2] of a photo [H, W, 3], from about `count` samples, or fewer if memory is short."""
        return tiling.sampled_stats(
            self.engine, photo, min(count, int(self._pixels(_memory_of_a_run()) / tiling.SIDE**2))
        )

    def _pixels(self, memory: float) -> float:
        """How many pixels the network can process at once in `memory` bytes."""
        channels = max(self.weights.network["generator"]["channels"], 16)  # below 16 the images need most memory
        return memory / (self.engine.bytes_per_pixel * channels)

    def _max_batch(self, height: int, width: int) -> int:
        return max(1, min(self.batch_size, int(self._pixels(_memory_of_a_run()) / (height * width))))

    def tile_size(self, height: int, width: int) -> int:
        """Side in pixels of the tiles that an image is processed in; 0 for an image that is processed whole.

        Args:
            height: of the image, before it is reduced to the working size.
            width: of the image.

        Raises:
            InputError: the image needs more memory than this machine has.
        """
        height, width = sizes.reduced(
            height, width, sizes.LARGEST if self.working_size == "auto" else self.working_size
        )
        memory, largest = machine.memory(), self._pixels(_memory_of_a_run())
        if self.tile == "auto":
            tile, whole = max(int(largest**0.5) - 2 * tiling.MARGIN, tiling.SMALLEST), height * width <= largest
        else:
            tile, whole = self.tile, self.tile == 0 or max(height, width) <= self.tile
        size = (height, width) if whole else (min(side, tile + 2 * tiling.MARGIN) for side in (height, width))
        if math.prod(size) > self._pixels(0.9 * memory):
            what = f"{width}x{height} needs" if whole else f"tile {tile}: needs"
            raise InputError(f"{what} more than the {memory / 1e9:.2g} GB of memory here: use {self.smaller}")
        return 0 if whole else tile // 4 * 4


def _memory_of_a_run() -> float:
    """Bytes that one run of the network may use here."""
    return min(MEMORY, machine.memory() / 4)


def _rgb(image: Source) -> np.ndarray:
    """RGB uint8 [H, W, 3] of a path, array or PIL image."""
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise InputError(f"an RGB uint8 array [H, W, 3] is expected, got {image.dtype} {list(image.shape)}")
        return image
    if isinstance(image, Image.Image):
        return images.decode(image).rgb
    if isinstance(image, (str, os.PathLike)):
        return images.read(Path(image)).rgb
    raise InputError(f"a path, a NumPy array or a PIL image is expected, got {type(image).__name__}")
