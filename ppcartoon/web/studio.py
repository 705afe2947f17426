"""What becomes of an uploaded photo or film."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import images
from ..errors import InputError
from ..inference.predictor import CartoonPredictor

ORIGINAL = "original"
SIZES = ("384", "512", "768", "1024", ORIGINAL)  # pixels of a photo's longer side
FILM_SIZES = ("256", "384", "512", "768")
FASTEST = 60  # pictures a second of a film


class Limits(NamedTuple):
    """What is taken.

    Attributes:
        upload: MB (2^20 bytes) of a file.
        pixels: megapixels of a photo, or of a film's picture.
        seconds: of a film; the rest is left out.
    """

    upload: int
    pixels: int
    seconds: int


class Studio:
    """Makes cartoons of files that were uploaded.

    Args:
        predictors: by the names of their styles.
        folder: where uploads are, and results go; no file outside is read.
        limits: see there.
    """

    def __init__(self, predictors: dict[str, CartoonPredictor], folder: Path, limits: Limits) -> None:
        self.predictors, self.folder, self.limits = predictors, folder, limits
        self._closed, self._work = threading.Event(), threading.Lock()

    def close(self) -> None:
        """Ends what is being made, and comes back when it has ended."""
        self._closed.set()
        with self._work:
            pass

    @contextmanager
    def _working(self) -> Iterator[None]:
        """One at a time, and none after `close`."""
        with self._work:
            self._go_on()
            yield

    def _go_on(self) -> None:
        if self._closed.is_set():
            raise InputError("stopped, as the page is closed")

    def photo(self, file: Path, style: str, size: str) -> tuple[Path, Path]:
        """A photo in the size that is wanted, and its cartoon in the photo's format, or as PNG; both without metadata.

        Args:
            file: in the folder.
            style: a key of the predictors.
            size: one of `SIZES`.

        Raises:
            InputError: the file is no image, or too large, or something else was chosen than there is.
        """
        predictor = self._checked(file, style, size, SIZES)
        suffix = file.suffix.lower() if file.suffix.lower() in images.WRITABLE else ".png"
        with self._working():
            photo = images.read(file, self.limits.pixels)
            photo = photo if size == ORIGINAL else images.shrink(photo, int(size))
            self._go_on()
            cartoon = images.Picture(predictor(photo.rgb), photo.alpha)
            self._go_on()
            before, after = self._new(f"{file.stem}{suffix}"), self._new(f"{file.stem}_cartoon{suffix}")
            images.write(before, photo)
            images.write(after, cartoon)
        return before, after

    def film(self, file: Path, style: str, size: str, tell: Callable[[int, int | None], None]) -> tuple[Path, str]:
        """The cartoon of a film's beginning, as MP4 that browsers play, and a remark on it.

        Args:
            file: in the folder.
            style: a key of the predictors.
            size: one of `FILM_SIZES`.
            tell: called with the number of pictures that are done, and of all, as far as that is known.

        Raises:
            InputError: the file is no film, too large, or damaged; or PyAV or OpenCV is missing.
        """
        from ..video import pipeline
        from ..video.clips import TimeRange, VideoClip
        from ..video.deflicker import Deflicker

        predictor = self._checked(file, style, size, FILM_SIZES)
        with VideoClip(file, TimeRange(0, self.limits.seconds)) as clip:
            (width, height), pictures = clip.reader.size, clip.frame_count
        if width * height > self.limits.pixels * 1_000_000:
            raise InputError(f"{width}x{height}: more than {self.limits.pixels} megapixels, which are the most here")
        steady, done = Deflicker(predictor), 0

        def cartoon(rgb: np.ndarray, time: float) -> np.ndarray:
            nonlocal done
            self._go_on()
            if done == FASTEST * self.limits.seconds:
                raise InputError(f"more than {FASTEST} pictures a second, which are the most here")
            done += 1
            tell(done, pictures)
            return steady(rgb, time)

        options = pipeline.VideoOptions(duration=self.limits.seconds, max_size=int(size))
        with self._working():
            target = self._new(f"{file.stem}_cartoon.mp4")
            report = pipeline.process(file, target, cartoon, options)
        remarks = [f"{report.frames} pictures, {report.seconds:.1f} s", *report.warnings]
        return target, "; ".join(remarks).replace(f"{file}: ", "")

    def _checked(self, file: Path, style: str, size: str, sizes: tuple[str, ...]) -> CartoonPredictor:
        if not file.resolve().is_relative_to(self.folder) or not file.is_file():
            raise InputError("this is no file that was uploaded here, or it was deleted; upload it again")
        if style not in list(self.predictors) or size not in sizes:
            raise InputError("choose a style and a size from the lists")
        return self.predictors[style]

    def _new(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(dir=self.folder)) / name
