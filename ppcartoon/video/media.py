"""Opens videos with FFmpeg (PyAV): nothing but the file itself is read, in limited time, and signals end a read."""

from __future__ import annotations

import codecs
import io
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from ..errors import InputError
from ..utils import signals

# FFmpeg's readers of files that contain their audio and video; its other readers follow references to files and hosts.
FORMATS = (
    "3dostr 3g2 3gp 4xm aac ac3 aiff amr amv anm apc ape apng argo_brp asf asf_o au av1 avi avs avs2 avs3 bethsoftvid "
    "bfi bink bmv c93 caf cavsvideo cdxl cine dhav dirac dnxhd dsicin dts dv dxa ea eac3 evc film_cpk filmstrip flac "
    "flic flv frm gdv gif gxf h261 h263 h264 hevc hnm hxvs ifv ingenient ipmovie ivf ivr jv kux live_flv lvf lxf m4a "
    "m4v matroska mgsts mj2 mjpeg mjpeg_2000 mm moflex mov mp3 mp4 mpeg mpegts mpegvideo mpjpeg msf mtv mv mvi mxf mxg "
    "nc nsv nut nuv obu ogg paf pmp psxstr pva r3d rl2 rm roq rpl sdr2 ser sga siff smjpeg smk swf thp tiertexseq tmv "
    "ty usm v210 vc1 vc1test vividas vivo vmd vvc wav wc3movie webm wsvqa wtv wv xmv yop yuv4mpegpipe"
)
HEAD = 4096  # bytes, in which the kind of a text file shows
XML_PROLOG = r"(<[?!][^>]*>|\s)*"
REFERENCES = {  # files that refer to others, by their start
    r"#EXTM3U": "an HLS or M3U playlist",
    XML_PROLOG + r"<MPD\b": "a DASH manifest",
    XML_PROLOG + r"<(SmoothStreamingMedia|(\w+:)?CompositionPlaylist|asx|smil|playlist)\b": "a playlist",
    r"\[playlist\]": "a playlist",
    r"ffconcat version": "a list of files to join",
    r"v=0\s": "an SDP description of a stream",
    r"\[(Reference|InternetShortcut)\]|RTSPtext|(https?|rtsp|rtmp|mms|file):": "a link",
}
MAX_MEGAPIXELS = 36  # of a frame; 8K has 33 to 35
SECONDS = 60.0  # to open a file, and for each read
GRACE = 1.0  # seconds that a read may take after a signal


class _Ended(Exception):
    """A read that ended early. PyAV passes on an Exception, but not the KeyboardInterrupt that may be its cause."""


class _File:
    """A file object for FFmpeg, without a name, whose reads end after a time limit or a signal."""

    def __init__(self, path: Path) -> None:
        self._file = io.FileIO(path)
        self.start_clock()

    def start_clock(self) -> None:
        """Starts the time limit anew."""
        self._start = time.monotonic()

    def read(self, size: int) -> bytes:
        try:
            now = time.monotonic()
            if now > max(self._start, signals.time_of_stop()) + GRACE:
                return b""  # the end of the file, for FFmpeg
            if now > self._start + SECONDS:
                raise InputError(f"reading takes more than {SECONDS:.0f} seconds")
            return self._file.read(size)
        except OSError as error:
            raise _Ended from InputError(f"cannot be read ({error.strerror or error})")
        except (InputError, KeyboardInterrupt) as error:  # in the main thread, signal handlers run here
            raise _Ended from error

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


class MediaFile:
    """A file opened by FFmpeg, with the attributes of PyAV's `InputContainer`.

    Opening and each read take `SECONDS` at most; Ctrl-C and SIGTERM end them. After a stop was requested in a
    `graceful_interrupt`, a read that takes more than `GRACE` seconds finds the end of the file.

    Args:
        path: a file that contains its audio and video.
        max_megapixels: of a frame; larger ones are not decoded.

    Raises:
        InputError: the file is missing, has no known format, refers to other files, has too large frames, or takes too
            long to read.
    """

    def __init__(self, path: Path, max_megapixels: int = MAX_MEGAPIXELS) -> None:
        self._path, self._max_pixels = path, max_megapixels * 1_000_000
        if not os.path.isfile(path):
            kind = "no such file" if not os.path.exists(path) else "a folder" if path.is_dir() else "a pipe or device"
            raise InputError(f"{path}: {kind}{', not a video' * os.path.exists(path)}")
        with ExitStack() as opened:  # which closes the file if it cannot be used
            try:
                self._file = opened.enter_context(closing(_File(path)))
                with self._open(codec_whitelist="none") as undecoded:  # FFmpeg would decode any frame to find its size
                    contexts = [stream.codec_context for stream in undecoded.streams.video]
                    for context in filter(None, contexts):  # without those of unknown codecs
                        self.check_size(context.width, context.height)
                self._file.seek(0)
                self._container = self._open(max_pixels=str(self._max_pixels))
            except (av.FFmpegError, OSError) as error:
                if kind := reference(path):
                    raise InputError(f"{path}: {kind}; it refers to other files, which are not opened") from error
                raise InputError(f"{path}: not a video that FFmpeg can read ({error.strerror})") from error
            opened.pop_all()

    def _open(self, **options: str) -> InputContainer:
        options |= {"format_whitelist": FORMATS.replace(" ", ","), "protocol_whitelist": ""}
        with self._limited():
            return av.open(
                self._file, options=options, metadata_errors="replace", timeout=(SECONDS, None), io_open=_refuse
            )

    def check_size(self, width: int, height: int) -> None:
        """Raises InputError if frames of this size, in pixels, are too large."""
        if width * height > self._max_pixels:
            limit = self._max_pixels // 1_000_000
            raise InputError(f"{self._path}: {width}x{height}: more than {limit} megapixels, the limit")

    def __enter__(self) -> MediaFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """Limits the time of a read in the block, and raises the error that ended it."""
        self._file.start_clock()
        try:
            yield
        except _Ended as ended:
            if isinstance(ended.__cause__, InputError):
                raise InputError(f"{self._path}: {ended.__cause__}") from ended
            raise ended.__cause__ from None

    def demux(self, *streams: Any) -> Iterator[av.Packet]:
        """The packets of streams, as `InputContainer.demux`."""
        packets = self._container.demux(*streams)
        while True:
            with self._limited():
                packet = next(packets, None)
            if packet is None:
                return
            yield packet

    def seek(self, offset: int, **options: Any) -> None:
        """As `InputContainer.seek`."""
        with self._limited():
            self._container.seek(offset, **options)

    def close(self) -> None:
        self._container.close()
        self._file.close()


def _refuse(url: str, flags: int, options: dict[str, str]) -> None:
    raise _Ended from InputError("refers to another file, which is not opened")


def reference(path: Path) -> str:
    """What a file is that refers to other files, by its start; empty for other files."""
    with suppress(OSError), open(path, "rb") as file:
        head = file.read(HEAD)
        encoding = "utf-16" if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
        text = head.decode(encoding, "ignore").lstrip()
        return next((kind for start, kind in REFERENCES.items() if re.match(start, text, re.I | re.S)), "")
    return ""
