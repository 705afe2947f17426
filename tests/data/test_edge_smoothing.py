"""Edge smoothing compared with a slow reference implementation."""

import cv2
import numpy as np
import pytest

from ppcartoon.data.edge_smoothing import smooth_edges
from ppcartoon.data.samples import draw_cartoon

WEIGHTS = (1, 4, 6, 4, 1)  # of a Gaussian with 5 taps, in sixteenths


def mirror(i, n):
    """-1 -> 1, n -> n - 2: the border is not repeated."""
    while n > 1 and not 0 <= i < n:
        i = -i if i < 0 else 2 * (n - 1) - i
    return i if n > 1 else 0


def reference(image):
    """Pixel by pixel: where an edge lies within two pixels, the weighted mean of 5 x 5 neighbors."""
    edges = cv2.Canny(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 100, 200)
    height, width = edges.shape
    result = image.copy()
    for y in range(height):
        for x in range(width):
            if edges[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].any():
                total = np.zeros(3, int)
                for dy, wy in enumerate(WEIGHTS, -2):
                    for dx, wx in enumerate(WEIGHTS, -2):
                        total += wy * wx * image[mirror(y + dy, height), mirror(x + dx, width)].astype(int)
                result[y, x] = (total + 128) // 256
    return result


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "image",
    [
        draw_cartoon(1, 32),
        noise(12, 17),
        noise(1, 1),
        noise(3, 3),
        noise(1, 7),
        noise(6, 2),
        draw_cartoon(2, 24)[:, ::-1],
    ],
    ids=["cartoon", "noise", "1x1", "3x3", "1x7", "6x2", "mirrored view"],
)
def test_only_dilated_edges_are_blurred(image):
    before = image.copy()
    result = smooth_edges(image)
    assert result.dtype == np.uint8
    assert (result == reference(image)).all()
    assert (image == before).all()


def test_nothing_changes_away_from_edges():
    image = np.full((20, 30, 3), 40, np.uint8)
    image[:, 15:] = 220
    changed = (smooth_edges(image) != image).any((0, 2))
    assert changed[14] and changed[15]
    assert not changed[:11].any() and not changed[19:].any()


def test_images_without_edges_are_unchanged():
    ramp = np.uint8(np.tile(np.arange(64)[None, :, None] * 2, (20, 1, 3)))
    assert (smooth_edges(ramp) == ramp).all()


def test_a_step_becomes_the_cumulative_gaussian():
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, 8:] = 240
    assert smooth_edges(image)[8, 5:11, 0].tolist() == [0, 15, 75, 165, 225, 240]  # 240 / 16 times 0, 1, 5, 11, 15, 16
