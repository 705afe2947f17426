"""Folders of images for tests."""

from pathlib import Path

import numpy as np
from PIL import Image

from ppcartoon.data.samples import draw_cartoon, draw_photo

DRAW = {"photos": draw_photo, "cartoons": draw_cartoon}


def drawn(root: Path, photos: int = 11, cartoons: int = 5, size: int = 32) -> Path:
    for key, count in {"photos": photos, "cartoons": cartoons}.items():
        for i in range(count):
            save(root / key / f"{i}.png", DRAW[key](i, size))
    return root


def coded(number: int, height: int, width: int) -> np.ndarray:
    """An image whose pixels hold their own position and the image's number: [y, x, number]."""
    y, x = np.mgrid[:height, :width]
    return np.uint8(np.stack([y, x, np.full_like(x, number)], -1))


def save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def pixels(item: np.ndarray) -> np.ndarray:
    """float32 [3, H, W] in [-1, 1] -> uint8 [H, W, 3]."""
    assert item.dtype == np.float32 and item.min() >= -1 and item.max() <= 1
    return np.uint8(np.round((item.transpose(1, 2, 0) + 1) * 127.5))
