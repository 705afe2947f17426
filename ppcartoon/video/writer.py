"""Cartoons as films: MP4, MOV, Matroska and WebM with sound, GIF, or numbered images."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from PIL import Image

from .. import images
from ..errors import InputError
from .audio import Sound
from .clips import ImageSequence, Moment, VideoClip
from .color import linked
from .formats import MUXERS, Codec, member

FINEST = 1_000_000  # parts of a second that a timestamp may count
GIF_TICK = Fraction(1, 100)
GIF_LEAST = 2  # ticks between pictures: viewers take less for ten
BT709, LIMITED = 1, 1  # matrix, transfer and primaries as ITU-T H.273 numbers them; FFmpeg's number of the range
os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder's errors, and not all its settings


class FrameWriter:
    """Where pictures go, for a `with` block.

    Attributes:
        until: seconds up to which there is to be sound; all there is, unless told otherwise.
        warnings: what of the source could not be had.
    """

    until = math.inf
    warnings: Sequence[str] = ()

    def __enter__(self) -> FrameWriter:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        """Ends it well, if there was no error."""

    def write(self, moment: Moment) -> None:
        """Adds a picture.

        Raises:
            InputError: there can be none of this size.
            OSError: it cannot be written.
        """
        raise NotImplementedError


class _Encoded(FrameWriter):
    """A file that FFmpeg writes, for a `with` block; one without a picture is not whole.

    What is written differs in `prepared` pictures, `filters` on them, and the streams of `add_stream`.
    """

    least = 1  # ticks between pictures

    def __init__(self, path: Path, muxer: str, rate: Fraction, tick: Fraction, options: dict[str, str]) -> None:
        self.rate, self.tick, self.last = rate, tick, -self.least
        self.out = av.open(f"file:{path}", "w", muxer, container_options=options)
        self.stream: av.VideoStream | None = None
        self._graph: Graph | None = None
        self._lasting: dict[int, int] = {}

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            if kind is None and self.stream:
                self.finish()
                self.out.close()
        finally:
            with suppress(av.FFmpegError):  # of a file that nobody will have
                self.out.close()

    def write(self, moment: Moment) -> None:
        """Adds a picture; one that comes too soon after the last is left out."""
        frame = av.VideoFrame.from_ndarray(self.prepared(moment.rgb))
        frame.pts, frame.time_base = round(moment.time / self.tick), self.tick
        if frame.pts < self.last + self.least:
            return
        self._lasting[frame.pts] = max(self.least, round((moment.duration or 1 / self.rate) / self.tick))
        self.last = frame.pts
        if not self.stream:
            self._begin(frame)
        self._encode(frame)

    def finish(self) -> None:
        self._encode(None)
        self.out.mux(self._timed(self.stream.encode(None)))

    def prepared(self, rgb: np.ndarray) -> np.ndarray:
        return rgb

    def _begin(self, frame: av.VideoFrame) -> None:
        self._graph = self.filters(frame)
        self.stream = self.add_stream()
        self.stream.width, self.stream.height = frame.width, frame.height
        self.stream.codec_context.time_base = self.tick
        try:
            self.out.start_encoding()
        except OSError:
            raise
        except av.FFmpegError as error:
            name = self.stream.codec_context.name
            raise InputError(
                f"{name} takes no pictures of {frame.width}x{frame.height} ({error.strerror}); try another --codec"
            ) from error

    def _encode(self, frame: av.VideoFrame | None) -> None:
        self._graph.push(frame)
        with suppress(av.error.BlockingIOError, av.error.EOFError):
            while True:
                self.out.mux(self._timed(self.stream.encode(self._graph.pull())))

    def _timed(self, packets: list[av.Packet]) -> list[av.Packet]:
        for packet in packets:
            packet.duration = self._lasting.pop(packet.pts, 0)
        return packets


class VideoWriter(_Encoded):
    """A film, in BT.709, with the sound of another.

    Pictures with an odd side get one more row or column, a copy of the last: the usual codecs store colour in twos.

    Args:
        path: of the file; its ending tells the container.
        codec: from `choose_codec`.
        clip: where times and sound come from.
    """

    def __init__(self, path: Path, codec: Codec, clip: VideoClip | ImageSequence) -> None:
        muxer = MUXERS[path.suffix.lower()][0]
        options = {"movflags": "+faststart"} if muxer in ("mp4", "mov") else {}
        rate, tick = clip.rate, clip.tick
        super().__init__(path, muxer, rate, tick if tick.denominator <= FINEST else Fraction(1, FINEST), options)
        self.codec, self.clip = codec, clip
        self._sound: Sound | None = None

    def __exit__(self, *error: object) -> None:
        try:
            super().__exit__(*error)
        finally:
            if self._sound:
                self._sound.__exit__()

    def write(self, moment: Moment) -> None:
        super().write(moment)
        if self._sound:
            self._sound.write(moment.time)

    def finish(self) -> None:
        super().finish()
        if self._sound:
            self._sound.write(self.until)

    @property
    def warnings(self) -> Sequence[str]:
        return self._sound.warnings if self._sound else ()

    def prepared(self, rgb: np.ndarray) -> np.ndarray:
        height, width = rgb.shape[:2]
        return np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), "edge")

    def add_stream(self) -> av.VideoStream:
        stream = self.out.add_stream(self.codec.encoder, self.rate)
        stream.options = {**self.codec.options, "crf": str(self.codec.crf)}
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_trc = context.color_primaries = BT709
        context.color_range = LIMITED
        if self.codec.encoder == "libx265" and self.out.format.name in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # or Apple's players refuse it
        if self.clip.sound:  # after the picture, where players look for it
            self._sound = Sound(self.clip.sound, self.out, self.clip.cut)
        return stream

    def filters(self, frame: av.VideoFrame) -> Graph:
        colors = "out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_int"
        tags = "colorspace=bt709:color_trc=bt709:color_primaries=bt709:range=tv"
        return linked(frame, ("scale", colors), ("format", "yuv420p"), ("setparams", tags))


class GifWriter(_Encoded):
    """An animation in 256 colours a picture, the best of each, at most 50 pictures a second.

    Args:
        path: of the file.
        clip: where times come from.
        source: where the number of its rounds comes from, if that is a GIF; others go on for ever.
    """

    least = GIF_LEAST

    def __init__(self, path: Path, clip: VideoClip | ImageSequence, source: Path) -> None:
        super().__init__(path, "gif", clip.rate, GIF_TICK, {"loop": str(_rounds(source))})

    def add_stream(self) -> av.VideoStream:
        stream = self.out.add_stream("gif", self.rate)
        stream.pix_fmt = "pal8"
        return stream

    def filters(self, frame: av.VideoFrame) -> Graph:
        graph = Graph()
        source = graph.add_buffer(None, frame.width, frame.height, frame.format, None, frame.time_base)
        twice, use = graph.add("split"), graph.add("paletteuse", "new=1")
        palette = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
        source.link_to(twice)
        twice.link_to(use, 0, 0)
        twice.link_to(palette, 1, 0)
        palette.link_to(use, 0, 1)
        use.link_to(graph.add("buffersink"))
        graph.configure()
        return graph


def _rounds(source: Path) -> int:
    """How often a GIF is shown again, as FFmpeg counts: 0 for ever, -1 not at all."""
    if source.suffix.lower() != ".gif":
        return 0
    with Image.open(source) as image:
        return image.info.get("loop", -1)


class ImageSequenceWriter(FrameWriter):
    """Images in a folder.

    Args:
        pattern: of their names, see `ppcartoon.sequences`.
        quality: 1 to 100, of JPEG and WebP.
    """

    def __init__(self, pattern: Path, quality: int) -> None:
        self.pattern, self.quality = pattern, quality

    def write(self, moment: Moment) -> None:
        images.write(member(self.pattern, moment.number), images.Picture(moment.rgb), self.quality)
