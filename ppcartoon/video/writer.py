"""Writers of frames: MP4, MOV, Matroska and WebM with audio, and numbered images."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from PIL import Image, ImageOps

from .. import images
from ..errors import InputError
from ..utils.machine import cores
from .clips import Clip
from .color import filter_chain
from .formats import MUXERS, Codec, member
from .reader import Frame
from .tracks import TrackWriter, everything_but_frames

FINEST = 1_000_000  # timestamps per second at most
BT709, LIMITED = 1, 1  # H.273's number of the matrix, transfer and primaries; FFmpeg's number of the range
os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder logs errors only


class FrameWriter:
    """Base class of writers, for a `with` block.

    Attributes:
        until: seconds at which the audio ends; by default all of it is written.
        warnings: what could not be read from the source.
        remarks: what the output could not hold, and what was changed to fit it.
    """

    until = math.inf
    warnings: Sequence[str] = ()
    remarks: Sequence[str] = ()

    def __enter__(self) -> FrameWriter:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        """Completes the output, unless there was an error."""

    def write(self, frame: Frame) -> None:
        """Writes a frame.

        Raises:
            InputError: the encoder does not support its size.
            OSError: the output cannot be written.
        """
        raise NotImplementedError

    def has(self, frame: Frame) -> bool:
        """Whether the output of a frame exists on its own."""
        return False


class EncodedWriter(FrameWriter):
    """A file that FFmpeg encodes, for a `with` block, of at least one frame.

    All frames get the size of the first: others are fitted into it, with bars where the proportions differ, black or
    transparent.

    Subclasses define `add_stream`, `filters` on the frames and, if needed, `prepare` and `adjust`.

    Attributes:
        alpha: whether the output has transparency; otherwise transparent parts are on white.
    """

    min_step = 1  # units of the time base between frames

    def __init__(
        self, path: Path, muxer: str, clip: Clip, time_base: Fraction, options: dict[str, str], alpha: bool
    ) -> None:
        self.clip, self.rate, self.time_base, self.last, self.alpha = clip, clip.rate, time_base, -self.min_step, alpha
        self.out = av.open(f"file:{path}", "w", muxer, container_options=options)
        self.stream: av.VideoStream | None = None
        self._graph: Graph | None = None
        self._durations: dict[int, int] = {}  # by timestamp
        self._size: tuple[int, int] | None = None
        self.end = 0  # of the last frame, as a timestamp
        self._fitted: Counter[tuple[int, int]] = Counter()  # frames by their size
        self._on_white = 0  # frames

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            if kind is None:
                self.finish()
                self.out.close()
        finally:
            with suppress(av.FFmpegError):  # an incomplete file is discarded anyway
                self.out.close()

    def write(self, frame: Frame) -> None:
        pixels = self.prepare(self._fit(self._with_alpha(frame) if self.alpha else self._opaque(frame)))
        encoded = av.VideoFrame.from_ndarray(pixels, "rgba" if self.alpha else "rgb24")
        encoded.pts, encoded.time_base = self.ticks(frame), self.time_base
        self._durations[encoded.pts] = max(self.min_step, round(self.duration(frame) / self.time_base))
        self.last, self.end = encoded.pts, encoded.pts + self._durations[encoded.pts]
        if not self.stream:
            self._start(encoded)
        self._encode(encoded)

    def ticks(self, frame: Frame) -> int:
        """The timestamp of a frame in units of the time base, later than that of the frame before."""
        return max(round(frame.time / self.time_base), self.last + self.min_step)

    def duration(self, frame: Frame) -> float:
        return frame.duration or float(1 / self.rate)

    @property
    def remarks(self) -> list[str]:
        found = on_white(self._on_white, f"{self.stream.codec.canonical_name} in {self.out.format.name}")
        if self._fitted:
            (width, height), count = self._fitted.most_common(1)[0][0], self._fitted.total()
            sizes = f"{width}x{height}" if len(self._fitted) == 1 else f"other sizes, such as {width}x{height},"
            first = f"{self._size[0]}x{self._size[1]}, that of the first"
            found.append(f"{count} frames of {sizes} were fitted into {first}")
        return found

    def _opaque(self, frame: Frame) -> np.ndarray:
        self._on_white += frame.alpha is not None
        return images.on_white(images.Picture(frame.rgb, frame.alpha))

    def _with_alpha(self, frame: Frame) -> np.ndarray:
        alpha = np.full(frame.rgb.shape[:2], 255, np.uint8) if frame.alpha is None else frame.alpha
        return np.dstack([frame.rgb, alpha])

    def _fit(self, pixels: np.ndarray) -> np.ndarray:
        size = pixels.shape[1], pixels.shape[0]
        self._size = self._size or size
        if size == self._size:
            return pixels
        self._fitted[size] += 1
        bars = (0,) * pixels.shape[2]
        return np.asarray(ImageOps.pad(Image.fromarray(pixels), self._size, Image.Resampling.LANCZOS, bars))

    def finish(self) -> None:
        self._encode(None)
        self._mux(self.stream.encode(None))

    def prepare(self, pixels: np.ndarray) -> np.ndarray:
        return pixels

    def adjust(self, packet: av.Packet) -> None:
        """Changes the content of a packet before it is written."""

    def _start(self, frame: av.VideoFrame) -> None:
        self._graph = self.filters(frame)
        self.stream = self.add_stream()
        self.stream.width, self.stream.height = frame.width, frame.height
        self.stream.codec_context.time_base = self.time_base
        try:
            self.out.start_encoding()
        except OSError:
            raise
        except av.FFmpegError as error:
            name = self.stream.codec_context.name
            raise InputError(
                f"{name} cannot encode frames of {frame.width}x{frame.height} ({error.strerror}); try another --codec"
            ) from error

    def _encode(self, frame: av.VideoFrame | None) -> None:
        self._graph.push(frame)
        with suppress(av.error.BlockingIOError, av.error.EOFError):
            while True:
                self._mux(self.stream.encode(self._graph.pull()))

    def _mux(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts, 0)
            self.adjust(packet)
        self.out.mux(packets)


class VideoWriter(EncodedWriter):
    """Writes a video in BT.709, with the audio of the input clip.

    Odd sides are padded by a copy of the last row or column, since common codecs subsample color by two.

    Args:
        path: of the file; its suffix selects the container.
        codec: from `choose_codec`.
        clip: the source of timestamps and audio.
    """

    def __init__(self, path: Path, codec: Codec, clip: Clip) -> None:
        muxer = MUXERS[path.suffix.lower()][0]
        options = {"movflags": "+faststart"} if muxer in ("mp4", "mov") else {}
        time_base = clip.time_base if clip.time_base.denominator <= FINEST else Fraction(1, FINEST)
        super().__init__(path, muxer, clip, time_base, options, bool(codec.alpha) and clip.is_transparent())
        self.codec, self.pixels = codec, codec.alpha if self.alpha else codec.pixels
        self._tracks: TrackWriter | None = None

    def __exit__(self, *error: object) -> None:
        try:
            super().__exit__(*error)
        finally:
            if self._tracks:
                self._tracks.__exit__()

    def write(self, frame: Frame) -> None:
        super().write(frame)
        if self._tracks:
            self._tracks.write(frame.time)

    def finish(self) -> None:
        super().finish()
        if self._tracks:
            self._tracks.write(self.until)

    @property
    def warnings(self) -> Sequence[str]:
        return self._tracks.warnings if self._tracks else ()

    @property
    def remarks(self) -> list[str]:
        return super().remarks + left_out(self._tracks.left_out if self._tracks else [], self.out.format.name)

    def prepare(self, pixels: np.ndarray) -> np.ndarray:
        height, width = pixels.shape[:2]
        return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), "edge")

    def add_stream(self) -> av.VideoStream:
        stream = self.out.add_stream(self.codec.encoder, self.rate)
        stream.options = self.codec.options | ({} if self.codec.crf is None else {"crf": str(self.codec.crf)})
        stream.pix_fmt = self.pixels
        if self.alpha:
            stream.metadata["alpha_mode"] = "1"  # of VP9
        context = stream.codec_context
        context.thread_count = cores()  # FFmpeg does not know the CPU quota of a container
        context.colorspace = context.color_trc = context.color_primaries = BT709
        context.color_range = LIMITED
        if self.codec.encoder == "libx265" and self.out.format.name in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # required by Apple's players
        if self.clip.audio_path:  # audio streams follow the video stream, as players expect
            self._tracks = TrackWriter(self.clip.audio_path, self.out, self.clip.time_range)
        return stream

    def filters(self, frame: av.VideoFrame) -> Graph:
        colors = "out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_int"
        tags = "colorspace=bt709:color_trc=bt709:color_primaries=bt709:range=tv"
        return filter_chain(frame, ("scale", colors), ("format", self.pixels), ("setparams", tags))


class ImageSequenceWriter(FrameWriter):
    """Writes numbered images.

    Args:
        pattern: of their paths, such as frames/%05d.png.
        quality: 1 to 100, of JPEG and WebP.
        clip: the source.
    """

    def __init__(self, pattern: Path, quality: int, clip: Clip) -> None:
        self.pattern, self.quality, self.clip, self._on_white = pattern, quality, clip, 0

    def write(self, frame: Frame) -> None:
        path = member(self.pattern, frame.number)
        self._on_white += frame.alpha is not None and images.WRITABLE[path.suffix.lower()] == "JPEG"
        images.write(path, images.Picture(frame.rgb, frame.alpha), self.quality)

    def has(self, frame: Frame) -> bool:
        return member(self.pattern, frame.number).is_file()

    @property
    def remarks(self) -> list[str]:
        return on_white(self._on_white, "JPEG") + left_out(besides_frames(self.clip), "numbered images")


def besides_frames(clip: Clip) -> list[str]:
    return everything_but_frames(clip.audio_path) if clip.audio_path else []


def on_white(count: int, container: str) -> list[str]:
    if not count:
        return []
    return [f"transparent parts of {count} frames are white, since {container} cannot hold them; .webm and .webp can"]


def left_out(found: list[str], container: str) -> list[str]:
    return [f"left out, since {container} cannot hold it: {', '.join(found)}"] if found else []
