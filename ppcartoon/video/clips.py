"""Input clips: a time range of a video, of numbered images, or of an image file with several frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import images
from ..errors import InputError
from ..utils.timecode import show_time
from .formats import members
from .media import MAX_MEGAPIXELS
from .reader import ROUNDING, Frame, Gap, VideoReader

RATE = 25  # default images per second
MILLISECOND = Fraction(1, 1000)  # the time unit of animated images
SHOWN_GAPS = 3
TOLERANCE = 0.5  # seconds that may be missing at the end of a video: durations in containers are inexact


class TimeRange(NamedTuple):
    """A part of a video.

    Attributes:
        start: in seconds.
        duration: in seconds.
    """

    start: float = 0
    duration: float = math.inf

    def relative(self, time: float) -> float | None:
        """Converts a time of the video to a time from the start of the range; None if it is outside."""
        inside = self.start - ROUNDING <= time < self.start + self.duration - ROUNDING
        return max(0.0, time - self.start) if inside else None


class VideoClip:
    """A time range of a video, for a `with` block.

    Attributes:
        reader: of the video.
        time_range: the part that is read.
        audio_path: a file that may contain audio; None for images.
        rate: frames per second, on average.
        time_base: the unit of the timestamps, in seconds.
        frame_count: approximate number of frames; None if unknown.
        warnings: what could not be read so far.
        remarks: what is unusual in the timestamps so far.

    Raises:
        InputError: the file is missing, is not a video, contains no frames, or has larger frames than allowed.
    """

    def __init__(self, path: Path, time_range: TimeRange, max_megapixels: int = MAX_MEGAPIXELS) -> None:
        self.reader = VideoReader(path, max_megapixels=max_megapixels)
        self.time_range, self.audio_path, self._max_megapixels = time_range, path, max_megapixels
        self.rate, self.time_base = self.reader.rate, self.reader.time_base
        self.frame_count = None
        if self.reader.duration:
            seconds = min(self.reader.duration + self.reader.offset - time_range.start, time_range.duration)
            self.frame_count = max(0, round(seconds * self.rate))

    def __enter__(self) -> VideoClip:
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.__exit__()

    def frames(self) -> Iterator[Frame]:
        """The frames in order, with times from the start of the range, numbered from 1."""
        start = self.time_range.start - self.reader.offset
        number = 0
        for frame in self.reader.frames("frames", start, start + self.time_range.duration):
            time = self.time_range.relative(frame.time + self.reader.offset)
            if time is not None:
                number += 1
                yield frame._replace(time=time, number=number)

    def sample(self, count: int) -> Iterator[np.ndarray]:
        """At most `count` I-frames that are spread over the range, RGB uint8 [H, W, 3]; otherwise its first frame."""
        start, seconds = self.time_range.start, (self.frame_count or 0) / float(self.rate)
        found = False
        for i in range(count if seconds and self.reader.seekable else 0):
            first, last = (start - self.reader.offset + seconds * j / count for j in (i, i + 1))
            for frame in islice(self.reader.frames("keyframes", first, last - 2 * ROUNDING), 1):
                found = True
                yield frame.rgb
        if not found:
            yield from (frame.rgb for frame in islice(self.frames(), 1))

    def is_transparent(self) -> bool:
        """Whether a frame of the range has transparent parts; decodes those before the first that has."""
        if not self.reader.has_alpha:
            return False
        with VideoClip(self.reader.path, self.time_range, self._max_megapixels) as clip:
            return any(frame.alpha is not None for frame in clip.frames())

    @property
    def warnings(self) -> list[str]:
        found, reader = [], self.reader
        if reader.broken:
            found.append(f"{reader.broken} damaged pieces skipped, the rest is kept")
        if gaps := self._gaps(damaged=True):
            found.append(f"damaged, without frames for {_show_gaps(gaps)}; the rest is kept")
        if reader.is_cut:
            found.append("truncated, its last frame may be incomplete")
        end = min(reader.stream_duration or 0, self.time_range.start + self.time_range.duration - reader.offset)
        if reader.decoded_until < end - TOLERANCE:
            until, total = show_time(reader.decoded_until), show_time(reader.stream_duration)
            found.append(f"truncated at {until} of {total}, the part before is kept")
        return found

    @property
    def remarks(self) -> list[str]:
        found = []
        if gaps := self._gaps(damaged=False):
            found.append(f"without frames for {_show_gaps(gaps)}, where the frame before stays")
        if self.reader.corrected:
            found.append(f"timestamps that did not rise and were corrected: {self.reader.corrected}")
        return found

    def _gaps(self, damaged: bool) -> list[Gap]:
        start = self.time_range.start - self.reader.offset
        inside = (gap for gap in self.reader.gaps if gap.start + gap.seconds > start and gap.damaged == damaged)
        return [gap for gap in inside if gap.start < start + self.time_range.duration]


class ImageSequence:
    """A time range of numbered images, with the interface of `VideoClip`.

    Raises:
        InputError: no images match the pattern.
    """

    def __init__(self, pattern: Path, time_range: TimeRange, rate: Fraction | None) -> None:
        self.rate = Fraction(RATE) if rate is None else rate
        self.time_range, self.time_base, self.audio_path = time_range, 1 / self.rate, None
        self.files = members(pattern)
        if not self.files:
            raise InputError(f"{pattern}: no images match this pattern")
        self.frame_count = sum(self._time(i) is not None for i in range(len(self.files)))
        self.warnings: list[str] = []
        self.remarks: list[str] = []

    def __enter__(self) -> ImageSequence:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def sample(self, count: int) -> Iterator[np.ndarray]:
        """At most `count` images that are spread over the range, RGB uint8 [H, W, 3]."""
        inside = [path for i, path in enumerate(self.files.values()) if self._time(i) is not None]
        for path in inside[:: max(1, len(inside) // count)][:count]:
            with suppress(InputError):
                yield images.read(path).rgb

    def _time(self, index: int) -> float | None:
        return self.time_range.relative(float(index / self.rate))

    def is_transparent(self) -> bool:
        """Whether the format of an image has transparency, which need not be used."""
        for path in self.files.values():
            with suppress(InputError), images.opened(path) as image:
                if image.has_transparency_data:
                    return True
        return False

    def frames(self) -> Iterator[Frame]:
        """The images in order of their numbers; an unreadable one is skipped with a warning and leaves a time gap."""
        for i, (number, path) in enumerate(self.files.items()):
            time = self._time(i)
            if time is None:
                continue
            try:
                rgb, alpha = images.read(path)
                yield Frame(time, rgb, float(self.time_base), number, alpha=_unless_opaque(alpha))
            except InputError as error:
                self.warnings.append(f"{error}; skipped")


class AnimatedImage:
    """A time range of an animated WebP, PNG or AVIF, or of the pages of a TIFF, with the interface of `VideoClip`.

    Args:
        path: of the file.
        time_range: the part that is read.
        rate: pages per second; None for 25.
        max_megapixels: of a frame.

    Raises:
        InputError: the file is not an image that can be read.
    """

    def __init__(
        self, path: Path, time_range: TimeRange, rate: Fraction | None, max_megapixels: int = MAX_MEGAPIXELS
    ) -> None:
        self.rate, self._max_megapixels = Fraction(RATE) if rate is None else rate, max_megapixels
        self.path, self.time_range, self.time_base, self.audio_path = path, time_range, MILLISECOND, None
        with images.opened(path) as image:
            self.frame_count = image.n_frames
        self.warnings: list[str] = []
        self.remarks: list[str] = []

    def __enter__(self) -> AnimatedImage:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def sample(self, count: int) -> Iterator[np.ndarray]:
        """At most `count` frames that are spread over the range, RGB uint8 [H, W, 3]."""
        step = max(1, self.frame_count // count)
        yield from (frame.rgb for frame in islice(self.frames(), 0, count * step, step))

    def is_transparent(self) -> bool:
        """Whether a frame of the range has transparent parts; decodes those before the first that has."""
        clip = AnimatedImage(self.path, self.time_range, self.rate, self._max_megapixels)
        return any(frame.alpha is not None for frame in clip.frames())

    def frames(self) -> Iterator[Frame]:
        """The frames in order, numbered from 1; those from a damaged one on are left out with a warning."""
        start, number, read = 0.0, 0, 0
        try:
            for (rgb, alpha), seconds in images.frames(self.path, self._max_megapixels):
                time, duration, read = self.time_range.relative(start), seconds or float(1 / self.rate), read + 1
                if time is not None:
                    number += 1
                    yield Frame(time, rgb, duration, number, alpha=_unless_opaque(alpha))
                elif number:
                    break
                start += duration
        except InputError:
            if not read:
                raise
            self.warnings.append(f"damaged after frame {read} of {self.frame_count}, the part before is kept")


Clip = VideoClip | ImageSequence | AnimatedImage


def _unless_opaque(alpha: np.ndarray | None) -> np.ndarray | None:
    return None if alpha is None or alpha.min() == 255 else alpha


def reduced(frames: Iterator[Frame], max_size: int | None) -> Iterator[Frame]:
    """The frames, with the longer side at most `max_size` pixels."""
    for frame in frames:
        picture = images.Picture(np.ascontiguousarray(frame.rgb), frame.alpha)
        rgb, alpha = images.shrink(picture, max_size) if max_size else picture
        yield frame._replace(rgb=rgb, alpha=alpha)


def _show_gaps(gaps: list[Gap]) -> str:
    shown = [f"{gap.seconds:.2f} s at {show_time(gap.start)}" for gap in gaps[:SHOWN_GAPS]]
    rest = gaps[SHOWN_GAPS:]
    return ", ".join(shown) + (f" and {sum(gap.seconds for gap in rest):.2f} s in {len(rest)} more" if rest else "")
