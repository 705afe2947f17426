"""Makes cartoons of uploaded photos and videos, for several threads that share the network."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from .. import images
from ..errors import InputError
from ..inference.predictor import CartoonPredictor
from ..inference.working_size import reduced

if TYPE_CHECKING:
    from ..video import pipeline

LARGEST_PHOTO = 200  # megapixels of a photo; it is reduced to the limit of the results
PREVIEW = 1600  # pixels of the longer side
PREVIEW_QUALITY = 90  # of JPEG
VIDEO_SIZE = 1920  # pixels of the longer side of a cartoon's frames at most
MAX_FPS = 60  # frames per second of a video
FRAME_SECONDS = 10  # of a video in which its frame at some time is searched


class Limits(NamedTuple):
    """Limits of uploaded files.

    Attributes:
        upload_mb: MB (2^20 bytes) of a file.
        megapixels: of a cartoon, to which larger photos are reduced, and of a video's frame.
        seconds: of a video; the rest is cut off.
        waiting: photos that may wait, and videos.
        disk_mb: MB (2^20 bytes) of all files that are kept.
    """

    upload_mb: int = 50
    megapixels: int = 24
    seconds: int = 20
    waiting: int = 100
    disk_mb: int = 4096


Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=86400)]


class Mix(BaseModel):
    """How a cartoon is mixed with its photo, see `ppcartoon.inference.looks.mix`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strength: Share = Field(1, description="share of the cartoon in the result; 0: the photo")
    keep_colors: Share = Field(0, description="share of the photo in the colors; brightness is the cartoon's")


class Options(Mix):
    """How a cartoon is made."""

    style: str = Field("", description="name of a style; the first if this is absent")
    working_size: Annotated[int, Field(ge=16, le=2048)] | Literal["auto"] = Field(
        "auto", description="pixels of the longer side at which the network sees the photo; smaller is bolder"
    )
    size: Annotated[int, Field(ge=0, le=65500)] = Field(
        0, description="pixels of the longer side of the cartoon; 0: those of the photo, up to the limit"
    )
    start: Seconds = Field(0, description="seconds of a video to skip")
    duration: Seconds | None = Field(None, description="seconds of a video; absent: all, up to the limit")
    frame: Seconds | None = Field(None, description="the time in seconds of a frame of a video, which becomes a photo")


class Drawing(NamedTuple):
    """What `Studio` made of a photo; the files are in the folder that it was given.

    Attributes:
        source: the image file of the photo.
        width: of the cartoon in pixels.
        height: of the cartoon in pixels.
        working_size: longer side in pixels at which the network saw the photo.
        transparent: whether the photo has transparent parts; its preview is then a PNG file, else JPEG.
        remark: what else a user should know, in a sentence; else empty.
    """

    source: Path
    width: int
    height: int
    working_size: int
    transparent: bool
    remark: str


class Video(NamedTuple):
    """What `Studio` made of a video.

    Attributes:
        width: of a frame in pixels.
        height: of a frame in pixels.
        working_size: longer side in pixels at which the network saw the frames.
        frames: their number.
        seconds: their duration.
        remark: what else a user should know; else empty.
    """

    width: int
    height: int
    working_size: int
    frames: int
    seconds: float
    remark: str


class Turns:
    """Gives the network to one thread at a time: to photos and frames of videos in turn, each in order of arrival.

    So a photo waits for one frame of a video at most, and a video does not stand still behind many photos.

    Args:
        count: networks, and so threads at the same time.
    """

    def __init__(self, count: int = 1) -> None:
        self._changed, self._free, self._last = threading.Condition(), count, "video"
        self._waiting: dict[str, deque[object]] = {"photo": deque(), "video": deque()}

    @contextmanager
    def turn(self, kind: Literal["photo", "video"]) -> Iterator[None]:
        """Waits for the network, and holds it within the block."""
        ticket = object()
        with self._changed:
            self._waiting[kind].append(ticket)
            self._changed.wait_for(lambda: self._free and self._next() is ticket)
            self._waiting[kind].popleft()
            self._free, self._last = self._free - 1, kind
            if self._free:
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()

    def _next(self) -> object:
        for kind in sorted(self._waiting, key=lambda kind: kind == self._last):
            if self._waiting[kind]:
                return self._waiting[kind][0]
        return None


@dataclass(eq=False)
class _Waiting:
    """A photo that waits for a network, and what that makes of it."""

    style: str
    photo: np.ndarray
    drawn: Future[np.ndarray] = field(default_factory=Future)


class Studio:
    """Makes cartoons; all methods may be called from several threads.

    Args:
        predictors: predictors by style name. Photos that wait for one of them run together, up to its `batch_size`.
        limits: limits of the files.
        networks: calls of the predictors' engines that run at the same time.
    """

    def __init__(self, predictors: dict[str, CartoonPredictor], limits: Limits, networks: int = 1) -> None:
        self.predictors, self.limits, self.networks = predictors, limits, networks
        Image.MAX_IMAGE_PIXELS = LARGEST_PHOTO * 1_000_000 // 2  # Pillow refuses photos of twice as many
        self._turns = Turns(networks)
        self._photos: list[_Waiting] = []
        self._lock = threading.Lock()  # of _photos

    def check(self, options: Options) -> Options:
        """The options with the name of a style.

        Raises:
            InputError: the style does not exist.
        """
        style = options.style or next(iter(self.predictors))
        if style not in self.predictors:
            raise InputError(f"style: {style} does not exist; the styles are {', '.join(self.predictors)}")
        return options.model_copy(update={"style": style})

    def photo(
        self, source: Path, options: Options, folder: Path, check: Callable[[], None], previews: bool = True
    ) -> Drawing:
        """Makes the cartoon of a photo at its working size, and previews: photo.png or photo.jpg, cartoon.jpg.

        Args:
            source: an image file.
            options: from `check`.
            folder: where files are written.
            check: called between the steps; raises an exception to end the work.
            previews: whether to make them.

        Raises:
            InputError: the file is no image, or damaged or too large.
        """
        photo = self._read(source, options)
        remark = images.left_out(source)
        check()
        predictor = self.predictors[options.style].replace(working_size=options.working_size)
        small = predictor.reduce(photo.rgb)
        drawn = self._draw(options.style, small)
        check()
        np.save(folder / "drawn.npy", drawn)
        transparent = photo.alpha is not None
        if previews:
            preview = images.shrink(photo, PREVIEW)
            images.write(folder / ("photo.png" if transparent else "photo.jpg"), preview, PREVIEW_QUALITY)
            cartoon = predictor.finish(drawn, preview.rgb)
            images.write(folder / "cartoon.jpg", images.Picture(cartoon), PREVIEW_QUALITY)
        height, width = photo.rgb.shape[:2]
        return Drawing(source, width, height, max(small.shape[:2]), transparent, remark)

    def result(self, drawing: Drawing, options: Options, mix: Mix, folder: Path, suffix: str) -> bytes:
        """The image file of a cartoon in full size, mixed with its photo; the network does not run.

        Args:
            drawing: from `photo`.
            options: as given to `photo`.
            mix: how to mix both.
            folder: as given to `photo`.
            suffix: of the file, see `images.encode`.

        Raises:
            InputError: the format cannot hold the size.
        """
        photo = self._read(drawing.source, options)
        drawn = np.load(folder / "drawn.npy", allow_pickle=False)
        predictor = self.predictors[options.style].replace(strength=mix.strength, keep_colors=mix.keep_colors)
        return images.encode(images.Picture(predictor.finish(drawn, photo.rgb), photo.alpha), suffix)

    def frame(self, source: Path, options: Options, folder: Path) -> Path:
        """Writes the frame of a video at `options.frame` seconds as an image file, and returns its path.

        Raises:
            InputError: the file is no video, or damaged, or ends before.
        """
        from ..video import pipeline

        part = pipeline.VideoOptions(options.frame or 0, FRAME_SECONDS, max_megapixels=self._video_megapixels())
        with pipeline.open_clip(source, part) as clip:
            for frame in clip.frames():
                path = folder / "frame.png"
                images.write(path, images.Picture(frame.rgb, frame.alpha))
                return path
        raise InputError(f"the video has no frame at {options.frame:g} seconds")

    def measure(self, source: Path, options: Options) -> tuple[int | None, float | None]:
        """About how many frames the cartoon of a video will have, and seconds of the whole video; None if unknown.

        Raises:
            InputError: the file is no video, or its frames are too large.
        """
        from ..video import pipeline

        part = self._video_options(options)
        whole = part._replace(start=0, duration=None)
        with pipeline.open_clip(source, part) as clip, pipeline.open_clip(source, whole) as all_of_it:
            return clip.frame_count, all_of_it.frame_count and float(all_of_it.frame_count / all_of_it.rate)

    def video(self, source: Path, options: Options, target: Path, on_frame: Callable[[], None]) -> Video:
        """Makes the cartoon of the first `limits.seconds` of a video, as an MP4 file that browsers can play.

        Args:
            source: a video or animated image.
            options: from `check`.
            target: path of the MP4 file.
            on_frame: called for each frame; raises an exception to end the work.

        Raises:
            InputError: the file is no video, too large, or damaged, or libraries for videos are missing.
        """
        from ..video import pipeline
        from ..video.deflicker import Deflicker

        part = self._video_options(options)
        predictor = self.predictors[options.style].replace(
            working_size=options.working_size, keep_colors=options.keep_colors, strength=options.strength
        )
        predictor = pipeline.with_fixed_size(predictor, source, part)
        deflicker, count, size = Deflicker(predictor), 0, (0, 0)

        def draw(frame: np.ndarray, time: float) -> np.ndarray:
            nonlocal count, size
            if count == MAX_FPS * self.limits.seconds:
                raise InputError(f"more than {MAX_FPS} frames per second, the limit here")
            count, size = count + 1, frame.shape[1::-1]
            with self._turns.turn("video"):
                on_frame()
                return deflicker.draw(frame, time)

        report = pipeline.process(source, target, draw, part, finish=deflicker.finish)
        remark = "; ".join([*report.warnings, *report.remarks]).replace(f"{source}: ", "")
        return Video(*size, max(reduced(*size, int(predictor.working_size))), report.frames, report.seconds, remark)

    def _read(self, source: Path, options: Options) -> images.Picture:
        """The photo at the size of its cartoon."""
        with images.opened(source) as image:
            longer, pixels = max(image.size), image.width * image.height
        most = longer * min(1, (self.limits.megapixels * 1e6 / pixels) ** 0.5)
        return images.read(source, LARGEST_PHOTO, int(min(options.size or longer, most)))

    def _draw(self, style: str, photo: np.ndarray) -> np.ndarray:
        """Runs the network on a photo, together with photos of its size that wait for the same style."""
        mine = _Waiting(style, photo)
        with self._lock:
            self._photos.append(mine)
        with self._turns.turn("photo"):
            if batch := self._take(mine):
                self._run(batch)
        return mine.drawn.result()

    def _take(self, first: _Waiting) -> list[_Waiting]:
        """Takes a photo and those that can run together with it from the list; empty if another took it before."""
        with self._lock:
            if first not in self._photos:
                return []
            like = (first.style, first.photo.shape)
            same = [each for each in self._photos if each is not first and (each.style, each.photo.shape) == like]
            batch = [first, *same][: self.predictors[first.style].batch_size]
            self._photos = [each for each in self._photos if each not in batch]
            return batch

    def _run(self, batch: list[_Waiting]) -> None:
        try:
            drawn = self.predictors[batch[0].style].draw([waiting.photo for waiting in batch])
        except BaseException as error:
            for waiting in batch:
                waiting.drawn.set_exception(error)
        else:
            for waiting, cartoon in zip(batch, drawn):
                waiting.drawn.set_result(cartoon)

    def _video_megapixels(self) -> int:
        from ..video.media import MAX_MEGAPIXELS

        return min(self.limits.megapixels, MAX_MEGAPIXELS)

    def _video_options(self, options: Options) -> pipeline.VideoOptions:
        from ..video import pipeline

        return pipeline.VideoOptions(
            start=options.start,
            duration=min(options.duration or self.limits.seconds, self.limits.seconds),
            max_size=min(options.size or VIDEO_SIZE, VIDEO_SIZE),
            max_megapixels=self._video_megapixels(),
        )
