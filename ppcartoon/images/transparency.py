"""Fills the colors under fully transparent pixels, which files leave undefined, from visible ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

ROWS = 256  # processed at once, an even number


def fill_hidden(rgb: np.ndarray, alpha: np.ndarray) -> None:
    """Replaces the colors of pixels with alpha 0, in place, by averages of visible pixels nearby.

    A pyramid (push-pull): each level halves the image, averaging visible pixels alone; what is still hidden takes its
    color from the next level. So only the visible pixels decide what a network or a filter sees around them.

    Args:
        rgb: uint8 [H, W, 3].
        alpha: uint8 [H, W].
    """
    if alpha.all():
        return
    height, width = alpha.shape
    half = np.empty((-(-height // 2), -(-width // 2), 4), np.uint8)
    for top, band, visible in _bands(rgb, alpha):
        band.putalpha(visible)
        half[top // 2 : (top + band.height + 1) // 2] = _halved(band)
    smaller = _filled(Image.fromarray(half))
    for top, band, visible in _bands(rgb, alpha):
        box = (0, top * smaller.height / height, smaller.width, (top + band.height) * smaller.height / height)
        filled = smaller.resize(band.size, Image.Resampling.BILINEAR, box)
        filled.paste(band, mask=visible)
        rgb[top : top + band.height] = filled


def _bands(rgb: np.ndarray, alpha: np.ndarray) -> Iterator[tuple[int, Image.Image, Image.Image]]:
    """The first row, colors and mask of visible pixels of each band."""
    for top in range(0, len(rgb), ROWS):
        rows = slice(top, top + ROWS)
        yield top, Image.fromarray(rgb[rows]), Image.fromarray(np.uint8(alpha[rows] > 0) * 255)


def _halved(image: Image.Image) -> Image.Image:
    """An RGBA image of half the size; a pixel is visible if one of its four is, with the average of those."""
    image = image.reduce(2)
    image.putalpha(image.getchannel("A").point(lambda alpha: 255 * (alpha > 0)))
    return image


def _filled(image: Image.Image) -> Image.Image:
    """An RGB image of an RGBA one whose alpha is 0 or 255."""
    visible = image.getchannel("A")
    if visible.getextrema()[0] or image.size == (1, 1):
        return image.convert("RGB")
    filled = _filled(_halved(image)).resize(image.size, Image.Resampling.BILINEAR)
    filled.paste(image.convert("RGB"), mask=visible)
    return filled
