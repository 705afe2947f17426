"""Copies what accompanies the frames of a video: audio, subtitles, chapters, tags and attachments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.format import Flags
from av.stream import Disposition, Stream
from av.subtitles.stream import SubtitleStream

from .audio import AudioTrack, can_hold
from .clips import TimeRange
from .media import MediaFile

LEAD = 1.0  # seconds before the time range from which tracks are read
TEXT = {"subrip", "ass", "ssa", "webvtt", "mov_text", "text"}  # subtitles that can be converted,
CONVERTED = {"mp4": "mov_text", "mov": "mov_text", "webm": "webvtt", "matroska": "subrip"}  # and to what, by container
TAGS = {"title", "artist", "album", "album_artist", "composer", "comment", "description", "synopsis", "date", "genre"}
TAGS |= {"copyright", "show", "keywords"}
EMPTY = b"\0\0"  # no subtitle, in MP4


class SubtitleTrack:
    """A subtitle track that is copied, or converted if it is text that the container cannot hold.

    Args:
        source: the input stream.
        out: the output container; a stream is added to it.
        time_range: the part that is kept.
        first: the timestamp, in seconds, at which the input starts.

    Raises:
        ValueError: the container cannot hold it.
    """

    def __init__(self, source: SubtitleStream, out: OutputContainer, time_range: TimeRange, first: float) -> None:
        self.time_range, self.first = time_range, first
        context, target = source.codec_context, CONVERTED[out.format.name]
        codec = context.codec.canonical_name if context else None
        self._decoder = None
        if context and can_hold(out, context.codec):
            self.stream = out.add_stream_from_template(source, opaque=True)
        elif codec in TEXT:
            context.open(strict=False)
            self._decoder, self.stream = context, out.add_stream(target, time_base=Fraction(1, 1000))
            self.stream.codec_context.subtitle_header = context.subtitle_header
        else:
            raise ValueError(f"{out.format.name} cannot hold {codec}")
        for key in ("language", "title"):
            if key in source.metadata:
                self.stream.metadata[key] = source.metadata[key]
        self.stream.disposition = source.disposition

    def process(self, packet: av.Packet) -> Iterator[tuple[float, av.Packet]]:
        """The output packet of an input packet with its time in seconds, if it is inside the time range."""
        if packet.pts is None or not packet.size or bytes(packet) == EMPTY:
            return
        base = packet.time_base
        start = float(packet.pts * base) - self.first - self.time_range.start
        end = min(start + float((packet.duration or 0) * base), self.time_range.duration)
        start = max(0.0, start)
        if end < start or start >= self.time_range.duration:
            return
        if self._decoder:
            subtitles = self._decoder.decode2(packet)
            if subtitles is None:
                return
            packet = self.stream.codec_context.encode_subtitle(subtitles)
        packet.stream, packet.time_base = self.stream, base
        packet.pts = packet.dts = round(start / base)
        packet.duration = round((end - start) / base)
        yield start, packet

    def flush(self) -> Iterator[tuple[float, av.Packet]]:
        return iter(())


class TrackWriter:
    """Writes audio, subtitles, chapters, tags and attachments of a video into another file, for a `with` block.

    Args:
        path: of the video.
        out: the output container; audio and text that it cannot hold are converted.
        time_range: the part that is kept.

    Attributes:
        left_out: what the container cannot hold.
    """

    def __init__(self, path: Path, out: OutputContainer, time_range: TimeRange) -> None:
        self.out, self.time_range, self._broken = out, time_range, 0
        self.left_out: list[str] = []
        self._container = MediaFile(path)
        streams = self._container.streams
        known = [stream for stream in streams.audio if stream.codec_context and stream.codec_context.sample_rate]
        self._unknown = len(streams.audio) - len(known)
        video = streams.best("video")
        timed = [stream for stream in (*known, video) if stream and stream.start_time is not None]
        first = min((float(stream.start_time * stream.time_base) for stream in timed), default=0.0)
        self._end = first + time_range.start + time_range.duration
        self._tracks = {stream.index: AudioTrack(stream, out, time_range, first) for stream in known}
        for stream in streams:
            if stream.type not in ("audio", "data") and stream.index != video.index and not self._add(stream, first):
                self.left_out.append(_describe(stream))
        out.metadata.update({key: value for key, value in self._container.metadata.items() if key.lower() in TAGS})
        out.set_chapters(_inside(self._container.chapters(), first + time_range.start, self._end))
        seekable = not self._container.format.flags & (Flags.ts_discont.value | Flags.no_timestamps.value)
        if time_range.start and seekable:
            with suppress(av.FFmpegError):
                self._container.seek(int(max(0, first + time_range.start - LEAD) * av.time_base))
        clocks = known or [video]  # subtitles are too rare to tell where reading can end
        self._packets = self._read({stream.index for stream in clocks})
        self._next = next(self._packets, None)

    def __enter__(self) -> TrackWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def warnings(self) -> list[str]:
        """What could not be read so far."""
        broken = [f"{self._broken} damaged pieces of audio or subtitles skipped"] if self._broken else []
        return broken + ([f"{self._unknown} audio tracks of unknown codec skipped"] if self._unknown else [])

    def write(self, until: float) -> None:
        """Writes the remaining packets that start before a time in seconds."""
        while self._next and self._next[0] < until:
            try:
                self.out.mux(self._next[1])
            except OSError:
                raise
            except av.FFmpegError:  # the container rejects the packet
                self._broken += 1
            self._next = next(self._packets, None)

    def _read(self, clocks: set[int]) -> Iterator[tuple[float, av.Packet]]:
        """The output packets of all tracks, each with its time in seconds, until all `clocks` have passed the end."""
        packets = self._container.demux() if self._tracks else iter(())
        while clocks:
            try:
                packet = next(packets)
                track = self._tracks.get(packet.stream.index)
                processed = list(track.process(packet)) if track else []
            except StopIteration:
                break
            except IndexError:  # raised by PyAV where a stream starts that was not there at first
                packets = self._container.demux()
                continue
            except av.FFmpegError:
                self._broken += 1
                continue
            if track.is_past if isinstance(track, AudioTrack) else self._is_past(packet):
                clocks.discard(packet.stream.index)
            yield from processed
        for track in self._tracks.values():
            yield from track.flush()

    def _is_past(self, packet: av.Packet) -> bool:
        return packet.dts is not None and float(packet.dts * packet.time_base) > self._end

    def _add(self, stream: Stream, first: float) -> bool:
        """Copies a subtitle track or an attachment; returns False if the container cannot hold it."""
        if stream.type == "subtitle":
            with suppress(ValueError):
                self._tracks[stream.index] = SubtitleTrack(stream, self.out, self.time_range, first)
                return True
        if self.out.format.name != "matroska":
            return False
        data = stream.data if stream.type == "attachment" else _cover(self._container, stream)
        if data:
            self.out.add_attachment(
                stream.metadata.get("filename", "attachment"), stream.metadata.get("mimetype", ""), data
            )
        return bool(data)


def everything_but_frames(path: Path) -> list[str]:
    """Descriptions of all tracks, chapters, the title and attachments of a video."""
    with MediaFile(path) as container:
        streams = container.streams
        video = streams.best("video")
        found = [_describe(stream) for stream in streams if stream.type != "data" and stream.index != video.index]
        found += ["the chapters"] if container.chapters() else []
        return found + [f"the {key}" for key in container.metadata if key.lower() == "title"]


def _describe(stream: Stream) -> str:
    if stream.type == "attachment":
        return f"attachment {stream.metadata.get('filename', '')}".strip()
    if stream.disposition & Disposition.attached_pic:
        return "cover image"
    codec = stream.codec_context.name if stream.codec_context else "of unknown codec"
    return f"{stream.type} track {codec}" + (f" ({stream.language})" if stream.language else "")


def _cover(container: InputContainer, stream: Stream) -> bytes:
    """The image file in a stream that is a cover; nothing for other streams."""
    if not stream.disposition & Disposition.attached_pic:
        return b""
    packet = next(packet for packet in container.demux(stream))
    container.seek(0)
    return bytes(packet)


def _inside(chapters: list[dict], start: float, end: float) -> list[dict]:
    """The chapters between two times in seconds, with times from the first."""
    found = []
    for chapter in chapters:
        base = chapter["time_base"]
        first, last = max(start, float(chapter["start"] * base)), min(end, float(chapter["end"] * base))
        if first < last:
            found.append(chapter | {"start": round((first - start) / base), "end": round((last - start) / base)})
    return found
