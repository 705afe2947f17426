"""Writers of frames: MP4, MOV, Matroska and WebM with audio, GIF, or numbered images."""

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
from .clips import ImageSequence, VideoClip
from .color import filter_chain
from .formats import MUXERS, Codec, member
from .reader import Frame
from .tracks import TrackWriter, everything_but_frames

FINEST = 1_000_000  # timestamps per second at most
GIF_TIME_BASE = Fraction(1, 100)
GIF_MIN_DELAY = 2  # hundredths of a second between frames: viewers take less for ten
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


class _Encoded(FrameWriter):
    """A file that FFmpeg encodes, for a `with` block, of at least one frame.

    All frames get the size of the first: others are fitted into it, with black bars where the proportions differ.

    Subclasses define `add_stream`, `filters` on the frames and, if needed, `prepare`.
    """

    min_step = 1  # units of the time base between frames

    def __init__(self, path: Path, muxer: str, rate: Fraction, time_base: Fraction, options: dict[str, str]) -> None:
        self.rate, self.time_base, self.last = rate, time_base, -self.min_step
        self.out = av.open(f"file:{path}", "w", muxer, container_options=options)
        self.stream: av.VideoStream | None = None
        self._graph: Graph | None = None
        self._durations: dict[int, int] = {}  # by timestamp
        self._size: tuple[int, int] | None = None
        self._fitted: Counter[tuple[int, int]] = Counter()  # frames by their size

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            if kind is None:
                self.finish()
                self.out.close()
        finally:
            with suppress(av.FFmpegError):  # an incomplete file is discarded anyway
                self.out.close()

    def write(self, frame: Frame) -> None:
        encoded = av.VideoFrame.from_ndarray(self.prepare(self._fit(frame.rgb)))
        encoded.pts, encoded.time_base = self.ticks(frame), self.time_base
        self._durations[encoded.pts] = max(self.min_step, round(self.duration(frame) / self.time_base))
        self.last = encoded.pts
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
        if not self._fitted:
            return []
        (width, height), count = self._fitted.most_common(1)[0][0], self._fitted.total()
        sizes = f"{width}x{height}" if len(self._fitted) == 1 else f"other sizes, such as {width}x{height},"
        return [f"{count} frames of {sizes} were fitted into {self._size[0]}x{self._size[1]}, that of the first"]

    def _fit(self, rgb: np.ndarray) -> np.ndarray:
        size = rgb.shape[1], rgb.shape[0]
        self._size = self._size or size
        if size == self._size:
            return rgb
        self._fitted[size] += 1
        return np.asarray(ImageOps.pad(Image.fromarray(rgb), self._size, Image.Resampling.LANCZOS, "black"))

    def finish(self) -> None:
        self._encode(None)
        self.out.mux(self._with_durations(self.stream.encode(None)))

    def prepare(self, rgb: np.ndarray) -> np.ndarray:
        return rgb

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
                self.out.mux(self._with_durations(self.stream.encode(self._graph.pull())))

    def _with_durations(self, packets: list[av.Packet]) -> list[av.Packet]:
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts, 0)
        return packets


class VideoWriter(_Encoded):
    """Writes a video in BT.709, with the audio of the input clip.

    Odd sides are padded by a copy of the last row or column, since common codecs subsample color by two.

    Args:
        path: of the file; its suffix selects the container.
        codec: from `choose_codec`.
        clip: the source of timestamps and audio.
    """

    def __init__(self, path: Path, codec: Codec, clip: VideoClip | ImageSequence) -> None:
        muxer = MUXERS[path.suffix.lower()][0]
        options = {"movflags": "+faststart"} if muxer in ("mp4", "mov") else {}
        time_base = clip.time_base if clip.time_base.denominator <= FINEST else Fraction(1, FINEST)
        super().__init__(path, muxer, clip.rate, time_base, options)
        self.codec, self.clip = codec, clip
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
        left_out = self._tracks.left_out if self._tracks else []
        return super().remarks + _left_out(left_out, self.out.format.name)

    def prepare(self, rgb: np.ndarray) -> np.ndarray:
        height, width = rgb.shape[:2]
        return np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), "edge")

    def add_stream(self) -> av.VideoStream:
        stream = self.out.add_stream(self.codec.encoder, self.rate)
        stream.options = {**self.codec.options, "crf": str(self.codec.crf)}
        stream.pix_fmt = "yuv420p"
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
        return filter_chain(frame, ("scale", colors), ("format", "yuv420p"), ("setparams", tags))


class GifWriter(_Encoded):
    """Writes an animated GIF with an optimized palette of 256 colors per frame, at most 50 frames per second.

    Args:
        path: of the file.
        clip: the source of timestamps.
        source: the input file; a GIF keeps its loop count, everything else loops forever.
    """

    min_step = GIF_MIN_DELAY

    def __init__(self, path: Path, clip: VideoClip | ImageSequence, source: Path) -> None:
        super().__init__(path, "gif", clip.rate, GIF_TIME_BASE, {"loop": str(_loop_count(source))})
        self.clip, self._waiting, self._count, self._merged = clip, None, 0, 0

    def write(self, frame: Frame) -> None:
        """Writes the frame before, unless it is too close: then the longer of the two stays for the time of both."""
        before, self._waiting = self._waiting, frame
        self._count += 1
        if before is None:
            return
        if round(frame.time / self.time_base) < self.ticks(before) + self.min_step:
            kept = frame if self.duration(frame) >= self.duration(before) else before
            end = frame.time + self.duration(frame)
            self._waiting = kept._replace(time=before.time, duration=end - before.time)
            self._merged += 1
        else:
            super().write(before)

    def finish(self) -> None:
        super().write(self._waiting)
        super().finish()

    @property
    def remarks(self) -> list[str]:
        merged = f"{self._merged} of {self._count} frames left out: a GIF holds at most 50 per second"
        found = super().remarks + ([merged] if self._merged else [])
        return found + _left_out(_besides_frames(self.clip), "a GIF")

    def add_stream(self) -> av.VideoStream:
        stream = self.out.add_stream("gif", self.rate)
        stream.pix_fmt = "pal8"
        return stream

    def filters(self, frame: av.VideoFrame) -> Graph:
        graph = Graph()
        source = graph.add_buffer(None, frame.width, frame.height, frame.format, None, frame.time_base)
        split, use = graph.add("split"), graph.add("paletteuse", "new=1")
        palette = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
        source.link_to(split)
        split.link_to(use, 0, 0)
        split.link_to(palette, 1, 0)
        palette.link_to(use, 0, 1)
        use.link_to(graph.add("buffersink"))
        graph.configure()
        return graph


def _loop_count(source: Path) -> int:
    """The number of repetitions of a GIF, as FFmpeg counts: 0 is forever, -1 is none."""
    if source.suffix.lower() != ".gif":
        return 0
    with images.opened(source) as image:
        return image.info.get("loop", -1)


class ImageSequenceWriter(FrameWriter):
    """Writes numbered images.

    Args:
        pattern: of their paths, such as frames/%05d.png.
        quality: 1 to 100, of JPEG and WebP.
        clip: the source.
    """

    def __init__(self, pattern: Path, quality: int, clip: VideoClip | ImageSequence) -> None:
        self.pattern, self.quality, self.clip = pattern, quality, clip

    def write(self, frame: Frame) -> None:
        images.write(member(self.pattern, frame.number), images.Picture(frame.rgb), self.quality)

    def has(self, frame: Frame) -> bool:
        return member(self.pattern, frame.number).is_file()

    @property
    def remarks(self) -> list[str]:
        return _left_out(_besides_frames(self.clip), "numbered images")


def _besides_frames(clip: VideoClip | ImageSequence) -> list[str]:
    return everything_but_frames(clip.audio_path) if clip.audio_path else []


def _left_out(found: list[str], container: str) -> list[str]:
    return [f"left out, since {container} cannot hold it: {', '.join(found)}"] if found else []
