"""Films drawn by code."""

import functools
from fractions import Fraction

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ppcartoon.data.samples import draw_cartoon

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


def write_flash(path, moment=1.0, seconds=2.0, sound="aac", languages=("deu",), codec="libx264"):
    """Black and silent up to a moment, white and loud from then on; a track of sound for each language."""
    with av.open(str(path), "w") as out:
        picture = out.add_stream(codec, RATE, options={"g": "6"})
        picture.height, picture.width, picture.pix_fmt = 48, 64, "yuv420p"
        tracks = [out.add_stream(sound, 48000, layout="stereo") for _ in languages]
        for track, language in zip(tracks, languages):
            track.metadata["language"] = language
        for i in range(round(seconds * RATE)):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 255 * (i / RATE >= moment), np.uint8))
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            out.mux(picture.encode(frame))
        out.mux(picture.encode(None))
        t = np.arange(round(seconds * 48000)) / 48000
        for n, track in enumerate(tracks):
            wave = np.where(t >= moment, np.sin((n + 1) * 2000 * t), 0)
            for start in range(0, len(t), 960):
                both = np.repeat(np.int16(20000 * wave[start : start + 960]), 2)[None]
                frame = av.AudioFrame.from_ndarray(both, "s16", "stereo")
                frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
                out.mux(track.encode(frame))
            out.mux(track.encode(None))
    return path


def onset(path):
    """Seconds at which a film gets white, and those at which its sound gets loud."""
    with av.open(str(path)) as film:
        white = next(frame.time for frame in film.decode(video=0) if frame.to_ndarray(format="gray").mean() > 128)
        film.seek(0)
        for frame in film.decode(audio=0):
            wave = np.abs(frame.to_ndarray().astype(float))
            loud = wave[0, :: 1 if frame.format.is_planar else 2] > (
                3000 if frame.format.name.startswith("s16") else 0.1
            )
            if loud.any():
                return white, frame.time + loud.argmax() / frame.sample_rate
    raise AssertionError("silent")
