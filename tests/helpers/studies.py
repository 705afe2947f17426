"""Small user studies, in which the color of an output identifies its method."""

import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from tests.helpers.folders import save

COLORS = {"AnimeGAN": (200, 60, 40), "CartoonGAN": (40, 150, 60), "CycleGAN": (50, 80, 200)}
STYLES = "paprika", "shinkai"


def image(color, number, height=24, width=36):
    """An image of one color; one pixel depends on the photo's number."""
    rgb = np.full((height, width, 3), color, np.uint8)
    rgb[0, 0] = number
    return rgb


def write_study(
    root: Path, photos: int = 3, styles=STYLES, methods=tuple(COLORS), height: int = 24, width: int = 36
) -> Path:
    for number in range(photos):
        save(root / "photos" / f"{number}.png", image((128, 128, 128), number, height, width))
        for style in styles:
            for method in methods:
                save(root / style / method / f"{number}.png", image(COLORS[method], number, height, width))
    return root


def method_of(color) -> str:
    """The method whose outputs have this color."""
    return min(COLORS, key=lambda method: np.abs(np.subtract(COLORS[method], color)).sum())


def method_shown(png: bytes) -> str:
    return method_of(np.asarray(Image.open(io.BytesIO(png)))[-1, -1].astype(int))


def choices(page: str) -> list[str]:
    """The tokens of the images that a page offers."""
    return re.findall(r'value="([0-9a-f]{32})"', page)


def images(page: str) -> list[str]:
    """The addresses of the images on a page; the first is the photo's."""
    return re.findall(r'src="(/image/[^"]*)"', page)
