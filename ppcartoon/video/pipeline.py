"""Films, GIFs and numbered images into cartoons: read, cartoonized and written at the same time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ..errors import InputError, Interrupted
from ..images import WRITABLE
from ..utils.files import atomic
from ..utils.signals import Stop, graceful_interrupt
from ..utils.threads import prefetch, write_behind
from ..utils.timecode import show_time
from .formats import ENDINGS, MUXERS, choose_codec, is_pattern

try:
    from av import FFmpegError

    from .clips import ImageSequence, TimeRange, VideoClip, fitted
    from .writer import FrameWriter, GifWriter, ImageSequenceWriter, VideoWriter
except ModuleNotFoundError as error:
    raise InputError('videos need PyAV: pip install "ppcartoon[video]"') from error


class Options(NamedTuple):
    """What is wanted of a cartoon.

    Attributes:
        start: seconds of the source that are left out.
        duration: seconds that are taken; None for all.
        max_size: pixels of the longer side at most; None for what the source has.
        side_by_side: put each picture next to its cartoon.
        codec: "h264", "h265", "vp9" or "av1"; None for what is usual in the container.
        crf: compression, from 0 for the best; None for what looks as before.
        fps: pictures a second of numbered images; None for 25.
        quality: 1 to 100, of numbered images as JPEG or WebP.
    """

    start: float = 0
    duration: float | None = None
    max_size: int | None = None
    side_by_side: bool = False
    codec: str | None = None
    crf: int | None = None
    fps: float | None = None
    quality: int = 95


class Report(NamedTuple):
    """What became of a film.

    Attributes:
        pictures: how many were cartoonized.
        seconds: of film.
        warnings: what of the source could not be had, a line each.
    """

    pictures: int
    seconds: float
    warnings: list[str]


def cartoonize(
    source: Path, target: Path, cartoonize: Callable[[np.ndarray, float], np.ndarray], options: Options | None = None
) -> Report:
    """Makes a cartoon of a film, with its sound and its times, and shows how far it is.

    Ctrl-C and SIGTERM end it early and well: the target then holds what was done so far.

    Args:
        source: any film that FFmpeg reads, or numbered images such as frames/%05d.png.
        target: .mp4, .m4v, .mov, .mkv, .webm or .gif, or numbered images; its folder is made.
        cartoonize: called with RGB uint8 [H, W, 3] and the time in seconds, from the start of what is taken, in the
            order of time and in this thread; gives a cartoon of the same shape.
        options: see there.

    Raises:
        InputError: the source cannot be read, has no picture in it, or the options do not fit; nothing is written.
        OutputError: the target cannot be written, and is as it was.
        Interrupted: by Ctrl-C or SIGTERM; the message says up to where the target goes.
    """
    options = options or Options()
    _check(target, options)
    with _clip(source, options) as clip, tqdm(total=clip.pictures, desc=source.name, unit="frame", disable=None) as bar:

        def tell() -> None:
            bar.write("stopping after this picture; once more, and nothing is kept", file=sys.stderr)

        with graceful_interrupt(tell) as stop:
            report = _run(clip, source, target, cartoonize, options, stop, bar)
    if stop:
        message = f"{target}: stopped at {show_time(report.seconds)}; it ends there, and can be played"
        raise Interrupted(message, stop.number)
    return report


def _check(target: Path, options: Options) -> None:
    """Raises an InputError where the target is none, or the options do not fit it."""
    ending = target.suffix.lower()
    if is_pattern(target):
        if ending not in WRITABLE:
            raise InputError(f"{target}: images are {', '.join(WRITABLE)}")
    elif ending in MUXERS:
        choose_codec(target, options.codec, options.crf)
    elif ending != ".gif":
        raise InputError(f"{target}: films are {', '.join(ENDINGS)}, or numbered images like %05d.png")


def _clip(source: Path, options: Options) -> VideoClip | ImageSequence:
    cut = TimeRange(options.start, float("inf") if options.duration is None else options.duration)
    if is_pattern(source):
        return ImageSequence(source, cut, options.fps and Fraction(options.fps).limit_denominator(1001))
    return VideoClip(source, cut)


@contextmanager
def _movie(clip: VideoClip | ImageSequence, source: Path, target: Path, options: Options) -> Iterator[FrameWriter]:
    """What writes the target, which appears when the block ends well; numbered images do one by one."""
    with nullcontext() if is_pattern(target) else atomic(target) as temporary:
        if temporary is None:
            movie: FrameWriter = ImageSequenceWriter(target, options.quality)
        elif target.suffix.lower() == ".gif":
            movie = GifWriter(temporary, clip, source)
        else:
            movie = VideoWriter(temporary, choose_codec(target, options.codec, options.crf), clip)
        try:
            with movie:
                yield movie
        except OSError:
            raise
        except FFmpegError as error:
            raise InputError(
                f"{target}: cannot be written ({error.strerror}); the sound of {source} may be damaged"
            ) from error


def _run(
    clip: VideoClip | ImageSequence,
    source: Path,
    target: Path,
    cartoonize: Callable[[np.ndarray, float], np.ndarray],
    options: Options,
    stop: Stop,
    bar: tqdm,
) -> Report:
    pictures, seconds = 0, 0.0
    with _movie(clip, source, target, options) as movie:
        with write_behind(movie.write) as write, prefetch(fitted(clip.moments(), options.max_size)) as moments:
            for moment in moments:
                if stop:
                    break
                try:
                    cartoon = cartoonize(moment.rgb, moment.time)
                except InputError as error:
                    raise InputError(f"{source}: {error}") from error
                write(moment._replace(rgb=np.hstack([moment.rgb, cartoon]) if options.side_by_side else cartoon))
                pictures, seconds = pictures + 1, moment.time + (moment.duration or float(1 / clip.rate))
                bar.update()
        if not pictures and stop:
            raise Interrupted(f"{source}: stopped before its first picture", stop.number)
        if not pictures:
            raise InputError(f"{source}: {'; '.join(clip.warnings) or 'has no pictures in the part that is wanted'}")
        if stop:
            movie.until = seconds
    return Report(pictures, seconds, [f"{source}: {fault}" for fault in (*clip.warnings, *movie.warnings)])
