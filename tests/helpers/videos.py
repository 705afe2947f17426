"""Writes test videos that are drawn by code."""

import functools
from fractions import Fraction

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ppcartoon.data.samples import draw_cartoon

RATE = 12
HEIGHT, WIDTH = 180, 320
BLACK = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
HALVES = {"g": "6", "sc_threshold": "0", "crf": "12"}  # for libx264: an I-frame every half second and nowhere else


@functools.cache
def square(seed, size):
    return draw_cartoon(seed, size)


def scene(seed, height=HEIGHT, width=WIDTH):
    """A drawn cartoon, RGB uint8 [height, width, 3]."""
    top = (width - height) // 2
    return square(seed, width)[top : top + height].copy()


def scenes(*seeds, seconds=1.0, height=HEIGHT, width=WIDTH):
    """The frames of several scenes in sequence."""
    return [frame for seed in seeds for frame in still(scene(seed, height, width), seconds)]


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
    """The frames that show one image for a time."""
    return [image] * round(seconds * RATE)


def fade(image, up=True, seconds=1.0):
    """The frames of a fade from black to the image, or back."""
    steps = np.linspace(0, 1, round(seconds * RATE))
    return [np.uint8(image * brightness) for brightness in (steps if up else steps[::-1])]


def write(
    path,
    frames,
    codec="libx264",
    pix_fmt="yuv420p",
    options=None,
    aspect=None,
    matrix=None,
    container=None,
    times=None,
):
    """Encodes frames, RGB uint8 [H, W, 3], in BT.601 with RATE frames per second.

    Args:
        path: of the video.
        frames: RGB uint8 [H, W, 3] each.
        codec: FFmpeg's name of the encoder.
        pix_fmt: FFmpeg's name of the pixel format.
        options: of the encoder.
        aspect: width and height of a pixel.
        matrix: the nine integers of a display matrix.
        container: FFmpeg's name of the muxer; None to choose it by the suffix.
        times: timestamps in units of 1 / RATE; None for consecutive frames.
    """
    converted = [av.VideoFrame.from_ndarray(frame).reformat(format=pix_fmt) for frame in frames]
    return write_frames(path, converted, codec, options, (5, 1, 6, 5), aspect, matrix, container, times)


def write_frames(path, frames, codec, options=None, colors=None, aspect=None, matrix=None, container=None, times=None):
    """Encodes PyAV frames, see `write`; `colors` are FFmpeg's numbers of matrix, range, transfer and primaries."""
    with av.open(str(path), "w", container) as out:
        stream = out.add_stream(codec, RATE)
        stream.height, stream.width, stream.pix_fmt = frames[0].height, frames[0].width, frames[0].format.name
        stream.options = options or ({"crf": "12"} if codec.startswith("libx") else {})
        stream.bit_rate = 4_000_000 if codec.startswith("mpeg") else 0
        if aspect:
            stream.codec_context.sample_aspect_ratio = Fraction(*aspect)
        if matrix:
            stream.set_display_matrix(matrix)
        for tagged in (stream.codec_context, *frames):
            tagged.colorspace, tagged.color_range, tagged.color_trc, tagged.color_primaries = colors
        for time, frame in zip(times or range(len(frames)), frames):
            frame.pts, frame.time_base = time, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def write_flash(path, flash=1.0, seconds=2.0, audio_codec="aac", languages=("deu",), codec="libx264"):
    """Writes a video that is black and silent up to `flash` seconds, then white and loud, with a track per language."""
    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, RATE, options={"g": "6"})
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        tracks = [out.add_stream(audio_codec, 48000, layout="stereo") for _ in languages]
        for track, language in zip(tracks, languages):
            track.metadata["language"] = language
        for i in range(round(seconds * RATE)):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 255 * (i / RATE >= flash), np.uint8))
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        t = np.arange(round(seconds * 48000)) / 48000
        for n, track in enumerate(tracks):
            wave = np.where(t >= flash, np.sin((n + 1) * 2000 * t), 0)
            for start in range(0, len(t), 960):
                stereo = np.repeat(np.int16(20000 * wave[start : start + 960]), 2)[None]
                frame = av.AudioFrame.from_ndarray(stereo, "s16", "stereo")
                frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
                out.mux(track.encode(frame))
            out.mux(track.encode(None))
    return path


def onset(path):
    """The time in seconds at which a video becomes white, and the one at which its audio becomes loud."""
    with av.open(str(path)) as video:
        white = next(frame.time for frame in video.decode(video=0) if frame.to_ndarray(format="gray").mean() > 128)
        video.seek(0)
        for frame in video.decode(audio=0):
            wave = np.abs(frame.to_ndarray().astype(float))
            loud = wave[0, :: 1 if frame.format.is_planar else 2] > (
                3000 if frame.format.name.startswith("s16") else 0.1
            )
            if loud.any():
                return white, frame.time + loud.argmax() / frame.sample_rate
    raise AssertionError(f"{path}: the audio never becomes loud")
