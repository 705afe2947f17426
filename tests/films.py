"""Films drawn by code."""

import functools
from fractions import Fraction

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ppcartoon.data.drawing import draw_cartoon

RATE = 12
HEIGHT, WIDTH = 180, 320
BLACK = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
HALVES = {"g": "6", "sc_threshold": "0", "crf": "12"}  # for libx264: an I-frame every half second, and no others


@functools.cache
def square(seed, size):
    return draw_cartoon(seed, size)


def scene(seed, height=HEIGHT, width=WIDTH):
    """A cartoon [height, width, 3]."""
    top = (width - height) // 2
    return square(seed, width)[top : top + height].copy()


def scenes(*seeds, seconds=1.0, height=HEIGHT, width=WIDTH):
    """Pictures of cartoons after each other."""
    return [picture for seed in seeds for picture in still(scene(seed, height, width), seconds)]


def letterbox(seed, bar=28):
    image = BLACK.copy()
    image[bar:-bar] = scene(seed, HEIGHT - 2 * bar)
    return image


def credits(*lines, color="white", background="black", size=14):
    image = Image.new("RGB", (WIDTH, HEIGHT), background)
    font = ImageFont.load_default(size)
    for i, line in enumerate(lines):
        ImageDraw.Draw(image).text((WIDTH // 2, 40 + 24 * i), line, color, font, "mm")
    return np.asarray(image)


def still(image, seconds=1.0):
    return [image] * round(seconds * RATE)


def fade(image, up=True, seconds=1.0):
    """From black to the image, or back."""
    steps = np.linspace(0, 1, round(seconds * RATE))
    return [np.uint8(image * share) for share in (steps if up else steps[::-1])]


def write(
    path,
    pictures,
    codec="libx264",
    pix_fmt="yuv420p",
    options=None,
    aspect=None,
    matrix=None,
    container=None,
    times=None,
):
    """Encodes pictures [H, W, 3] at RATE a second, in BT.601.

    `aspect`: of a pixel, width and height. `matrix`: nine integers that turn the picture. `times`: in frames.
    """
    frames = [av.VideoFrame.from_ndarray(picture).reformat(format=pix_fmt) for picture in pictures]
    return write_frames(path, frames, codec, options, (5, 1, 6, 5), aspect, matrix, container, times)


def write_frames(path, frames, codec, options=None, colors=None, aspect=None, matrix=None, container=None, times=None):
    """As `write`; `colors`: matrix, range, transfer and primaries, as FFmpeg numbers them, written into the stream."""
    with av.open(str(path), "w", container) as out:
        stream = out.add_stream(codec, RATE)
        stream.height, stream.width, stream.pix_fmt = frames[0].height, frames[0].width, frames[0].format.name
        stream.options = options or ({"crf": "12"} if codec.startswith("libx") else {})
        stream.bit_rate = 4_000_000 if codec.startswith("mpeg") else 0
        if aspect:
            stream.codec_context.sample_aspect_ratio = Fraction(*aspect)
        if matrix:
            stream.set_display_matrix(matrix)
        for each in (stream.codec_context, *frames):
            each.colorspace, each.color_range, each.color_trc, each.color_primaries = colors
        for time, frame in zip(times or range(len(frames)), frames):
            frame.pts, frame.time_base = time, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path
