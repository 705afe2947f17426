"""What is to become a cartoon: the pictures of a film, or numbered images, in their time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from .. import images
from ..errors import InputError
from ..utils.timecode import show_time
from .formats import members
from .reader import ROUNDING, VideoReader

RATE = 25  # images a second, unless told otherwise
MISSING = 0.5  # seconds that may be missing at a film's end: containers are not exact


class TimeRange(NamedTuple):
    """The part that is taken.

    Attributes:
        start: in seconds.
        duration: in seconds.
    """

    start: float = 0
    duration: float = math.inf

    def shifted(self, time: float) -> float | None:
        """A time of the whole as one of the part; None for what is outside."""
        inside = self.start - ROUNDING <= time < self.start + self.duration - ROUNDING
        return max(0.0, time - self.start) if inside else None


class Moment(NamedTuple):
    """A picture of a clip.

    Attributes:
        time: from the start of the part that is taken, in seconds.
        rgb: uint8 [H, W, 3].
        duration: seconds until the next; 0 where the film does not tell.
        number: of an image among its like; pictures of films are counted from 1.
    """

    time: float
    rgb: np.ndarray
    duration: float
    number: int


class VideoClip:
    """A part of a film, for a `with` block.

    Attributes:
        sound: where sound may be found; None for images.
        rate: pictures a second, on average.
        tick: the unit of their times, in seconds.
        pictures: how many there are, roughly; None where the film does not tell.
        warnings: what of the film could not be had, so far.

    Raises:
        InputError: the file is missing, is no video, or has no picture in it.
    """

    def __init__(self, path: Path, cut: TimeRange) -> None:
        self.film, self.cut, self.sound = VideoReader(path), cut, path
        self.rate, self.tick = self.film.rate, self.film.tick
        self.pictures = None
        if self.film.duration:
            seconds = min(self.film.duration + self.film.lag - cut.start, cut.duration)
            self.pictures = max(0, round(seconds * self.rate))

    def __enter__(self) -> VideoClip:
        return self

    def __exit__(self, *_: object) -> None:
        self.film.__exit__()

    def moments(self) -> Iterator[Moment]:
        """The pictures, in order."""
        start = self.cut.start - self.film.lag
        number = 0
        for shot in self.film.shots("frames", start, start + self.cut.duration):
            time = self.cut.shifted(shot.time + self.film.lag)
            if time is not None:
                number += 1
                yield Moment(time, shot.rgb, shot.duration, number)

    @property
    def warnings(self) -> list[str]:
        found, film = [], self.film
        if film.broken:
            found.append(f"{film.broken} damaged pieces passed over, the rest is kept")
        wanted = min(film.announced or 0, self.cut.start + self.cut.duration - film.lag)
        if film.reached < wanted - MISSING:
            found.append(
                f"breaks off at {show_time(film.reached)} of {show_time(film.announced)}, what is there is kept"
            )
        return found


class ImageSequence:
    """A part of numbered images, as `VideoClip`.

    Raises:
        InputError: there are none.
    """

    def __init__(self, pattern: Path, cut: TimeRange, rate: Fraction | None) -> None:
        self.rate = Fraction(RATE) if rate is None else rate
        self.cut, self.tick, self.sound = cut, 1 / self.rate, None
        self.files = members(pattern)
        if not self.files:
            raise InputError(f"{pattern}: no such images")
        self.pictures = sum(cut.shifted(i / self.rate) is not None for i in range(len(self.files)))
        self.warnings: list[str] = []

    def __enter__(self) -> ImageSequence:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def moments(self) -> Iterator[Moment]:
        """The images, in the order of their numbers; what cannot be read is a fault, and the one before it lasts."""
        for i, (number, path) in enumerate(self.files.items()):
            time = self.cut.shifted(float(i / self.rate))
            if time is None:
                continue
            try:
                yield Moment(time, images.read(path).rgb, float(self.tick), number)
            except InputError as error:
                self.warnings.append(f"{path.name}: {error}; left out")


def fitted(moments: Iterator[Moment], max_size: int | None) -> Iterator[Moment]:
    """The moments, all in the size of the first, which has no side longer than `max_size`."""
    size = None
    for moment in moments:
        rgb = np.ascontiguousarray(moment.rgb)
        if max_size:
            rgb = images.shrink(images.Picture(rgb), max_size).rgb
        size = size or rgb.shape[1::-1]
        if rgb.shape[1::-1] != size:
            rgb = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS))
        yield moment._replace(rgb=rgb)
