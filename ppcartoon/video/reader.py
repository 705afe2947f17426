"""Decodes the frames of a video with FFmpeg (PyAV): upright, with square pixels, in sRGB."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.filter import Graph
from av.format import Flags
from av.stream import Disposition

from ..errors import InputError
from ..utils.machine import cores
from ..utils.timecode import parse_time
from .color import Renderer, filter_chain, has_alpha, square_size
from .media import MAX_MEGAPIXELS, MediaFile
from .timestamps import JUMP, Timeline, sorted_times

CUT = 0.15  # FFmpeg's score of a scene change, in [0, 1]; low, since near-duplicates are removed later
SETTLED = 1.0  # seconds after a cut, when most fades are over
GAP = 0.2  # minimum seconds between I-frames: some codecs have nothing else
SEEK_BACK = 0, 10, 60  # seconds: tried in turn, where a seek finds no I-frame before its target
ROUNDING = 0.001  # seconds: timestamps are rounded by containers
LONG_GAP = 1.0  # seconds without a frame that are worth a remark, in undamaged files
CONTIGUOUS = {"matroska,webm", "flv"}  # containers that store next to nothing between packets,
MAX_OVERHEAD = 512  # in bytes
KEEP_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # decoders of transparency, which FFmpeg's own drop
LOOK_BACK = 1.0  # seconds decoded before the first selected frame, for the scene score to settle


class Frame(NamedTuple):
    """A frame of a video or of an image sequence.

    Attributes:
        time: seconds from the start of the video; of frames of a clip, from the start of its time range.
        rgb: uint8 [H, W, 3] in sRGB.
        duration: seconds until the next frame; 0 if unknown.
        number: in a clip, counted from 1; of an image sequence, the number in the file name.
        late: not the first frame of its scene, but one from SETTLED seconds later, when the scene has faded in.
        alpha: uint8 [H, W], 255 is opaque; None for a frame without transparency.
    """

    time: float
    rgb: np.ndarray
    duration: float = 0
    number: int = 0
    late: bool = False
    alpha: np.ndarray | None = None


class Gap(NamedTuple):
    """A part of a video without frames.

    Attributes:
        start: in seconds.
        seconds: that it lasts.
        damaged: whether a part of the file cannot be read there.
    """

    start: float
    seconds: float
    damaged: bool


class VideoReader:
    """A video file, for a `with` block.

    Args:
        path: any file that FFmpeg reads; references to other files or hosts are not followed.
        threads: of the decoder; None for one per core.
        max_megapixels: larger frames are skipped and counted as broken.

    Attributes:
        size: width and height of a frame in pixels, with square pixels, before it is rotated.
        duration: in seconds; None if unknown.
        stream_duration: of the video stream alone, as the container states it, in seconds; None if it does not.
        decoded_until: seconds at which the last decoded frame ends.
        offset: seconds from the start of the file, audio included, to its first frame.
        rate: frames per second, on average.
        seekable: whether reading can start in the middle.
        time_base: the unit of the timestamps, in seconds.
        broken: number of packets and frames so far that could not be decoded and were skipped.
        gaps: damaged or long parts so far without frames.
        corrected: number of frames so far whose stored times did not rise.
        is_cut: whether it is a GIF that ends within a frame.
        has_alpha: whether its format has transparency, which need not be used.

    Raises:
        InputError: the file is missing, is not a video, contains no frames, or has larger frames than allowed.
    """

    def __init__(self, path: Path, threads: int | None = None, max_megapixels: int = MAX_MEGAPIXELS) -> None:
        self.path, self.broken = path, 0
        self._container = MediaFile(path, max_megapixels)
        try:
            self._inspect(threads, max_megapixels)
        except BaseException:
            self._container.close()
            raise

    def _inspect(self, threads: int | None, max_megapixels: int) -> None:
        """Chooses the video stream and reads what the container says about it."""
        self._stream = self._container.streams.best("video")
        if self._stream is None or self._is_not_video():
            raise InputError(f"{self.path}: contains no video, only audio, text or nothing")
        context = self._stream.codec_context
        self._aspect = self._stream.sample_aspect_ratio or 1
        self.size = square_size(context.width, context.height, self._aspect)
        self._container.check_size(*self.size)
        self._stream.thread_type = "AUTO"
        self._decoder, self._is_libvpx = context, False
        if name := _alpha_decoder(self._stream):
            self._decoder, self._is_libvpx = av.CodecContext.create(name, "r"), True
        self._decoder.thread_count = threads or cores()
        self._decoder.options = {"max_pixels": str(max_megapixels * 1_000_000)}
        self.has_alpha = self._is_libvpx or bool(context.format and has_alpha(context.format))
        flags = self._container.format.flags
        self._has_timestamps = not flags & Flags.no_timestamps.value  # raw streams have none
        self.seekable = self._has_timestamps and not flags & Flags.ts_discont.value  # MPEG's may restart
        audio = [stream for stream in self._container.streams.audio if stream.start_time is not None]
        starts = [float((stream.start_time or 0) * stream.time_base) for stream in (self._stream, *audio)]
        self._first, self.offset, self.decoded_until = starts[0], starts[0] - min(starts), 0.0
        self.gaps: list[Gap] = []
        self.corrected = 0
        self.is_cut = self._container.format.name == "gif" and _ends_in_a_block(self.path)
        self._damages: list[float] = []  # times at which a part of the file cannot be read
        self._contiguous = self._container.format.name in CONTIGUOUS
        self._in_file_order = bool(self._stream.codec_context.has_b_frames)
        self.stream_duration = _stream_duration(self._stream, self._first)
        if self._container.format.name == "avi" and self._stream.frames:  # of a truncated file, FFmpeg estimates it
            self.stream_duration = float(self._stream.frames * self._stream.time_base)
        duration = (self._container.duration or 0) / av.time_base
        self.duration = self.stream_duration or duration or None
        self.rate = self._stream.average_rate or self._stream.codec_context.framerate or Fraction(25)
        self.time_base = self._stream.time_base

    def _is_not_video(self) -> bool:
        """Whether FFmpeg presents something else as a video stream: text, or an album cover."""
        context = self._stream.codec_context  # None for an unknown codec
        cover = self._stream.disposition & Disposition.attached_pic
        return bool(cover) or self._container.format.name == "tty" or not (context and context.width)

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def frames(
        self, pick: str | float, start: float = 0, end: float = math.inf, after: float = -1, shorter: int = 2**15
    ) -> Iterator[Frame]:
        """Selected frames in order of time.

        Args:
            pick: "keyframes" for I-frames, the fastest, since nothing else is decoded; "scenes" for the first frame of
                each scene, and a late one; "frames" for all; a number for one frame per that many seconds.
            start: seconds from which frames count.
            end: seconds up to which frames count.
            after: frames up to this time, in seconds, are skipped; the selection is otherwise unchanged.
            shorter: pixels of the shorter side; larger frames are reduced.
        """
        scenes = SceneDetector()

        def selected(time: float, frame: av.VideoFrame) -> bool:
            if pick in ("scenes", "frames"):
                return time >= start - ROUNDING and time > after
            if pick == "keyframes":
                return (frame.key_frame or self._is_libvpx) and time >= max(start, after + GAP) - ROUNDING
            return time >= start - ROUNDING and (time - start + ROUNDING) // pick > (after - start + ROUNDING) // pick

        only_keys = pick == "keyframes" and self._has_timestamps
        self._decoder.skip_frame = "NONKEY" if only_keys else "DEFAULT"
        render = Renderer(self._aspect, shorter)
        for time, frame in self._decode_from(max(start, after) - LOOK_BACK):
            if time > end + ROUNDING:
                return
            late = scenes.is_late(time, frame) if pick == "scenes" else False
            if late is None or not selected(time, frame):
                continue
            try:
                self._container.check_size(*square_size(frame.width, frame.height, self._aspect))
                rgb, alpha = render(frame)
            except (InputError, av.FFmpegError):  # too large, or in colors that damaged headers invent
                self.broken += 1
                continue
            after = time
            yield Frame(time, rgb, _duration(frame), late=late, alpha=alpha)

    def _decode_from(self, start: float) -> Iterator[tuple[float, av.VideoFrame]]:
        """Decoded frames with their times: all from `start` on, and some before."""
        for back in SEEK_BACK if self.seekable else ():
            if start - back <= 0:
                break
            self._seek(int((start - back + self._first) / self._stream.time_base), self._stream)
            broken, decoded = self.broken, self._decode()
            head = next(decoded, None)
            if head and head[0] <= start:
                return chain([head], decoded)
            self.broken = broken  # decoding cannot start here
            self._rewind()
        if self.decoded_until and self.seekable:
            self._rewind()
        return self._decode()

    def _rewind(self) -> None:
        self._seek(0)

    def _seek(self, offset: int, stream: av.VideoStream | None = None) -> None:
        with suppress(av.FFmpegError):
            self._container.seek(offset, stream=stream)
        self._decoder.flush_buffers()

    def _decode(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """Decoded frames with their times, which rise, from the current position in the file."""
        step = 1 / float(self._stream.codec_context.framerate or self._stream.average_rate or 25)
        limit = 2 * (self.stream_duration or math.inf) + 10  # containers understate the duration at times
        timeline, end = Timeline(0.0, step, limit), None
        all_frames = self._decoder.skip_frame != "NONKEY"
        decoded = sorted_times(self._decode_as_stored(), lambda: self._in_file_order and all_frames)
        for (stored, frame), (after, _) in pairwise(chain(decoded, [(None, None)])):
            corrected = timeline.corrected
            time = timeline.place(stored, step, after)
            self.corrected += timeline.corrected - corrected
            if end is not None and all_frames and time > end + step / 2:
                self._note_gap(end, time)
            end = time + (_duration(frame) or step)
            self.decoded_until = max(self.decoded_until, end)
            yield time, frame

    def _note_gap(self, start: float, end: float) -> None:
        damaged = any(start - JUMP < time < end + JUMP for time in self._damages)
        gap = Gap(start, end - start, damaged)
        if (damaged or gap.seconds > LONG_GAP) and gap not in self.gaps:
            self.gaps.append(gap)

    def _decode_as_stored(self) -> Iterator[tuple[float | None, av.VideoFrame]]:
        """Decoded frames with their times as stored, if any."""
        packets, position, before, time = self._container.demux(), math.inf, -math.inf, 0.0
        while True:
            try:
                packet = next(packets)
                if packet.pts is not None:
                    time = float(packet.pts * packet.time_base) - self._first
                hole = self._contiguous and packet.pos is not None and packet.pos > position + MAX_OVERHEAD
                if hole or packet.is_corrupt:
                    self._damages.append(time)
                position = math.inf if packet.pos is None else packet.pos + packet.size
                if packet.stream.index != self._stream.index:
                    continue
                if packet.pts is not None:
                    self._in_file_order &= packet.pts > before
                    before = packet.pts
                if self._is_libvpx and self._decoder.skip_frame == "NONKEY" and packet.size and not packet.is_keyframe:
                    continue  # libvpx decodes all frames, and does not tell which are I-frames
                decoded = self._decoder.decode(packet)
            except StopIteration:
                return
            except IndexError:  # raised by PyAV where a stream starts that was not there at first
                packets = self._container.demux()
                continue
            except av.FFmpegError:
                self.broken += 1
                self._damages.append(time)
                continue
            for frame in decoded:
                if frame.is_corrupt:
                    self.broken += 1
                    self._damages.append(time)
                else:
                    timed = self._has_timestamps and frame.time is not None
                    yield frame.time - self._first if timed else None, frame


def _alpha_decoder(stream: av.VideoStream) -> str | None:
    """The decoder of a stream with transparency that FFmpeg's own decoder would drop; None for all others."""
    tags = {name.lower(): value for name, value in stream.metadata.items()}
    return KEEP_ALPHA.get(stream.codec_context.name) if tags.get("alpha_mode") == "1" else None


def _stream_duration(stream: av.VideoStream, first: float) -> float | None:
    """Seconds that a stream lasts, by its container or Matroska's tags; None if neither states it."""
    if stream.duration and stream.duration > 0:
        return float(stream.duration * stream.time_base)
    with suppress(ValueError):  # the tag is the time at which the stream ends
        return max(0.0, parse_time(stream.metadata.get("DURATION", "")) - first) or None
    return None


def _ends_in_a_block(path: Path) -> bool:
    """Whether a GIF ends before its last block does; FFmpeg then returns an incomplete frame without an error."""
    with open(path, "rb") as file:

        def skip_colors(flags: int) -> None:
            file.seek((6 << (flags & 7)) * (flags >> 7), os.SEEK_CUR)

        skip_colors(file.read(13).ljust(13)[10])
        while (kind := file.read(1)) in (b"!", b","):  # an extension, a frame
            if kind == b",":
                skip_colors(file.read(9).ljust(9)[8])
            file.seek(1, os.SEEK_CUR)
            while (length := file.read(1)) > b"\0":
                file.seek(length[0], os.SEEK_CUR)
            if not length:
                return True
        return False


def _duration(frame: av.VideoFrame) -> float:
    return float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 0


class SceneDetector:
    """Detects scene changes in consecutive frames."""

    def __init__(self) -> None:
        self._settled = math.inf
        self._key: tuple = ()
        self._graph: Graph | None = None

    def is_late(self, time: float, frame: av.VideoFrame) -> bool | None:
        """False for the first frame of a scene, True for the one SETTLED seconds later, None for all others."""
        if self._is_first(frame):
            self._settled = time + SETTLED
            return False
        if time < self._settled - ROUNDING:
            return None
        self._settled = math.inf
        return True

    def _is_first(self, frame: av.VideoFrame) -> bool:
        key = frame.width, frame.height, frame.format.name
        if key != self._key:
            self._key, self._graph = key, filter_chain(frame, ("select", f"eq(n,0)+gt(scene,{CUT})"))
        self._graph.push(frame)
        try:
            return bool(self._graph.pull())
        except av.BlockingIOError:
            return False
