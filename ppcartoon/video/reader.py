"""Pictures out of a video, upright, with square pixels and right colours, through FFmpeg, which PyAV brings along."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.filter import Graph
from av.format import Flags
from av.stream import Disposition

from ..errors import InputError
from ..utils.timecode import parse_time
from .color import Renderer, linked

CUT = 0.15  # FFmpeg's score of a scene change, in [0, 1]; nearly equal pictures go anyway
SETTLED = 1.0  # seconds after a cut, when most fades are over
GAP = 0.2  # seconds between I-frames at least: some codecs have nothing else
SEEK_BACK = 0, 10, 60  # seconds: where a place in the file has no I-frame before it, an earlier one is tried
RESTART = 1.0  # seconds that timestamps leap back when they begin anew
ROUNDING = 0.001  # seconds: what containers make of times
LOOK_BACK = 1.0  # seconds decoded before the first picture that is wanted, for the score to settle


class Shot(NamedTuple):
    """A picture of a film.

    Attributes:
        time: from the film's start, in seconds.
        rgb: uint8 [H, W, 3] in sRGB.
        late: not the first of its scene, but from SETTLED seconds later, when it has faded in.
        duration: seconds until the next frame; 0 where the file does not tell.
    """

    time: float
    rgb: np.ndarray
    late: bool = False
    duration: float = 0


def open_media(path: Path) -> InputContainer:
    """A file by FFmpeg, which follows nothing in it to other places."""
    return av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="replace")


class VideoReader:
    """A video file, for a `with` block.

    Args:
        path: anything that FFmpeg reads; what it may refer to outside is not followed.
        threads: of the decoder; 0 for as many as there are cores.

    Attributes:
        size: width and height in pixels, as it is stored.
        duration: in seconds; None where the file does not tell.
        announced: seconds that its pictures last, by its own account; None where it tells nothing, or of sound as well.
        reached: seconds at which the last frame that was decoded ends.
        lag: seconds from the start of the file, sound and all, to its first picture.
        rate: frames a second, on average.
        tick: the unit of its timestamps, in seconds.
        broken: packets and frames so far that could not be decoded whole, and were passed over.

    Raises:
        InputError: the file is missing, is no video, or has no picture in it.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        self.path, self.broken = path, 0
        try:
            if not path.is_file():
                raise InputError(f"{path}: {'a folder, not a video' if path.is_dir() else 'no such file'}")
            self._container = open_media(path)
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"{path}: not a video that FFmpeg can read ({error.strerror})") from error
        self._stream = self._container.streams.best("video")
        if self._stream is None or self._no_film():
            self._container.close()
            raise InputError(f"{path}: has no film in it, only sound, text or nothing")
        self._stream.thread_type, self._stream.codec_context.thread_count = "AUTO", threads
        self.size = self._stream.codec_context.width, self._stream.codec_context.height
        flags = self._container.format.flags
        self._timed = not flags & Flags.no_timestamps.value  # raw streams have none
        self._seekable = self._timed and not flags & Flags.ts_discont.value  # in MPEG's streams they may begin anew
        heard = [each for each in self._container.streams.audio if each.start_time is not None]
        starts = [float((each.start_time or 0) * each.time_base) for each in (self._stream, *heard)]
        self._first, self.lag, self.reached = starts[0], starts[0] - min(starts), 0.0
        self.announced = _announced(self._stream)
        self.duration = self.announced or (self._container.duration or 0) / av.time_base or None
        self.rate = self._stream.average_rate or self._stream.codec_context.framerate or Fraction(25)
        self.tick = self._stream.time_base

    def _no_film(self) -> bool:
        """Whether FFmpeg makes a picture of what is none: text, or the cover of an album."""
        context = self._stream.codec_context  # none where the codec is unknown
        cover = self._stream.disposition & Disposition.attached_pic
        return bool(cover) or self._container.format.name == "tty" or not (context and context.width)

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def shots(
        self, pick: str | float, start: float = 0, end: float = math.inf, after: float = -1, shorter: int = 2**15
    ) -> Iterator[Shot]:
        """Pictures in the order of their time.

        Args:
            pick: "keyframes" for I-frames, the quickest, as nothing else is decoded; "scenes" for the first frame of
                every scene, and a late one; "frames" for all; a number for one every so many seconds.
            start: seconds from which frames count.
            end: seconds up to which frames count.
            after: pictures up to this time, in seconds, are left out, and nothing else changes.
            shorter: pixels of the shorter side; larger pictures are reduced.
        """
        scenes = SceneDetector()

        def wanted(time: float, frame: av.VideoFrame) -> bool:
            if pick in ("scenes", "frames"):
                return time >= start - ROUNDING and time > after
            if pick == "keyframes":
                return frame.key_frame and time >= max(start, after + GAP) - ROUNDING
            return time >= start - ROUNDING and (time - start + ROUNDING) // pick > (after - start + ROUNDING) // pick

        only_keys = pick == "keyframes" and self._timed
        self._stream.codec_context.skip_frame = "NONKEY" if only_keys else "DEFAULT"
        render = Renderer(self._stream.sample_aspect_ratio or 1, shorter)
        for time, frame in self._from(max(start, after) - LOOK_BACK):
            if time > end + ROUNDING:
                return
            late = scenes.is_late(time, frame) if pick == "scenes" else False
            if late is None or not wanted(time, frame):
                continue
            after = time
            yield Shot(time, render(frame), late, _lasts(frame))

    def _from(self, start: float) -> Iterator[tuple[float, av.VideoFrame]]:
        """Decoded frames with their times: all from `start` on, and some before."""
        for back in SEEK_BACK if self._seekable else ():
            if start - back <= 0:
                break
            with suppress(av.FFmpegError):
                self._container.seek(int((start - back + self._first) / self._stream.time_base), stream=self._stream)
            before, frames = self.broken, self._frames()
            head = next(frames, None)
            if head and head[0] <= start:
                return chain([head], frames)
            self.broken = before  # it was no place to begin at
            with suppress(av.FFmpegError):
                self._container.seek(0)
        return self._frames()

    def _frames(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """Decoded frames with their times, from where the file is read."""
        step = 1 / float(self._stream.codec_context.framerate or self._stream.average_rate or 25)
        time, gap = -step, 0.0
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
                frames = packet.decode()
            except StopIteration:
                return
            except IndexError:  # PyAV's, where a stream begins that was not there at first
                packets = self._container.demux(self._stream)
                continue
            except av.FFmpegError:
                self.broken += 1
                continue
            for frame in frames:
                expected, timed = time + step, self._timed and frame.time is not None
                time = frame.time - self._first + gap if timed else expected
                if time < expected - RESTART:  # of the timestamps, where films were joined
                    gap, time = gap + expected - time, expected
                if frame.is_corrupt:
                    self.broken += 1
                else:
                    self.reached = max(self.reached, time + _lasts(frame))
                    yield time, frame


def _announced(stream: av.VideoStream) -> float | None:
    """Seconds that a stream lasts, as the container says, or Matroska's tags."""
    if stream.duration and stream.duration > 0:
        return float(stream.duration * stream.time_base)
    with suppress(ValueError):
        return parse_time(stream.metadata.get("DURATION", "")) or None
    return None


def _lasts(frame: av.VideoFrame) -> float:
    return float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 0


class SceneDetector:
    """Finds scenes, when it gets one frame after the other."""

    def __init__(self) -> None:
        self._settled = math.inf
        self._kind: tuple = ()
        self._graph: Graph | None = None

    def is_late(self, time: float, frame: av.VideoFrame) -> bool | None:
        """False for the first frame of a scene, True for the one from SETTLED seconds later, None for all others."""
        if self._is_first(frame):
            self._settled = time + SETTLED
            return False
        if time < self._settled - ROUNDING:
            return None
        self._settled = math.inf
        return True

    def _is_first(self, frame: av.VideoFrame) -> bool:
        kind = frame.width, frame.height, frame.format.name
        if kind != self._kind:
            self._kind, self._graph = kind, linked(frame, ("select", f"eq(n,0)+gt(scene,{CUT})"))
        self._graph.push(frame)
        try:
            return bool(self._graph.pull())
        except av.BlockingIOError:
            return False
