"""Photos to measure with, made of scikit-image's, and how near two cartoons are."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageOps

from ppcartoon import images
from ppcartoon.data.samples import sample_photos

NOISE = 4.0  # of a camera, standard deviation in steps of 8 bits


def photos(count: int, height: int, width: int) -> list[np.ndarray]:
    """RGB uint8 [height, width, 3], cut and resized; from the fifth on, they come again in mirrors.

    Raises:
        InputError: scikit-image is not installed.
    """
    sources = [Image.fromarray(images.read(path).rgb) for path in sample_photos()]
    made = []
    for i in range(count):
        again, index = divmod(i, len(sources))
        rgb = np.asarray(ImageOps.fit(sources[index], (width, height)))
        made.append(np.ascontiguousarray(rgb[:: (1, -1)[again // 2 % 2], :: (1, -1)[again % 2]]))
    return made


def mosaic(cells: int, side: int) -> np.ndarray:
    """A square image of cells x cells parts of photos, in mirrors and of different brightness: uint8."""
    step, rng = math.ceil(side / cells), np.random.default_rng(0)
    sources = photos(16, 2 * step, 2 * step)
    image = np.empty((step * cells, step * cells, 3), np.uint8)
    for y in range(0, step * cells, step):
        for x in range(0, step * cells, step):
            top, left = rng.integers(0, step, 2)
            part = sources[rng.integers(16)][top : top + step, left : left + step]
            image[y : y + step, x : x + step] = np.uint8(part * rng.uniform(0.2, 1))
    return np.ascontiguousarray(image[:side, :side])


def noisy(rgb: np.ndarray, seed: int) -> np.ndarray:
    """The uint8 image with noise, made band by band."""
    rng, result = np.random.default_rng(seed), np.empty_like(rgb)
    for band, made in zip(_bands(rgb), _bands(result)):
        noise = NOISE * rng.standard_normal(band.shape, np.float32)
        made[:] = np.uint8((band + noise).clip(0, 255) + 0.5)
    return result


def _bands(rgb: np.ndarray) -> list[np.ndarray]:
    return [rgb[top : top + 256] for top in range(0, len(rgb), 256)]


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """In dB, of uint8 images; infinite where they are equal."""
    error = float(np.square(one.astype(np.float32) - other).mean())
    return 10 * math.log10(255**2 / error) if error else math.inf
