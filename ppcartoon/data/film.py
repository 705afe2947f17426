"""Pictures out of a video, upright, with square pixels and right colours, through FFmpeg, which PyAV brings along."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.filter import Graph
from av.stream import Disposition

from ..errors import InputError

CUT = 0.3  # FFmpeg's score of a scene change, in [0, 1]
GAP = 0.25  # seconds between I-frames at least: some codecs have nothing else
LOOK_BACK = 1.0  # seconds decoded before the first picture that is wanted, for the score to settle
HDR = (16, 18)  # transfer characteristics of ITU-T H.273: PQ and HLG
WIDE = (9, 11, 12)  # its colour primaries wider than BT.709's: BT.2020, DCI-P3, Display P3
UNSPECIFIED = 2  # its colour matrix of films that do not tell; players take BT.709's from HD on
HD = 720


class Shot(NamedTuple):
    """A picture of a film.

    Attributes:
        time: from the film's start, in seconds.
        rgb: uint8 [H, W, 3] in sRGB.
    """

    time: float
    rgb: np.ndarray


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
        if not path.is_file():
            raise InputError(f"{path}: {'a folder, not a video' if path.is_dir() else 'no such file'}")
        try:
            self._container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
        except (av.FFmpegError, ValueError) as error:
            raise InputError(f"{path}: not a video that FFmpeg can read ({_reason(error)})") from error
        self._stream = self._container.streams.best("video")
        cover = self._stream is not None and self._stream.disposition & Disposition.attached_pic
        if self._stream is None or cover or not self._stream.codec_context.width:
            self._container.close()
            raise InputError(f"{path}: has no film in it, only sound or nothing")
        self._stream.thread_type, self._stream.codec_context.thread_count = "AUTO", threads
        self._first = (self._stream.start_time or 0) * self._stream.time_base
        ends = (self._stream.duration or 0) * self._stream.time_base, (self._container.duration or 0) / av.time_base
        self.duration = next((float(end) for end in ends if end > 0), None)

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
                every scene; a number for one every so many seconds.
            start: seconds from which frames count.
            end: seconds up to which frames count.
            after: pictures up to this time, in seconds, are left out, and nothing else changes.
            shorter: pixels of the shorter side; larger pictures are reduced.
        """
        if pick == "keyframes":
            self._stream.codec_context.skip_frame = "NONKEY"

        def wanted(time: float) -> bool:
            if pick == "scenes":
                return True  # the filter decides
            if pick == "keyframes":
                return time >= max(start, after + GAP)
            return time >= start and (time - start) // pick > (after - start) // pick

        kind, graph = None, None
        for time, frame in self._frames(max(start, after) - LOOK_BACK, end):
            if not wanted(time):
                continue
            if kind != _kind(frame):
                kind, graph = _kind(frame), self._graph(frame, pick == "scenes", shorter)
            graph.push(frame)
            try:
                picture = graph.pull()
            except av.BlockingIOError:  # not the first of a scene
                continue
            if time >= start and time > after:
                after = time
                yield Shot(time, np.rot90(picture.to_ndarray(), frame.rotation // 90))

    def _frames(self, start: float, end: float) -> Iterator[tuple[float, av.VideoFrame]]:
        """Decoded frames with their times, from the last I-frame before `start` on."""
        if start > 0:
            with suppress(av.FFmpegError):  # of a raw stream, which is read from its beginning
                self._container.seek(int((start + self._first) / self._stream.time_base), stream=self._stream)
        time, step = 0.0, 1 / float(self._stream.average_rate or 25)
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
                time = float(frame.time - self._first) if frame.time is not None else time + step
                if frame.is_corrupt:
                    self.broken += 1
                elif time > end:
                    return
                else:
                    yield time, frame

    def _graph(self, frame: av.VideoFrame, scenes: bool, shorter: int) -> Graph:
        """FFmpeg's filters for frames like this one: [first of a scene,] one field of two, size, colours."""
        aspect = self._stream.sample_aspect_ratio or 1
        width, height = frame.width * max(aspect, 1), frame.height / min(aspect, 1)
        scale = min(1, shorter / min(width, height))
        size = f"{max(1, round(width * scale))}:{max(1, round(height * scale))}"
        colors = "out_range=pc:flags=bicubic+accurate_rnd+full_chroma_int"
        if frame.colorspace == UNSPECIFIED and frame.height >= HD:
            colors += ":in_color_matrix=bt709"
        if frame.color_trc in HDR:  # reference white, 203 nits, becomes 255, and highlights are cut off
            colors += ":out_transfer=iec61966-2-1:intent=relative_colorimetric"
        if frame.color_trc in HDR or frame.color_primaries in WIDE:
            colors += ":out_primaries=bt709"
        filters = [("select", f"eq(n,0)+gt(scene,{CUT})")] if scenes else []
        filters += [("field", "top")] if frame.interlaced_frame else []
        graph = Graph()
        nodes = [graph.add_buffer(None, frame.width, frame.height, frame.format, None, frame.time_base)]
        nodes += [graph.add(*each) for each in [*filters, ("scale", f"{size}:{colors}"), ("format", "rgb24")]]
        graph.link_nodes(*nodes, graph.add("buffersink")).configure()
        return graph


def _kind(frame: av.VideoFrame) -> tuple:
    """What a graph depends on."""
    colors = frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries
    return frame.width, frame.height, frame.format.name, frame.interlaced_frame, *colors


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
