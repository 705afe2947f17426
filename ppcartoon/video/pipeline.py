"""Cartoonizes videos, animated images and numbered images: reading, inference and writing overlap."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from tqdm import tqdm

from ..errors import InputError, Interrupted, naming
from ..images import WRITABLE, Picture, animated_format, side_by_side
from ..utils.files import atomic, remove, replace
from ..utils.libraries import needs
from ..utils.signals import Stop, graceful_interrupt
from ..utils.threads import prefetch, write_behind
from ..utils.timecode import show_time
from .formats import ANIMATED_ENDINGS, ENDINGS, MUXERS, choose_codec, is_pattern, partial

if TYPE_CHECKING:
    from ..inference.predictor import CartoonPredictor

with needs("videos"):
    from av import FFmpegError

    from .animations import ApngWriter, GifWriter, WebpWriter
    from .clips import AnimatedImage, Clip, ImageSequence, TimeRange, VideoClip, reduced
    from .media import MAX_MEGAPIXELS
    from .reader import Frame
    from .writer import FrameWriter, ImageSequenceWriter, VideoWriter

SAMPLE = 8  # frames from which the working size of a video is chosen
MEASURED = 4  # frames after which the time for all is estimated, by the fastest: some of them prepare the network


class VideoOptions(NamedTuple):
    """How a video is cartoonized and encoded.

    Attributes:
        start: seconds of the source to skip.
        duration: seconds of the source to cartoonize; None for all.
        max_size: maximum length of the longer side of the cartoon in pixels; None for the size of the source.
        side_by_side: put each frame next to its cartoon.
        codec: "h264", "h265", "vp9", "av1" or "prores"; None for the default of the container.
        crf: constant rate factor, 0 is the best quality; None for the default of the codec.
        fps: frames per second of numbered images, or pages of a TIFF; None for 25.
        quality: 1 to 100, of JPEG and WebP.
        skip_existing: keep numbered images of the target that exist, and cartoonize only the others.
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
    skip_existing: bool = False
    max_megapixels: int = MAX_MEGAPIXELS


class Estimate(NamedTuple):
    """What is known about a run after the first frames of a video.

    Attributes:
        size: width and height of the frames in pixels.
        frames: approximate number of all; None if unknown.
        seconds: approximate time for each of them.
    """

    size: tuple[int, int]
    frames: int | None
    seconds: float


class VideoReport(NamedTuple):
    """The result of cartoonizing a video.

    Attributes:
        frames: number of frames that were cartoonized.
        seconds: their total duration.
        warnings: what could not be read from the source, one line each.
        remarks: what else differs from the source, one line each.
    """

    frames: int
    seconds: float
    warnings: list[str]
    remarks: list[str]


def process(
    source: Path,
    target: Path,
    cartoonize_frame: Callable[[np.ndarray, float], np.ndarray],
    options: VideoOptions | None = None,
    describe: Callable[[Estimate], str] | None = None,
    finish: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda cartoon, frame: cartoon,
) -> VideoReport:
    """Cartoonizes a video, with its audio and timestamps, and shows a progress bar.

    On Ctrl-C or SIGTERM it stops after the current frame. Everything up to that frame is then in a file beside the
    target, such as cartoon.partial.mp4, which the next complete run removes.

    Args:
        source: any video that FFmpeg reads, an animated image, a TIFF of several pages, or numbered images such as
            frames/%05d.png.
        target: .mp4, .m4v, .mov, .mkv, .webm, .gif, .webp, .png or .apng, or numbered images; its folder is created.
        cartoonize_frame: called in this thread, in order of time, with a frame, RGB uint8 [H, W, 3], and its time in
            seconds from `options.start`; returns its cartoon, or what `finish` turns into it.
        options: see `VideoOptions`.
        describe: called after the first frames; returns a line that is written to standard error.
        finish: called in another thread, meanwhile, with what `cartoonize_frame` returned and the frame; returns a
            cartoon of the frame's shape.

    Raises:
        InputError: the source cannot be read, contains no frames, or the options do not fit; nothing is written.
        OutputError: the target cannot be written, and is unchanged.
        Interrupted: by Ctrl-C or SIGTERM; the message names the file with the part that is done.
    """
    options = options or VideoOptions()
    _check(target, options)
    with (
        open_clip(source, options) as clip,
        tqdm(total=clip.frame_count, desc=source.name, unit="frame", disable=None) as bar,
    ):

        def announce() -> None:
            bar.write("stopping after this frame; press Ctrl-C once more to discard the output", file=sys.stderr)

        with graceful_interrupt(announce) as stop:
            report = _run(clip, source, target, cartoonize_frame, options, stop, bar, describe, finish)
    if stop:
        raise Interrupted(f"{target}: stopped after its last frame; it is complete", stop.number)
    return report


def with_fixed_size(predictor: CartoonPredictor, source: Path, options: VideoOptions) -> CartoonPredictor:
    """A predictor whose working size, if it is "auto", is chosen from some frames for all of the video.

    Raises:
        InputError: the source cannot be read.
    """
    if predictor.working_size != "auto":
        return predictor
    with open_clip(source, options) as clip:
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
    elif ending not in (*ENDINGS, *ANIMATED_ENDINGS):
        endings = ", ".join((*ENDINGS, *ANIMATED_ENDINGS))
        raise InputError(f"{target}: unknown video format; use {endings}, or numbered images like %05d.png")


def open_clip(source: Path, options: VideoOptions) -> Clip:
    """The time range of a source that `process` reads.

    Raises:
        InputError: the source cannot be read.
    """
    time_range = TimeRange(options.start, float("inf") if options.duration is None else options.duration)
    rate = options.fps and Fraction(options.fps).limit_denominator(1001)
    if is_pattern(source):
        return ImageSequence(source, time_range, rate)
    if animated_format(source) not in (None, "GIF"):  # FFmpeg reads GIFs frame by frame
        return AnimatedImage(source, time_range, rate, options.max_megapixels)
    return VideoClip(source, time_range, options.max_megapixels)


@contextmanager
def _open_writer(clip: Clip, source: Path, target: Path, options: VideoOptions, stop: Stop) -> Iterator[FrameWriter]:
    """The writer of the target. A file appears when the block ends without error; numbered images appear one by one.

    Raises:
        Interrupted: there was a signal; what was written up to `until` of the writer is saved.
    """
    with nullcontext() if is_pattern(target) else atomic(target) as temporary:
        if temporary is None:
            writer: FrameWriter = ImageSequenceWriter(target, options.quality, clip)
        elif target.suffix.lower() == ".gif":
            writer = GifWriter(temporary, clip, source)
        elif target.suffix.lower() == ".webp":
            writer = WebpWriter(temporary, clip, source, options.quality)
        elif target.suffix.lower() in ANIMATED_ENDINGS:
            writer = ApngWriter(temporary, clip, source)
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
        if writer.until < math.inf:
            saved = target
            if temporary:
                saved = partial(target)
                replace(temporary, saved)
            message = f"{saved}: stopped at {show_time(writer.until)}; the part up to there was saved"
            raise Interrupted(message, stop.number)
    remove(partial(target))


def _run(
    clip: Clip,
    source: Path,
    target: Path,
    cartoonize_frame: Callable[[np.ndarray, float], np.ndarray],
    options: VideoOptions,
    stop: Stop,
    bar: tqdm,
    describe: Callable[[Estimate], str] | None,
    finish: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> VideoReport:
    count, existing, seconds, ends = 0, 0, 0.0, []
    with _open_writer(clip, source, target, options, stop) as writer:

        def finish_and_write(item: tuple[np.ndarray, Frame]) -> None:
            drawn, frame = item
            cartoon = Picture(finish(drawn, frame.rgb), frame.alpha)
            if options.side_by_side:
                cartoon = side_by_side(Picture(frame.rgb, frame.alpha), cartoon)
            writer.write(frame._replace(rgb=cartoon.rgb, alpha=cartoon.alpha))

        with write_behind(finish_and_write) as write, prefetch(reduced(clip.frames(), options.max_size)) as frames:
            for frame in frames:
                if stop:
                    break
                bar.update()
                seconds = frame.time + (frame.duration or float(1 / clip.rate))
                if options.skip_existing and writer.has(frame):
                    existing += 1
                    continue
                count += 1
                with naming(source):
                    drawn = cartoonize_frame(frame.rgb, frame.time)
                write((drawn, frame))
                if count <= MEASURED:
                    ends.append(perf_counter())
                if count == MEASURED and describe:
                    each = min(after - before for before, after in pairwise(ends))
                    bar.write(describe(Estimate(frame.rgb.shape[1::-1], clip.frame_count, each)), file=sys.stderr)
        if not count and stop:
            raise Interrupted(f"{source}: stopped before its first frame; nothing was saved", stop.number)
        if not count + existing:
            reason = (
                "; ".join(clip.warnings) or "has no frames in the selected time range; check --start and --duration"
            )
            raise InputError(f"{source}: {reason}")
        if stop:
            writer.until = seconds
    warnings = [f"{source}: {warning}" for warning in (*clip.warnings, *writer.warnings)]
    skipped = [f"{existing} of {count + existing} numbered images were there already"] if existing else []
    remarks = [f"{source}: {remark}" for remark in (*skipped, *clip.remarks, *writer.remarks)]
    return VideoReport(count, seconds, warnings, remarks)
