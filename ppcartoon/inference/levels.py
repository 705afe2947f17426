"""Levels: black stays black and white stays white.

A network that was trained on drawings without pure black and white makes black photos dark gray and white ones light
gray. How much is a property of the style. It is measured once, and stored in the weights file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

CELL = 16  # pixels a side of the squares whose mean luma is compared; strokes average out
BLACK, WHITE = 12, 240  # luma of a photo up to which it counts as black, and from which as white
SHARE = 0.45  # of the measured shift that is removed; more gives photos without black too much contrast


def measure(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[int, int]:
    """The levels of a style: `SHARE` of the way from 0 and 255 to its median black and white.

    Args:
        pairs: photos and their cartoons, RGB uint8 [H, W, 3].

    Returns:
        The luma values of a cartoon, in [0, 255], that become 0 and 255; those themselves if no photo is that dark or
        bright.
    """
    photos, cartoons = (np.concatenate(lumas) for lumas in zip(*((_luma(p), _luma(c)) for p, c in pairs)))
    black = np.median(cartoons[photos <= BLACK]) if (photos <= BLACK).any() else 0
    white = np.median(cartoons[photos >= WHITE]) if (photos >= WHITE).any() else 255
    return round(SHARE * black), round(255 - SHARE * (255 - white))


def apply(cartoon: np.ndarray, levels: Sequence[int] | None) -> np.ndarray:
    """A cartoon, RGB uint8 [H, W, 3], whose luma between the two levels is stretched to 0..255; its chroma is kept."""
    if levels is None:
        return cartoon
    black, white = levels
    luma, *chroma = Image.fromarray(cartoon).convert("YCbCr").split()
    luma = luma.point([min(max(round((value - black) * 255 / (white - black)), 0), 255) for value in range(256)])
    return np.asarray(Image.merge("YCbCr", (luma, *chroma)).convert("RGB"))


def _luma(rgb: np.ndarray) -> np.ndarray:
    """Mean luma, float64 [N], of all whole squares of `CELL` pixels."""
    height, width = (side // CELL * CELL for side in rgb.shape[:2])
    luma = np.asarray(Image.fromarray(rgb[:height, :width]).convert("L"))
    return luma.reshape(height // CELL, CELL, width // CELL, CELL).mean((1, 3)).ravel()
