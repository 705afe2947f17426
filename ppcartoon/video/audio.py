"""The sound of a film, into another: as it is where the container can hold it, encoded anew elsewhere."""

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
from .reader import RESTART, open_media

COPIED = {  # what players expect in a container; Matroska takes all
    "mp4": {"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"},
    "mov": {"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_f32le"},
    "webm": {"opus", "vorbis"},
}
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}  # what both encoders take
BIT_RATE = 96_000  # a channel


class Track:
    """A track of sound on its way.

    Args:
        source: where it comes from.
        out: where it goes; it gets a stream there.
        cut: the part that is taken.
        first: the timestamp, in seconds, at which the whole starts.
    """

    def __init__(self, source: AudioStream, out: OutputContainer, cut: TimeRange, first: float) -> None:
        self.cut, self.first, self.gap, self.expected = cut, first, 0.0, -math.inf
        name, kind = source.codec_context.codec.canonical_name, out.format.name
        self.before_zero = kind in ("mp4", "mov")
        self.encodes = name not in COPIED.get(kind, out.supported_codecs)
        if self.encodes:
            self.stream = _encoder(source, out, "libopus" if kind == "webm" else "aac")
            self._kind, self._to_integers = None, None
        else:
            self.stream = out.add_stream_from_template(source, opaque=True)
        for key in ("language", "title"):
            if key in source.metadata:
                self.stream.metadata[key] = source.metadata[key]
        self.stream.disposition = source.disposition

    def take(self, packet: av.Packet) -> Iterator[tuple[float, av.Packet]]:
        """What becomes of a packet, with the times from which it is heard."""
        if self.encodes:
            finite = chain.from_iterable(self._finite(frame) for frame in packet.decode() if self._shift(frame))
            made = chain.from_iterable(map(self.stream.encode, finite))
        else:
            unheard = packet.is_discard and not self.before_zero  # it only starts the decoder
            made = [packet] if packet.size and not unheard and self._shift(packet) else []
        return self._ready(made)

    def end(self) -> Iterator[tuple[float, av.Packet]]:
        """What is left when there are no more packets."""
        return self._ready(self.stream.encode(None) if self.encodes else ())

    @property
    def is_past(self) -> bool:
        """Whether all of the cut has gone by."""
        return self.expected > self.cut.start + self.cut.duration

    def _ready(self, made: Iterable[av.Packet]) -> Iterator[tuple[float, av.Packet]]:
        for each in made:
            each.stream = self.stream
            yield float(each.pts * each.time_base), each

    def _finite(self, frame: av.AudioFrame) -> list[av.AudioFrame]:
        """A frame in integers: on what damaged sound has instead of numbers, encoders may never end."""
        if self._kind != (frame.format.name, frame.layout.name, frame.sample_rate):
            self._kind = frame.format.name, frame.layout.name, frame.sample_rate
            self._to_integers = av.AudioResampler("s16", self.stream.layout, self.stream.rate)
        return self._to_integers.resample(frame)

    def _shift(self, piece: av.Packet | av.AudioFrame) -> bool:
        """Makes a piece's times count from the cut; False where it is not in there."""
        if piece.pts is None:
            return False
        time, base = float(piece.pts * piece.time_base) - self.first + self.gap, piece.time_base
        if time < self.expected - RESTART:  # where films were joined
            self.gap, time = self.gap + self.expected - time, self.expected
        length = piece.samples / piece.sample_rate if isinstance(piece, av.AudioFrame) else (piece.duration or 0) * base
        self.expected = time + float(length)
        if not (self.cut.start == 0 and time < 0) and self.cut.shifted(time) is None:  # decoders begin before zero
            return False
        ticks = round((self.gap - self.first - self.cut.start) / base)
        piece.pts += ticks
        if piece.dts is not None and isinstance(piece, av.Packet):
            piece.dts += ticks
        return True


class Sound:
    """All tracks of sound of a film, for a `with` block.

    Args:
        path: of the film.
        out: where they go; tracks that it cannot hold are encoded anew.
        cut: the part that is taken.
    """

    def __init__(self, path: Path, out: OutputContainer, cut: TimeRange) -> None:
        self.out, self._broken = out, 0
        self._container = open_media(path)
        streams = self._container.streams
        known = [each for each in streams.audio if each.codec_context and each.codec_context.sample_rate]
        self._unknown = len(streams.audio) - len(known)
        seen = [each for each in (*known, streams.best("video")) if each and each.start_time is not None]
        first = min((float(each.start_time * each.time_base) for each in seen), default=0.0)
        self._tracks = {each.index: Track(each, out, cut, first) for each in known}
        if cut.start and not self._container.format.flags & (Flags.ts_discont.value | Flags.no_timestamps.value):
            with suppress(av.FFmpegError):
                self._container.seek(int(max(0, first + cut.start - RESTART) * av.time_base))
        self._pieces = self._made(known)
        self._next = next(self._pieces, None)

    def __enter__(self) -> Sound:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def warnings(self) -> list[str]:
        """What could not be had, so far."""
        broken = [f"{self._broken} damaged pieces of sound passed over"] if self._broken else []
        return broken + ([f"{self._unknown} tracks of unknown sound left out"] if self._unknown else [])

    def write(self, until: float) -> None:
        """Writes what begins before a time, in seconds, and was not written yet."""
        while self._next and self._next[0] < until:
            try:
                self.out.mux(self._next[1])
            except OSError:
                raise
            except av.FFmpegError:  # what the container does not take
                self._broken += 1
            self._next = next(self._pieces, None)

    def _made(self, streams: list[AudioStream]) -> Iterator[tuple[float, av.Packet]]:
        packets = self._container.demux(streams) if streams else iter(())
        while not all(track.is_past for track in self._tracks.values()):
            try:
                packet = next(packets)
                made = list(self._tracks[packet.stream.index].take(packet))
            except StopIteration:
                break
            except IndexError:  # PyAV's, where a stream begins that was not there at first
                packets = self._container.demux(streams)
                continue
            except av.FFmpegError:
                self._broken += 1
                continue
            yield from made
        for track in self._tracks.values():
            yield from track.end()


def _encoder(source: AudioStream, out: OutputContainer, name: str) -> AudioStream:
    """A new stream for the sound of another, encoded anew."""
    rates = av.Codec(name, "w").audio_rates or [source.rate]
    layout = LAYOUTS.get(source.channels, "stereo")
    stream = out.add_stream(name, source.rate if source.rate in rates else 48_000, layout=layout)
    stream.bit_rate = BIT_RATE * stream.channels
    return stream
