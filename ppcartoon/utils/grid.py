"""Grids of images for figures and contact sheets, with captions, red boxes and insets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

RED = (255, 0, 0)
Box = tuple[float, float, float, float]  # left, top, right, bottom


def cell(
    image: np.ndarray, size: tuple[int, int], boxes: Sequence[Box] = (), inset: np.ndarray | None = None
) -> Image.Image:
    """An image scaled to fit into a cell, centered on white.

    Args:
        image: RGB uint8 [H, W, 3].
        size: width and height of the cell in pixels.
        boxes: drawn in red; in fractions of the image size.
        inset: RGB uint8 [H, W, 3], shown in the lower right corner at 3/8 of the size.
    """
    scaled = _fit(Image.fromarray(image), size)
    (width, height), pen = scaled.size, ImageDraw.Draw(scaled)
    if inset is not None:
        small = ImageOps.expand(_fit(Image.fromarray(inset), (width * 3 // 8, height * 3 // 8)), 1, "white")
        scaled.paste(small, (width - small.width, height - small.height))
    for left, top, right, bottom in boxes:
        x, y = round(left * width), round(top * height)
        corners = x, y, max(x, round(right * width) - 1), max(y, round(bottom * height) - 1)
        pen.rectangle(corners, outline=RED, width=max(1, min(size) // 80))
    framed = Image.new("RGB", size, "white")
    framed.paste(scaled, ((size[0] - width) // 2, (size[1] - height) // 2))
    return framed


def blank(size: tuple[int, int], text: str) -> Image.Image:
    """A gray cell with a text that says why the image is missing."""
    image = Image.new("RGB", size, (235, 235, 235))
    center = size[0] / 2, size[1] / 2
    ImageDraw.Draw(image).text(center, text, "black", _font(size[0]), anchor="mm")
    return image


def grid(
    rows: Sequence[Sequence[Image.Image]], columns: Sequence[str] = (), captions: Sequence[str] = ()
) -> np.ndarray:
    """Arranges cells of equal size in a grid, with thin white gaps.

    Args:
        rows: of cells; the last may be shorter.
        columns: captions below the columns, if any.
        captions: captions to the left of the rows, rotated to read upward, if any.

    Returns:
        RGB uint8 [H, W, 3].
    """
    width, height = rows[0][0].size
    gap = max(2, width // 64)
    below = [_label(text, width, width) for text in columns]
    labels = [_label(text, height, width).rotate(90, expand=True) for text in captions]
    left = gap + max((image.width for image in labels), default=0)
    bottom = gap + len(rows) * (height + gap)
    size = left + max(map(len, rows)) * (width + gap), bottom + max((image.height for image in below), default=0)
    canvas = Image.new("RGB", size, "white")
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            canvas.paste(image, (left + x * (width + gap), gap + y * (height + gap)))
    for y, image in enumerate(labels):
        canvas.paste(image, (left - image.width, gap + y * (height + gap)))
    for x, image in enumerate(below):
        canvas.paste(image, (left + x * (width + gap), bottom))
    return np.asarray(canvas)


def contact_sheet(images: Iterable[np.ndarray], height: int = 256, columns: int = 2) -> np.ndarray:
    """Images scaled to one height, `columns` in a row, on white; RGB uint8 [H, W, 3] in and out."""
    tiles = [
        Image.fromarray(image).resize(
            (max(1, round(image.shape[1] * height / image.shape[0])), height), Image.Resampling.LANCZOS
        )
        for image in images
    ]
    rows = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
    gap = 8
    width = max(sum(tile.width + gap for tile in row) for row in rows) + gap
    canvas = Image.new("RGB", (width, len(rows) * (height + gap) + gap), "white")
    for i, row in enumerate(rows):
        x = gap
        for tile in row:
            canvas.paste(tile, (x, gap + i * (height + gap)))
            x += tile.width + gap
    return np.asarray(canvas)


def _fit(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The image scaled to fit into a size; unchanged if it fits exactly."""
    scale = min(size[0] / image.width, size[1] / image.height)
    return image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)


def _font(width: int) -> ImageFont.FreeTypeFont:
    """The caption font for cells of the given width."""
    return ImageFont.load_default(max(10, width // 14))


def _label(text: str, width: int, cell_width: int) -> Image.Image:
    """Wrapped text, black on white, `width` pixels wide."""
    font, lines = _font(cell_width), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    text, margin = "\n".join(lines), font.size // 3
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    height = math.ceil(pen.multiline_textbbox((0, 0), text, font)[3]) + 2 * margin
    image = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(image).multiline_text((width / 2, margin), text, "black", font, anchor="ma", align="center")
    return image
