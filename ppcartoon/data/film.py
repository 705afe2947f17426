"""Pictures out of a video, upright, with square pixels and right colours, through FFmpeg, which PyAV brings along."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.filter import Graph
from av.format import Flags
from av.stream import Disposition

from ..errors import InputError
from .colors import beyond_srgb, to_srgb

CUT = 0.15  # FFmpeg's score of a scene change, in [0, 1]; nearly equal pictures go anyway
SETTLED = 1.0  # seconds after a cut, when most fades are over
GAP = 0.2  # seconds between I-frames at least: some codecs have nothing else
SEEK_BACK = 0, 10, 60  # seconds: where a place in the file has no I-frame before it, an earlier one is tried
RESTART = 1.0  # seconds that timestamps leap back when they begin anew
ROUNDING = 0.001  # seconds: what containers make of times
LOOK_BACK = 1.0  # seconds decoded before the first picture that is wanted, for the score to settle
UNSPECIFIED = 2  # colour matrix (ITU-T H.273) of films that do not tell; players take BT.709's from HD on
HD = 720


class Shot(NamedTuple):
    """A picture of a film.

    Attributes:
        time: from the film's start, in seconds.
        rgb: uint8 [H, W, 3] in sRGB.
        late: not the first of its scene, but from SETTLED seconds later, when it has faded in.
    """

    time: float
    rgb: np.ndarray
    late: bool = False


class Film:
    """A video file, for a `with` block.

    Args:
        path: anything that FFmpeg reads; what it may refer to outside is not followed.
        threads: of the decoder; 0 for as many as there are cores.

    Attributes:
        duration: in seconds; None where the file does not tell.
        broken: packets and frames so far that could not be decoded whole, and were passed over.

    Raises:
        InputError: the file is missing, is no video, or has no picture in it.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        self.path, self.broken = path, 0
        try:
            if not path.is_file():
                raise InputError(f"{path}: {'a folder, not a video' if path.is_dir() else 'no such file'}")
            self._container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"{path}: not a video that FFmpeg can read ({error.strerror})") from error
        self._stream = self._container.streams.best("video")
        if self._stream is None or self._no_film():
            self._container.close()
            raise InputError(f"{path}: has no film in it, only sound, text or nothing")
        self._stream.thread_type, self._stream.codec_context.thread_count = "AUTO", threads
        flags = self._container.format.flags
        self._timed = not flags & Flags.no_timestamps.value  # raw streams have none
        self._seekable = self._timed and not flags & Flags.ts_discont.value  # in MPEG's streams they may begin anew
        self._first = float((self._stream.start_time or 0) * self._stream.time_base)
        ends = (self._stream.duration or 0) * self._stream.time_base, (self._container.duration or 0) / av.time_base
        self.duration = next((float(end) for end in ends if end > 0), None)

    def _no_film(self) -> bool:
        """Whether FFmpeg makes a picture of what is none: text, or the cover of an album."""
        cover = self._stream.disposition & Disposition.attached_pic
        return bool(cover) or self._container.format.name == "tty" or not self._stream.codec_context.width

    def __enter__(self) -> Film:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def shots(
        self, pick: str | float, start: float = 0, end: float = math.inf, after: float = -1, shorter: int = 2**15
    ) -> Iterator[Shot]:
        """Pictures in the order of their time.

        Args:
            pick: "keyframes" for I-frames, the quickest, as nothing else is decoded; "scenes" for the first frame of
                every scene, and a late one; a number for one every so many seconds.
            start: seconds from which frames count.
            end: seconds up to which frames count.
            after: pictures up to this time, in seconds, are left out, and nothing else changes.
            shorter: pixels of the shorter side; larger pictures are reduced.
        """
        scenes = _Scenes()

        def wanted(time: float, frame: av.VideoFrame) -> bool:
            if pick == "scenes":
                return time >= start - ROUNDING and time > after
            if pick == "keyframes":
                return frame.key_frame and time >= max(start, after + GAP) - ROUNDING
            return time >= start - ROUNDING and (time - start + ROUNDING) // pick > (after - start + ROUNDING) // pick

        only_keys = pick == "keyframes" and self._timed
        self._stream.codec_context.skip_frame = "NONKEY" if only_keys else "DEFAULT"
        kind, graph = None, None
        for time, frame in self._from(max(start, after) - LOOK_BACK):
            if time > end + ROUNDING:
                return
            late = scenes.is_late(time, frame) if pick == "scenes" else False
            if late is None or not wanted(time, frame):
                continue
            if kind != _kind(frame):
                kind, graph = _kind(frame), self._graph(frame, shorter)
            graph.push(frame)
            after = time
            rgb = graph.pull().to_ndarray()
            if rgb.dtype == np.uint16:
                rgb = to_srgb(rgb, frame.color_trc, frame.color_primaries)
            yield Shot(time, _upright(rgb, frame), late)

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
                    yield time, frame

    def _graph(self, frame: av.VideoFrame, shorter: int) -> Graph:
        """FFmpeg's filters for frames like this one: [one field of two,] size, colours."""
        aspect = self._stream.sample_aspect_ratio or 1
        width, height = frame.width * max(aspect, 1), frame.height / min(aspect, 1)
        scale = min(1, shorter / min(width, height))
        size = f"{max(1, round(width * scale))}:{max(1, round(height * scale))}"
        colors = "out_range=pc:flags=bicubic+accurate_rnd+full_chroma_int"
        if frame.colorspace == UNSPECIFIED and frame.height >= HD:
            colors += ":in_color_matrix=bt709"
        kind = "rgb48le" if beyond_srgb(frame.color_trc, frame.color_primaries) else "rgb24"
        field = [("field", "top")] if frame.interlaced_frame else []
        return _linked(frame, *field, ("scale", f"{size}:{colors}"), ("format", kind))


class _Scenes:
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
            self._kind, self._graph = kind, _linked(frame, ("select", f"eq(n,0)+gt(scene,{CUT})"))
        self._graph.push(frame)
        try:
            return bool(self._graph.pull())
        except av.BlockingIOError:
            return False


def _linked(frame: av.VideoFrame, *filters: tuple[str, str]) -> Graph:
    """FFmpeg's filters by name and options, one after the other, for frames like this one."""
    graph = Graph()
    source = graph.add_buffer(None, frame.width, frame.height, frame.format, None, frame.time_base)
    graph.link_nodes(source, *(graph.add(*each) for each in filters), graph.add("buffersink")).configure()
    return graph


def _kind(frame: av.VideoFrame) -> tuple:
    """What a graph depends on."""
    colors = frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries
    return frame.width, frame.height, frame.format.name, frame.interlaced_frame, *colors


def _upright(rgb: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """The picture [H, W, 3] turned and mirrored as the film's display matrix says."""
    side = frame.side_data.get("DISPLAYMATRIX")
    if side is None:
        return rgb
    a, b, _, c, d, *_ = np.frombuffer(bytes(side), np.int32)  # right is a x + c y, and down is b x + d y
    if abs(b) > abs(a):
        a, d, rgb = c, b, rgb.transpose(1, 0, 2)
    return rgb[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
