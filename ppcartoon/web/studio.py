"""Makes cartoons of uploaded photos and videos."""

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
VIDEO_SIZES = ("256", "384", "512", "768")
MAX_FPS = 60  # frames per second of a video


class Limits(NamedTuple):
    """Limits of uploaded files.

    Attributes:
        upload_mb: MB (2^20 bytes) of a file.
        megapixels: of a photo, or of a frame of a video.
        seconds: of a video; the rest is cut off.
    """

    upload_mb: int
    megapixels: int
    seconds: int


class Studio:
    """Makes cartoons of uploaded files, one at a time.

    Args:
        predictors: predictors by style name.
        folder: the folder of uploads and results; no file outside is read.
        limits: limits of the uploaded files.
    """

    def __init__(self, predictors: dict[str, CartoonPredictor], folder: Path, limits: Limits) -> None:
        self.predictors, self.folder, self.limits = predictors, folder, limits
        self._closed, self._work = threading.Event(), threading.Lock()

    def close(self) -> None:
        """Stops the cartoon in progress, and waits for its end; later calls raise InputError."""
        self._closed.set()
        with self._work:
            pass

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Holds the lock for one cartoon; raises InputError after `close`."""
        with self._work:
            self._check_open()
            yield

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise InputError("stopped because the page is closed")

    def photo(self, file: Path, style: str, size: str) -> tuple[Path, Path]:
        """Resizes a photo and makes its cartoon; both in the photo's format, else PNG, and without metadata.

        Args:
            file: an uploaded file.
            style: a key of the predictors.
            size: one of `SIZES`.

        Returns:
            The paths of the resized photo and of the cartoon.

        Raises:
            InputError: the file is no image or too large, or the style or size does not exist.
        """
        predictor = self._checked(file, style, size, SIZES)
        suffix = file.suffix.lower() if file.suffix.lower() in images.WRITABLE else ".png"
        with self._working():
            photo = images.read(file, self.limits.megapixels)
            photo = photo if size == ORIGINAL else images.shrink(photo, int(size))
            self._check_open()
            cartoon = images.Picture(predictor(photo.rgb), photo.alpha)
            self._check_open()
            before, after = self._new(f"{file.stem}{suffix}"), self._new(f"{file.stem}_cartoon{suffix}")
            images.write(before, photo)
            images.write(after, cartoon)
        return before, after

    def video(
        self, file: Path, style: str, size: str, on_progress: Callable[[int, int | None], None]
    ) -> tuple[Path, str]:
        """Makes the cartoon of the first `limits.seconds` of a video, as an MP4 file that browsers can play.

        Args:
            file: an uploaded file.
            style: a key of the predictors.
            size: one of `VIDEO_SIZES`.
            on_progress: called with the number of finished frames and the total, None if it is unknown.

        Returns:
            The path of the cartoon, and a line with the number of frames, the duration and any warnings.

        Raises:
            InputError: the file is no video, too large, or damaged; PyAV or OpenCV is missing; or the style or size
                does not exist.
        """
        from ..video import pipeline
        from ..video.clips import TimeRange, VideoClip
        from ..video.deflicker import Deflicker

        predictor = self._checked(file, style, size, VIDEO_SIZES)
        with VideoClip(file, TimeRange(0, self.limits.seconds)) as clip:
            (width, height), total = clip.reader.size, clip.frame_count
        if width * height > self.limits.megapixels * 1_000_000:
            raise InputError(f"{width}x{height}: more than {self.limits.megapixels} megapixels, the limit of this page")
        deflicker, done = Deflicker(predictor), 0

        def cartoonize(frame: np.ndarray, time: float) -> np.ndarray:
            nonlocal done
            self._check_open()
            if done == MAX_FPS * self.limits.seconds:
                raise InputError(f"more than {MAX_FPS} frames per second, the limit of this page")
            done += 1
            on_progress(done, total)
            return deflicker(frame, time)

        options = pipeline.VideoOptions(duration=self.limits.seconds, max_size=int(size))
        with self._working():
            target = self._new(f"{file.stem}_cartoon.mp4")
            report = pipeline.process(file, target, cartoonize, options)
        remarks = [f"{report.frames} frames, {report.seconds:.1f} s", *report.warnings]
        return target, "; ".join(remarks).replace(f"{file}: ", "")

    def _checked(self, file: Path, style: str, size: str, sizes: tuple[str, ...]) -> CartoonPredictor:
        if not file.resolve().is_relative_to(self.folder) or not file.is_file():
            raise InputError("this file was not uploaded here, or was deleted; upload it again")
        if style not in list(self.predictors) or size not in sizes:
            raise InputError("choose a style and a size from the lists")
        return self.predictors[style]

    def _new(self, name: str) -> Path:
        """A path for a new file, in a folder of its own."""
        return Path(tempfile.mkdtemp(dir=self.folder)) / name
