"""Copies the audio of a video into another file, re-encoded only where its container cannot hold the codec."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

import av
from av.audio import AudioStream
from av.container import OutputContainer
from av.format import Flags

from .clips import TimeRange
from .media import MediaFile
from .reader import RESTART

COPIED = {  # codecs that players expect in a container; Matroska takes all
    "mp4": {"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"},
    "mov": {"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_f32le"},
    "webm": {"opus", "vorbis"},
}
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}  # supported by both encoders
BIT_RATE = 96_000  # per channel


class AudioTrack:
    """An audio track that is copied or re-encoded.

    Args:
        source: the input stream.
        out: the output container; a stream is added to it.
        time_range: the part that is kept.
        first: the timestamp, in seconds, at which the input starts.
    """

    def __init__(self, source: AudioStream, out: OutputContainer, time_range: TimeRange, first: float) -> None:
        self.time_range, self.first, self.gap, self.expected = time_range, first, 0.0, -math.inf
        name, container = source.codec_context.codec.canonical_name, out.format.name
        self.allows_preroll = container in ("mp4", "mov")
        self.encodes = name not in COPIED.get(container, out.supported_codecs)
        if self.encodes:
            self.stream = _encoder(source, out, "libopus" if container == "webm" else "aac")
            self._input_format, self._to_integers = None, None
        else:
            self.stream = out.add_stream_from_template(source, opaque=True)
        for key in ("language", "title"):
            if key in source.metadata:
                self.stream.metadata[key] = source.metadata[key]
        self.stream.disposition = source.disposition

    def process(self, packet: av.Packet) -> Iterator[tuple[float, av.Packet]]:
        """The output packets of an input packet, each with its time in seconds."""
        if self.encodes:
            frames = chain.from_iterable(self._as_integers(frame) for frame in packet.decode() if self._shift(frame))
            packets = chain.from_iterable(map(self.stream.encode, frames))
        else:
            preroll = packet.is_discard and not self.allows_preroll  # inaudible, only primes the decoder
            packets = [packet] if packet.size and not preroll and self._shift(packet) else []
        return self._with_times(packets)

    def flush(self) -> Iterator[tuple[float, av.Packet]]:
        """The remaining output packets, after the last input packet."""
        return self._with_times(self.stream.encode(None) if self.encodes else ())

    @property
    def is_past(self) -> bool:
        """Whether the end of the time range has been passed."""
        return self.expected > self.time_range.start + self.time_range.duration

    def _with_times(self, packets: Iterable[av.Packet]) -> Iterator[tuple[float, av.Packet]]:
        for packet in packets:
            packet.stream = self.stream
            yield float(packet.pts * packet.time_base), packet

    def _as_integers(self, frame: av.AudioFrame) -> list[av.AudioFrame]:
        """The frame in 16-bit integers: NaNs in damaged float audio can make encoders hang."""
        if self._input_format != (frame.format.name, frame.layout.name, frame.sample_rate):
            self._input_format = frame.format.name, frame.layout.name, frame.sample_rate
            self._to_integers = av.AudioResampler("s16", self.stream.layout, self.stream.rate)
        return self._to_integers.resample(frame)

    def _shift(self, piece: av.Packet | av.AudioFrame) -> bool:
        """Makes the timestamps of a piece relative to the time range; returns False if it is outside."""
        if piece.pts is None:
            return False
        time, base = float(piece.pts * piece.time_base) - self.first + self.gap, piece.time_base
        if time < self.expected - RESTART:  # videos were concatenated here
            self.gap, time = self.gap + self.expected - time, self.expected
        if isinstance(piece, av.AudioFrame):
            duration = piece.samples / piece.sample_rate
        else:
            duration = (piece.duration or 0) * base
        self.expected = time + float(duration)
        if not (self.time_range.start == 0 and time < 0) and self.time_range.relative(time) is None:  # < 0: preroll
            return False
        ticks = round((self.gap - self.first - self.time_range.start) / base)
        piece.pts += ticks
        if piece.dts is not None and isinstance(piece, av.Packet):
            piece.dts += ticks
        return True


class AudioWriter:
    """Writes all audio tracks of a video into another file, for a `with` block.

    Args:
        path: of the video.
        out: the output container; tracks with a codec that it cannot hold are re-encoded.
        time_range: the part that is kept.
    """

    def __init__(self, path: Path, out: OutputContainer, time_range: TimeRange) -> None:
        self.out, self._broken = out, 0
        self._container = MediaFile(path)
        streams = self._container.streams
        known = [stream for stream in streams.audio if stream.codec_context and stream.codec_context.sample_rate]
        self._unknown = len(streams.audio) - len(known)
        timed = [stream for stream in (*known, streams.best("video")) if stream and stream.start_time is not None]
        first = min((float(stream.start_time * stream.time_base) for stream in timed), default=0.0)
        self._tracks = {stream.index: AudioTrack(stream, out, time_range, first) for stream in known}
        seekable = not self._container.format.flags & (Flags.ts_discont.value | Flags.no_timestamps.value)
        if time_range.start and seekable:
            with suppress(av.FFmpegError):
                self._container.seek(int(max(0, first + time_range.start - RESTART) * av.time_base))
        self._packets = self._read(known)
        self._next = next(self._packets, None)

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def warnings(self) -> list[str]:
        """What could not be copied so far."""
        broken = [f"{self._broken} damaged pieces of audio skipped"] if self._broken else []
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

    def _read(self, streams: list[AudioStream]) -> Iterator[tuple[float, av.Packet]]:
        """The output packets of all tracks, each with its time in seconds."""
        packets = self._container.demux(streams) if streams else iter(())
        while not all(track.is_past for track in self._tracks.values()):
            try:
                packet = next(packets)
                processed = list(self._tracks[packet.stream.index].process(packet))
            except StopIteration:
                break
            except IndexError:  # raised by PyAV where a stream starts that was not there at first
                packets = self._container.demux(streams)
                continue
            except av.FFmpegError:
                self._broken += 1
                continue
            yield from processed
        for track in self._tracks.values():
            yield from track.flush()


def _encoder(source: AudioStream, out: OutputContainer, name: str) -> AudioStream:
    """Adds an output stream that re-encodes an input stream."""
    rates = av.Codec(name, "w").audio_rates or [source.rate]
    layout = LAYOUTS.get(source.channels, "stereo")
    stream = out.add_stream(name, source.rate if source.rate in rates else 48_000, layout=layout)
    stream.bit_rate = BIT_RATE * stream.channels
    return stream
