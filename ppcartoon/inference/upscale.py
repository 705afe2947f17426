"""Enlarges a cartoon from the working size to the size of its photo, with crisp outlines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from ..images import BAND

SHARPEN = ImageFilter.UnsharpMask(radius=1, percent=100, threshold=0)  # radius in pixels of the cartoon


def enlarge(cartoon: np.ndarray, height: int, width: int) -> np.ndarray:
    """A cartoon at another size.

    Lanczos interpolation of the sharpened cartoon, limited at each pixel to the range of the 3x3 cartoon pixels around
    it. So edges are steep, but there are no halos, and nothing of the photo's texture comes back.

    Args:
        cartoon: RGB uint8 [h, w, 3].
        height: of the result, in pixels.
        width: of the result, in pixels.

    Returns:
        RGB uint8 [height, width, 3]; the cartoon itself if it has that size.
    """
    if cartoon.shape[:2] == (height, width):
        return cartoon
    image = Image.fromarray(cartoon)
    sharp = image.filter(SHARPEN)
    lowest, highest = (Image.fromarray(_of_3x3(pick, cartoon)) for pick in (np.minimum, np.maximum))
    result = np.empty((height, width, 3), np.uint8)
    rows = max(1, BAND // width)
    for top in range(0, height, rows):  # in bands, so that little more than the result is in memory
        bottom = min(top + rows, height)
        size = width, bottom - top
        box = (0, top * image.height / height, image.width, bottom * image.height / height)
        band = sharp.resize(size, Image.Resampling.LANCZOS, box)
        band = ImageChops.lighter(band, lowest.resize(size, Image.Resampling.BILINEAR, box))
        result[top:bottom] = ImageChops.darker(band, highest.resize(size, Image.Resampling.BILINEAR, box))
    return result


def _of_3x3(pick: Callable[[np.ndarray, np.ndarray], np.ndarray], image: np.ndarray) -> np.ndarray:
    """The minimum or maximum of the 3x3 pixels around each pixel [h, w, 3]; faster than the filters of Pillow."""
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), "edge")
    rows = pick(pick(padded[:-2], padded[1:-1]), padded[2:])
    return pick(pick(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
