"""Writers of animated images: GIF, WebP and PNG."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.filter import Graph

from .. import images
from ..errors import InputError
from .clips import MILLISECOND, Clip
from .color import filter_chain
from .reader import Frame
from .writer import EncodedWriter, besides_frames, left_out

GIF_TIME_BASE = Fraction(1, 100)
GIF_MIN_DELAY = 2  # hundredths of a second between frames: viewers take less for ten
HAS_TRANSPARENT, DISPOSAL, TO_BACKGROUND = 0b00001, 0b11100, 0b01000  # flags of a GIF frame; the last two: its end
ALPHA = 0x10  # flag of a WebP file with transparency
UNUSED = 255  # color of opaque frames, since one is reserved


class _AnimationWriter(EncodedWriter):
    """Base class of the writers; `title` names the format in messages."""

    title = ""

    @property
    def remarks(self) -> list[str]:
        return super().remarks + left_out(besides_frames(self.clip), self.title)


class GifWriter(_AnimationWriter):
    """Writes an animated GIF with an optimized palette of 256 colors per frame, at most 50 frames per second.

    Args:
        path: of the file.
        clip: the source of timestamps.
        source: the input file; an animated image keeps its loop count, everything else loops forever.
    """

    min_step = GIF_MIN_DELAY
    title = "a GIF"

    def __init__(self, path: Path, clip: Clip, source: Path) -> None:
        plays = _plays(source)
        loop = plays - 1 or -1 if plays else 0  # FFmpeg counts repetitions: 0 is forever, -1 is none
        super().__init__(path, "gif", clip, GIF_TIME_BASE, {"loop": str(loop)}, clip.is_transparent())
        self._waiting, self._count, self._merged = None, 0, 0

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
        return super().remarks + ([merged] if self._merged else [])

    def add_stream(self) -> av.VideoStream:
        stream = self.out.add_stream("gif", self.rate)
        stream.pix_fmt = "pal8"
        stream.options = {"gifflags": "0"} if self.alpha else {}  # its compression mixes transparent frames up
        return stream

    def adjust(self, packet: av.Packet) -> None:
        """Clears each frame before the next one is drawn, which FFmpeg's encoder does after transparent ones only."""
        if self.alpha:
            data = bytearray(packet)
            table = 13 + (6 << (data[10] & 7)) * (data[10] >> 7) if data.startswith(b"GIF8") else 0
            if not data[table + 3] & HAS_TRANSPARENT:  # decoders then clear to a color
                data[table + 6] = UNUSED
            data[table + 3] = data[table + 3] & ~DISPOSAL | TO_BACKGROUND | HAS_TRANSPARENT
            packet.update(bytes(data))

    def filters(self, frame: av.VideoFrame) -> Graph:
        graph = Graph()
        source = graph.add_buffer(None, frame.width, frame.height, frame.format, None, frame.time_base)
        split, use = graph.add("split"), graph.add("paletteuse", "new=1")
        palette = graph.add("palettegen", f"stats_mode=single:reserve_transparent={int(self.alpha)}")
        source.link_to(split)
        split.link_to(use, 0, 0)
        split.link_to(palette, 1, 0)
        palette.link_to(use, 0, 1)
        use.link_to(graph.add("buffersink"))
        graph.configure()
        return graph


class WebpWriter(_AnimationWriter):
    """Writes an animated WebP; its compressed frames are in memory until the end.

    Args:
        path: of the file.
        clip: the source of timestamps.
        source: the input file; an animated image keeps its loop count, everything else loops forever.
        quality: 1 to 100.
    """

    title = "an animated WebP"

    def __init__(self, path: Path, clip: Clip, source: Path, quality: int) -> None:
        super().__init__(path, "webp", clip, MILLISECOND, {"loop": str(_plays(source))}, clip.is_transparent())
        self.quality = quality

    def prepare(self, pixels: np.ndarray) -> np.ndarray:
        images.check_side(pixels, "WEBP")
        return pixels

    def add_stream(self) -> av.VideoStream:
        stream = self.out.add_stream("libwebp_anim", self.rate)
        stream.pix_fmt, stream.options = "bgra", {"quality": str(self.quality)}
        return stream

    def filters(self, frame: av.VideoFrame) -> Graph:
        return filter_chain(frame, ("format", "bgra"))

    def adjust(self, packet: av.Packet) -> None:
        """Corrects what libwebp guesses: the last frame's duration, and whether there is alpha, in the whole file."""
        data, at, last, total = bytearray(packet), 12, 0, 0
        while at < len(data):
            kind, size = struct.unpack_from("<4sI", data, at)
            if kind == b"ANMF":
                last, before = at + 20, total
                total += int.from_bytes(data[last : last + 3], "little")
            at += 8 + size + size % 2
        if last:
            data[last : last + 3] = (self.end - before).to_bytes(3, "little")
            data[20] |= ALPHA * self.alpha  # libwebp omits it if each frame is opaque, on a transparent canvas
            packet.update(bytes(data))


class ApngWriter(_AnimationWriter):
    """Writes an animated PNG.

    Args:
        path: of the file.
        clip: the source of timestamps.
        source: the input file; an animated image keeps its loop count, everything else loops forever.
    """

    title = "an animated PNG"

    def __init__(self, path: Path, clip: Clip, source: Path) -> None:
        super().__init__(path, "apng", clip, MILLISECOND, {"plays": str(_plays(source))}, clip.is_transparent())

    def add_stream(self) -> av.VideoStream:
        stream = self.out.add_stream("apng", self.rate)
        stream.pix_fmt, stream.options = "rgba" if self.alpha else "rgb24", {"pred": "mixed"}
        return stream

    def filters(self, frame: av.VideoFrame) -> Graph:
        return filter_chain(frame, ("null", ""))

    def adjust(self, packet: av.Packet) -> None:
        """Writes the duration of the last frame, which FFmpeg does not know."""
        data = bytearray(packet)
        at = data.find(b"fcTL")
        if packet.pts == self.last and at >= 0:
            milliseconds = self.end - self.last
            delay = (milliseconds, 1000) if milliseconds < 1 << 16 else (min(milliseconds // 1000, 65535), 1)
            struct.pack_into(">HH", data, at + 24, *delay)
            struct.pack_into(">I", data, at + 30, zlib.crc32(data[at : at + 30]))
            packet.update(bytes(data))


def _plays(source: Path) -> int:
    """How many times an animated image is shown; 0 is forever, also for every other source."""
    with suppress(InputError), images.opened(source) as image:
        loop = image.info.get("loop")
        if image.format == "GIF":  # which counts repetitions
            return 1 if loop is None else loop and loop + 1
        return loop or 0
    return 0
