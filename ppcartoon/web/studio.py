"""Makes cartoons of uploaded photos and videos."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import images
from ..errors import InputError
from ..inference import looks
from ..inference.predictor import CartoonPredictor
from ..inference.working_size import reduced

ORIGINAL = "original"
SIZES = ("384", "512", "768", "1024", ORIGINAL)  # pixels of a photo's longer side
VIDEO_SIZES = ("256", "384", "512", "768")
WORKING_SIZES = {  # pixels of the longer side at which the network sees a photo
    "auto": "auto",
    "256 (boldest)": 256,
    "384 (bold)": 384,
    "512 (medium)": 512,
    "768 (fine)": 768,
    "1024 (finer)": 1024,
    "full resolution (finest)": 0,
}
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


@dataclass
class Drawing:
    """A photo and its cartoon before they are mixed; the arrays are in files without names, deleted with this object.

    Attributes:
        photo: the resized photo.
        cartoon: RGB uint8 [H, W, 3].
        working_size: pixels of the longer side at which the network saw the photo.
        before: the file of the resized photo.
        name: file name of the cartoon.
        remark: see `images.left_out`.
        mixed: the files of the last mixed cartoons, the newest last.
    """

    photo: images.Picture
    cartoon: np.ndarray
    working_size: int
    before: Path
    name: str
    remark: str
    mixed: list[Path] = field(default_factory=list)


class Studio:
    """Makes cartoons of uploaded files, one at a time.

    Args:
        predictors: predictors by style name.
        folder: the folder of uploads and results; no file outside is read.
        limits: limits of the uploaded files.
    """

    def __init__(self, predictors: dict[str, CartoonPredictor], folder: Path, limits: Limits) -> None:
        self.predictors, self.folder, self.limits = predictors, folder, limits
        self._closed, self._work, self._mixing = threading.Event(), threading.Lock(), threading.Lock()

    def close(self) -> None:
        """Stops the cartoon in progress, and waits for its end; later calls raise InputError."""
        self._closed.set()
        with self._work, self._mixing:
            pass

    @contextmanager
    def _working(self, lock: threading.Lock) -> Iterator[None]:
        """Holds a lock for one cartoon; raises InputError after `close`."""
        with lock:
            self._check_open()
            yield

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise InputError("stopped because the page is closed")

    def photo(self, file: Path, style: str, size: str, working_size: str) -> Drawing:
        """Resizes a photo, writes it without metadata, in its format or else PNG, and makes its cartoon.

        Args:
            file: an uploaded file.
            style: a key of the predictors.
            size: one of `SIZES`.
            working_size: one of `WORKING_SIZES`.

        Raises:
            InputError: the file is no image or too large, or the style or a size does not exist.
        """
        predictor = self._checked(file, style, size, SIZES, working_size)
        suffix = file.suffix.lower() if file.suffix.lower() in images.WRITABLE else ".png"
        with self._working(self._work):
            photo = images.read(file, self.limits.megapixels)
            remark = images.left_out(file)
            photo = photo if size == ORIGINAL else images.shrink(photo, int(size))
            predictor = predictor.replace(working_size=predictor.choose_size([photo.rgb]))
            self._check_open()
            cartoon = predictor(photo.rgb)
            self._check_open()
            before = self._new(f"{file.stem}{suffix}")
            images.write(before, photo)
            return Drawing(
                images.Picture(*(None if channels is None else self._on_disk(channels) for channels in photo)),
                self._on_disk(cartoon),
                max(reduced(*cartoon.shape[:2], predictor.working_size)),
                before,
                f"{file.stem}_cartoon{suffix}",
                remark,
            )

    def mix(self, drawing: Drawing, keep_colors: float, strength: float) -> Path:
        """Mixes a cartoon with its photo, see `looks.mix`, in the format of `Drawing.before`; the network does not run.

        Args:
            drawing: from `photo`; of its mixed cartoons, only the last two are kept.
            keep_colors: in [0, 1].
            strength: in [0, 1].

        Raises:
            InputError: a number is out of range.
        """
        _check_shares(keep_colors, strength)
        with self._working(self._mixing):
            mixed = looks.mix(drawing.photo.rgb, drawing.cartoon, keep_colors, strength)
            path = self._new(drawing.name)
            images.write(path, images.Picture(mixed, drawing.photo.alpha))
            drawing.mixed.append(path)
            for old in drawing.mixed[:-2]:  # a browser may still be loading the one before this
                shutil.rmtree(old.parent, ignore_errors=True)
            del drawing.mixed[:-2]
        return path

    def video(
        self,
        file: Path,
        style: str,
        size: str,
        working_size: str,
        keep_colors: float,
        strength: float,
        on_progress: Callable[[int, int | None], None],
    ) -> tuple[Path, str]:
        """Makes the cartoon of the first `limits.seconds` of a video, as an MP4 file that browsers can play.

        Args:
            file: an uploaded file.
            style: a key of the predictors.
            size: one of `VIDEO_SIZES`.
            working_size: one of `WORKING_SIZES`.
            keep_colors: in [0, 1], see `looks.mix`.
            strength: in [0, 1], see there.
            on_progress: called with the number of finished frames and the total, None if it is unknown.

        Returns:
            The path of the cartoon, and a line with the number of frames, the duration, the working size and any
            warnings.

        Raises:
            InputError: the file is no video, too large, or damaged; PyAV or OpenCV is missing; the style or a size does
                not exist; or a number is out of range.
        """
        from ..video import pipeline
        from ..video.deflicker import Deflicker
        from ..video.media import MAX_MEGAPIXELS

        _check_shares(keep_colors, strength)
        predictor = self._checked(file, style, size, VIDEO_SIZES, working_size)
        predictor = predictor.replace(keep_colors=keep_colors, strength=strength)
        megapixels = min(self.limits.megapixels, MAX_MEGAPIXELS)
        options = pipeline.VideoOptions(duration=self.limits.seconds, max_size=int(size), max_megapixels=megapixels)
        with pipeline.open_clip(file, options) as clip:
            total = clip.frame_count
        done, used = 0, 0

        def cartoonize(frame: np.ndarray, time: float) -> np.ndarray:
            nonlocal done, used
            self._check_open()
            if done == MAX_FPS * self.limits.seconds:
                raise InputError(f"more than {MAX_FPS} frames per second, the limit of this page")
            done += 1
            on_progress(done, total)
            used = max(used, *reduced(*frame.shape[:2], predictor.working_size))
            return deflicker.draw(frame, time)

        with self._working(self._work):
            predictor = pipeline.with_fixed_size(predictor, file, options)
            deflicker = Deflicker(predictor)
            target = self._new(f"{file.stem}_cartoon.mp4")
            report = pipeline.process(file, target, cartoonize, options, finish=deflicker.finish)
        remarks = [
            f"{report.frames} frames, {report.seconds:.1f} s, working size {used}",
            *report.warnings,
            *report.remarks,
        ]
        return target, "; ".join(remarks).replace(f"{file}: ", "")

    def _checked(
        self, file: Path, style: str, size: str, sizes: tuple[str, ...], working_size: str
    ) -> CartoonPredictor:
        if not file.resolve().is_relative_to(self.folder) or not file.is_file():
            raise InputError("this file was not uploaded here, or was deleted; upload it again")
        if style not in list(self.predictors) or size not in sizes or working_size not in list(WORKING_SIZES):
            raise InputError("choose a style and sizes from the lists")
        return self.predictors[style].replace(working_size=WORKING_SIZES[working_size])

    def _new(self, name: str) -> Path:
        """A path for a new file, in a folder of its own."""
        return Path(tempfile.mkdtemp(dir=self.folder)) / name

    def _on_disk(self, array: np.ndarray) -> np.ndarray:
        """A copy of an array in a file without a name, which is deleted with the copy."""
        with tempfile.TemporaryFile(dir=self.folder) as file:
            array.tofile(file)
            return np.memmap(file, array.dtype, "r", shape=array.shape)


def _check_shares(*shares: object) -> None:
    if not all(type(share) in (int, float) and 0 <= share <= 1 for share in shares):
        raise InputError("strength and colors are numbers from 0 to 1")
