"""Cartoonizes videos, GIFs and numbered images: reading, inference and writing overlap."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from tqdm import tqdm

from ..errors import InputError, Interrupted, naming
from ..images import WRITABLE
from ..utils.files import atomic
from ..utils.signals import Stop, graceful_interrupt
from ..utils.threads import prefetch, write_behind
from ..utils.timecode import show_time
from .formats import ENDINGS, MUXERS, choose_codec, is_pattern

if TYPE_CHECKING:
    from ..inference.predictor import CartoonPredictor

try:
    from av import FFmpegError

    from .clips import ImageSequence, TimeRange, VideoClip, resized
    from .media import MAX_MEGAPIXELS
    from .writer import FrameWriter, GifWriter, ImageSequenceWriter, VideoWriter
except ModuleNotFoundError as error:
    raise InputError('videos need PyAV: pip install "ppcartoon[video]"') from error

SAMPLE = 8  # frames from which the working size of a video is chosen


class VideoOptions(NamedTuple):
    """How a video is cartoonized and encoded.

    Attributes:
        start: seconds of the source to skip.
        duration: seconds of the source to cartoonize; None for all.
        max_size: maximum length of the longer side of the cartoon in pixels; None for the size of the source.
        side_by_side: put each frame next to its cartoon.
        codec: "h264", "h265", "vp9" or "av1"; None for the default of the container.
        crf: constant rate factor, 0 is the best quality; None for the default of the codec.
        fps: frames per second of numbered images; None for 25.
        quality: 1 to 100, of numbered images in JPEG or WebP.
        max_megapixels: a video of larger frames is refused; later in a video they are skipped.
    """

    start: float = 0
    duration: float | None = None
    max_size: int | None = None
    side_by_side: bool = False
    codec: str | None = None
    crf: int | None = None
    fps: float | None = None
    quality: int = 95
    max_megapixels: int = MAX_MEGAPIXELS


class VideoReport(NamedTuple):
    """The result of cartoonizing a video.

    Attributes:
        frames: number of frames that were cartoonized.
        seconds: their total duration.
        warnings: what could not be read from the source, one line each.
    """

    frames: int
    seconds: float
    warnings: list[str]


def process(
    source: Path,
    target: Path,
    cartoonize_frame: Callable[[np.ndarray, float], np.ndarray],
    options: VideoOptions | None = None,
) -> VideoReport:
    """Cartoonizes a video, with its audio and timestamps, and shows a progress bar.

    On Ctrl-C or SIGTERM it stops after the current frame; the target then contains everything up to that frame.

    Args:
        source: any video that FFmpeg reads, or numbered images such as frames/%05d.png.
        target: .mp4, .m4v, .mov, .mkv, .webm or .gif, or numbered images; its folder is created.
        cartoonize_frame: called in this thread, in order of time, with a frame, RGB uint8 [H, W, 3], and its time in
            seconds from `options.start`; returns a cartoon of the same shape.
        options: see `VideoOptions`.

    Raises:
        InputError: the source cannot be read, contains no frames, or the options do not fit; nothing is written.
        OutputError: the target cannot be written, and is unchanged.
        Interrupted: by Ctrl-C or SIGTERM; the message says at which time the target ends.
    """
    options = options or VideoOptions()
    _check(target, options)
    with (
        _open_clip(source, options) as clip,
        tqdm(total=clip.frame_count, desc=source.name, unit="frame", disable=None) as bar,
    ):

        def announce() -> None:
            bar.write("stopping after this frame; press Ctrl-C once more to discard the output", file=sys.stderr)

        with graceful_interrupt(announce) as stop:
            report = _run(clip, source, target, cartoonize_frame, options, stop, bar)
    if stop:
        message = f"{target}: stopped at {show_time(report.seconds)}; the part up to there was saved and is playable"
        raise Interrupted(message, stop.number)
    return report


def with_fixed_size(predictor: CartoonPredictor, source: Path, options: VideoOptions) -> CartoonPredictor:
    """A predictor whose working size, if it is "auto", is chosen from some frames for all of the video.

    Raises:
        InputError: the source cannot be read.
    """
    if predictor.working_size != "auto":
        return predictor
    with _open_clip(source, options) as clip:
        frames = list(clip.sample(SAMPLE))
    return predictor.replace(working_size=predictor.choose_size(frames)) if frames else predictor


def _check(target: Path, options: VideoOptions) -> None:
    """Raises an InputError for a target of unknown format, or options that do not fit it."""
    ending = target.suffix.lower()
    if is_pattern(target):
        if ending not in WRITABLE:
            raise InputError(f"{target}: unknown image format; use {', '.join(WRITABLE)}")
    elif ending in MUXERS:
        choose_codec(target, options.codec, options.crf)
    elif ending != ".gif":
        raise InputError(f"{target}: unknown video format; use {', '.join(ENDINGS)}, or numbered images like %05d.png")


def _open_clip(source: Path, options: VideoOptions) -> VideoClip | ImageSequence:
    time_range = TimeRange(options.start, float("inf") if options.duration is None else options.duration)
    if is_pattern(source):
        return ImageSequence(source, time_range, options.fps and Fraction(options.fps).limit_denominator(1001))
    return VideoClip(source, time_range, options.max_megapixels)


@contextmanager
def _open_writer(
    clip: VideoClip | ImageSequence, source: Path, target: Path, options: VideoOptions
) -> Iterator[FrameWriter]:
    """The writer of the target. A file appears when the block ends without error; numbered images appear one by one."""
    with nullcontext() if is_pattern(target) else atomic(target) as temporary:
        if temporary is None:
            writer: FrameWriter = ImageSequenceWriter(target, options.quality)
        elif target.suffix.lower() == ".gif":
            writer = GifWriter(temporary, clip, source)
        else:
            writer = VideoWriter(temporary, choose_codec(target, options.codec, options.crf), clip)
        try:
            with writer:
                yield writer
        except OSError:
            raise
        except FFmpegError as error:
            raise InputError(
                f"{target}: cannot be written ({error.strerror}); the audio of {source} may be damaged"
            ) from error


def _run(
    clip: VideoClip | ImageSequence,
    source: Path,
    target: Path,
    cartoonize_frame: Callable[[np.ndarray, float], np.ndarray],
    options: VideoOptions,
    stop: Stop,
    bar: tqdm,
) -> VideoReport:
    count, seconds = 0, 0.0
    with _open_writer(clip, source, target, options) as writer:
        with write_behind(writer.write) as write, prefetch(resized(clip.frames(), options.max_size)) as frames:
            for frame in frames:
                if stop:
                    break
                with naming(source):
                    rgb = cartoonize_frame(frame.rgb, frame.time)
                if options.side_by_side:
                    rgb = np.hstack([frame.rgb, rgb])
                write(frame._replace(rgb=rgb))
                count, seconds = count + 1, frame.time + (frame.duration or float(1 / clip.rate))
                bar.update()
        if not count and stop:
            raise Interrupted(f"{source}: stopped before its first frame; nothing was saved", stop.number)
        if not count:
            reason = (
                "; ".join(clip.warnings) or "has no frames in the selected time range; check --start and --duration"
            )
            raise InputError(f"{source}: {reason}")
        if stop:
            writer.until = seconds
    warnings = [f"{source}: {warning}" for warning in (*clip.warnings, *writer.warnings)]
    return VideoReport(count, seconds, warnings)
