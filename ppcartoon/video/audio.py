"""Copies an audio track of a video into another file, re-encoded only where its container cannot hold the codec."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import av
from av.audio import AudioStream
from av.container import OutputContainer

from .clips import TimeRange
from .timestamps import Timeline

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

    Attributes:
        is_past: whether the end of the time range has been passed.
    """

    def __init__(self, source: AudioStream, out: OutputContainer, time_range: TimeRange, first: float) -> None:
        self.time_range, self.first, self.is_past = time_range, first, False
        self._timeline, self._duration = Timeline(), 0.0
        codec, container = source.codec_context.codec, out.format.name
        self.allows_preroll = container in ("mp4", "mov")
        self.encodes = not (codec.canonical_name in COPIED[container] if container in COPIED else can_hold(out, codec))
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
        base, stored = piece.time_base, float(piece.pts * piece.time_base) - self.first
        time = self._timeline.place(stored, self._duration)
        if isinstance(piece, av.AudioFrame):
            self._duration = piece.samples / piece.sample_rate
        else:
            self._duration = float((piece.duration or 0) * base)
        self.is_past = time + self._duration > self.time_range.start + self.time_range.duration
        if not (self.time_range.start == 0 and time < 0) and self.time_range.relative(time) is None:  # < 0: preroll
            return False
        ticks = round((time - stored - self.first - self.time_range.start) / base)
        piece.pts += ticks
        if piece.dts is not None and isinstance(piece, av.Packet):
            piece.dts += ticks
        return True


def can_hold(out: OutputContainer, codec: av.Codec) -> bool:
    """Whether a container can hold a codec, which FFmpeg lists by the names of its encoders and decoders."""
    return bool({codec.name, codec.canonical_name} & out.supported_codecs)


def _encoder(source: AudioStream, out: OutputContainer, name: str) -> AudioStream:
    """Adds an output stream that re-encodes an input stream."""
    rates = av.Codec(name, "w").audio_rates or [source.rate]
    layout = LAYOUTS.get(source.channels, "stereo")
    stream = out.add_stream(name, source.rate if source.rate in rates else 48_000, layout=layout)
    stream.bit_rate = BIT_RATE * stream.channels
    return stream
