"""Chooses the size at which the network sees a photo.

Strokes have a fixed width in pixels, so the size decides how bold the drawing is. A close-up looks like a comic at 320
pixels and is hardly drawn at 768; a busy street needs 1024, since its lettering and cars dissolve at 512. So the more
edges a photo has, the larger it is shown to the network.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

SMALLEST, LARGEST, STEP = 320, 1024, 64  # pixels of the longer side, for "auto"
REFERENCE = 512  # pixels of the longer side at which edges are counted, and the size for EDGE_TARGET
EDGE = 24  # 8-bit steps of luma between neighboring pixels that make an edge
EDGE_TARGET = 0.1  # share of edge pixels for which REFERENCE is right; a weights file can have its own


def choose(photos: Sequence[np.ndarray], edge_target: float | None = None) -> int:
    """The working size for a photo, or one for all frames of a video: REFERENCE * sqrt(share of edges / target).

    Args:
        photos: the photo, or some frames, each RGB uint8 [H, W, 3].
        edge_target: share of edge pixels, in (0, 1], for which the size is `REFERENCE`; None for `EDGE_TARGET`.

    Returns:
        Pixels of the longer side, a multiple of `STEP` from `SMALLEST` to `LARGEST`.
    """
    share = float(np.mean([edge_share(photo) for photo in photos]))
    size = REFERENCE * (share / (edge_target or EDGE_TARGET)) ** 0.5
    return int(np.clip(round(size / STEP) * STEP, SMALLEST, LARGEST))


def edge_share(photo: np.ndarray) -> float:
    """The share of edge pixels of a photo, RGB uint8 [H, W, 3], reduced to `REFERENCE` pixels; in [0, 1]."""
    luma = np.int16(Image.fromarray(reduce(photo, REFERENCE)).convert("L"))
    edges = np.zeros(luma.shape, bool)
    edges[:, 1:] |= np.abs(np.diff(luma, axis=1)) > EDGE
    edges[1:] |= np.abs(np.diff(luma, axis=0)) > EDGE
    return float(edges.mean())


def reduced(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width with a longer side of `size` pixels; unchanged if it is not longer, or if `size` is 0."""
    longer = max(height, width)
    if not 0 < size < longer:
        return height, width
    return max(1, round(height * size / longer)), max(1, round(width * size / longer))


def reduce(photo: np.ndarray, size: int) -> np.ndarray:
    """A photo, RGB uint8 [H, W, 3], with a longer side of at most `size` pixels; `size` 0: unchanged."""
    height, width = reduced(*photo.shape[:2], size)
    if (height, width) == photo.shape[:2]:
        return photo
    image = Image.fromarray(photo).resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3)
    return np.asarray(image)
