"""Images in rows and columns, as figures of papers have them: captions, red boxes, an inset."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

RED = (255, 0, 0)
Box = tuple[float, float, float, float]  # left, top, right, bottom


def cell(
    image: np.ndarray, size: tuple[int, int], boxes: Sequence[Box] = (), inset: np.ndarray | None = None
) -> Image.Image:
    """An image, scaled into a cell where it has another size, on white.

    Args:
        image: RGB uint8 [H, W, 3].
        size: width and height of the cell, in pixels.
        boxes: drawn in red, in fractions of the image.
        inset: RGB uint8 [H, W, 3], shown small in the lower right corner.
    """
    scaled = _contained(Image.fromarray(image), size)
    (width, height), pen = scaled.size, ImageDraw.Draw(scaled)
    if inset is not None:
        small = ImageOps.expand(_contained(Image.fromarray(inset), (width * 3 // 8, height * 3 // 8)), 1, "white")
        scaled.paste(small, (width - small.width, height - small.height))
    for left, top, right, bottom in boxes:
        x, y = round(left * width), round(top * height)
        corners = x, y, max(x, round(right * width) - 1), max(y, round(bottom * height) - 1)
        pen.rectangle(corners, outline=RED, width=max(1, min(size) // 80))
    framed = Image.new("RGB", size, "white")
    framed.paste(scaled, ((size[0] - width) // 2, (size[1] - height) // 2))
    return framed


def blank(size: tuple[int, int], text: str) -> Image.Image:
    """A gray cell that says why there is no image."""
    image = Image.new("RGB", size, (235, 235, 235))
    middle = size[0] / 2, size[1] / 2
    ImageDraw.Draw(image).text(middle, text, "black", _font(size[0]), anchor="mm")
    return image


def grid(
    rows: Sequence[Sequence[Image.Image]], columns: Sequence[str] = (), captions: Sequence[str] = ()
) -> np.ndarray:
    """Cells of one size with thin gaps on white.

    Args:
        rows: of cells; the last may be shorter.
        columns: captions below the columns; none for none.
        captions: beside the rows, from below upwards; none for none.

    Returns:
        RGB uint8 [H, W, 3].
    """
    width, height = rows[0][0].size
    gap = max(2, width // 64)
    below = [_label(text, width, width) for text in columns]
    beside = [_label(text, height, width).rotate(90, expand=True) for text in captions]
    left = gap + max((image.width for image in beside), default=0)
    bottom = gap + len(rows) * (height + gap)
    size = left + max(map(len, rows)) * (width + gap), bottom + max((image.height for image in below), default=0)
    canvas = Image.new("RGB", size, "white")
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            canvas.paste(image, (left + x * (width + gap), gap + y * (height + gap)))
    for y, image in enumerate(beside):
        canvas.paste(image, (left - image.width, gap + y * (height + gap)))
    for x, image in enumerate(below):
        canvas.paste(image, (left + x * (width + gap), bottom))
    return np.asarray(canvas)


def _contained(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Scaled to fit into a size; untouched where it fits exactly."""
    scale = min(size[0] / image.width, size[1] / image.height)
    return image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)


def _font(width: int) -> ImageFont.FreeTypeFont:
    """That of captions of cells of such a width."""
    return ImageFont.load_default(max(10, width // 14))


def _label(text: str, width: int, cell_width: int) -> Image.Image:
    """Black on white, `width` pixels wide, in as many lines as it takes."""
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
