"""Films drawn by code."""

from fractions import Fraction

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ppcartoon.data.drawing import draw_cartoon

RATE = 12
HEIGHT, WIDTH = 180, 320
BLACK = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


def scene(seed, height=HEIGHT, width=WIDTH):
    """A cartoon [height, width, 3]."""
    top = (width - height) // 2
    return draw_cartoon(seed, width)[top : top + height].copy()


def letterbox(seed, bar=28):
    image = BLACK.copy()
    image[bar:-bar] = scene(seed, HEIGHT - 2 * bar)
    return image


def credits(*lines, color="white", background="black"):
    image = Image.new("RGB", (WIDTH, HEIGHT), background)
    for i, line in enumerate(lines):
        ImageDraw.Draw(image).text((WIDTH // 2, 40 + 24 * i), line, color, ImageFont.load_default(14), "mm")
    return np.asarray(image)


def still(image, seconds=1.0):
    return [image] * round(seconds * RATE)


def fade(image, up=True, seconds=1.0):
    """From black to the image, or back."""
    steps = np.linspace(0, 1, round(seconds * RATE))
    return [np.uint8(image * share) for share in (steps if up else steps[::-1])]


def write(path, pictures, codec="libx264", pix_fmt="yuv420p", options=None, aspect=None, rotation=None, colors=None):
    """Encodes pictures [H, W, 3] at RATE a second.

    `colors`: (matrix, range, transfer, primaries) as ITU-T H.273 numbers them, which are written into the stream.
    """
    matrix, full, transfer, primaries = colors or (5, 1, 6, 5)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, RATE)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.options = options or {"crf": "12"}
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_trc, context.color_primaries = (
            matrix,
            full,
            transfer,
            primaries,
        )
        if aspect:
            context.sample_aspect_ratio = Fraction(*aspect)
        if rotation:
            stream.set_display_rotation(rotation)
        for i, picture in enumerate(pictures):
            kind = "rgb24" if picture.dtype == np.uint8 else "rgb48le"
            frame = av.VideoFrame.from_ndarray(picture, kind)
            frame = frame.reformat(format=pix_fmt, dst_colorspace=matrix, dst_color_range=full)
            frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries = (
                matrix,
                full,
                transfer,
                primaries,
            )
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path
