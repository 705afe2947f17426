"""Sample images: photos from scikit-image, and photos and cartoons drawn from a seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..utils.libraries import needs

PALETTE = ((246, 200, 80), (226, 90, 70), (80, 150, 200), (100, 180, 120), (250, 235, 210), (150, 100, 170))


def sample_photos() -> list[Path]:
    """Four photos that come with scikit-image.

    Raises:
        InputError: scikit-image is not installed.
    """
    with needs("the sample photos"):
        from skimage import data
    names = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png")
    return [Path(data.data_dir) / name for name in names]


def draw_cartoon(seed: int, size: int) -> np.ndarray:
    """Flat shapes of few bright colors with dark outlines: RGB uint8 [size, size, 3]."""
    rng = np.random.default_rng((seed, 1))
    scale = 4  # drawn large, then reduced, so that edges are smooth
    image = Image.new("RGB", (scale * size, scale * size), PALETTE[rng.integers(len(PALETTE))])
    canvas = ImageDraw.Draw(image)
    for _ in range(8):
        left, top = rng.integers(-size, 3 * size, 2) * scale // 4
        width, height = rng.integers(size, 3 * size, 2) * scale // 5
        box = [int(v) for v in (left, top, left + width, top + height)]
        kind = (canvas.ellipse, canvas.rectangle)[rng.integers(2)]
        kind(box, fill=PALETTE[rng.integers(len(PALETTE))], outline=(30, 25, 40), width=scale * max(1, size // 48))
    return np.asarray(image.resize((size, size), Image.Resampling.BOX))


def draw_photo(seed: int, size: int) -> np.ndarray:
    """Soft light over muted blobs, with grain: RGB uint8 [size, size, 3]."""
    rng = np.random.default_rng((seed, 0))
    y, x = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j]
    image = np.zeros((size, size, 3)) + rng.uniform(0.2, 0.6, 3)
    for _ in range(8):
        (cx, cy), radius, color = rng.uniform(0, 1, 2), rng.uniform(0.1, 0.35), rng.uniform(0.1, 0.8, 3)
        inside = 1 / (1 + np.exp(((x - cx) ** 2 + (y - cy) ** 2 - radius**2) * 60))[..., None]
        image = image * (1 - inside) + color * inside
    slope = rng.uniform(-0.3, 0.3, 2)
    image = image * (1 + slope[0] * (x - 0.5) + slope[1] * (y - 0.5))[..., None] + rng.normal(0, 0.005, image.shape)
    return np.uint8(255 * np.clip(image, 0, 1))
