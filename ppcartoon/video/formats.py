"""The containers that cartoons of films can have, and how their pictures are compressed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError


class Codec(NamedTuple):
    """A way to compress pictures.

    Attributes:
        encoder: its name in FFmpeg.
        crf: what gives cartoons that look like the ones before compression.
        worst: the largest crf.
        options: of the encoder.
    """

    encoder: str
    crf: int
    worst: int
    options: dict[str, str]


CODECS = {
    "h264": Codec("libx264", 18, 51, {}),
    "h265": Codec("libx265", 20, 51, {"x265-params": "log-level=none"}),
    "vp9": Codec("libvpx-vp9", 24, 63, {"deadline": "good", "cpu-used": "4", "row-mt": "1"}),
    "av1": Codec("libsvtav1", 26, 63, {"preset": "8"}),
}
MUXERS = {  # FFmpeg's name for what a file's ending says, and the codecs it may hold, its usual one first
    ".mp4": ("mp4", ("h264", "h265", "vp9", "av1")),
    ".m4v": ("mp4", ("h264", "h265", "vp9", "av1")),
    ".mov": ("mov", ("h264", "h265")),
    ".mkv": ("matroska", ("h264", "h265", "vp9", "av1")),
    ".webm": ("webm", ("vp9", "av1")),
}


ENDINGS = (*MUXERS, ".gif")


def choose_codec(target: Path, name: str | None, crf: int | None) -> Codec:
    """The codec for a file, with its quality.

    Raises:
        InputError: the container cannot hold it, or the quality is not one of its.
    """
    muxer, names = MUXERS[target.suffix.lower()]
    name = name or names[0]
    if name not in names:
        raise InputError(f"{target}: {muxer} holds {' or '.join(names)}, not {name}")
    codec = CODECS[name]
    if crf is not None and not 0 <= crf <= codec.worst:
        raise InputError(f"crf {crf}: {name} knows 0, the best, to {codec.worst}")
    return codec if crf is None else codec._replace(crf=crf)


NUMBER = re.compile(r"%(0\d+)?d")


def is_pattern(path: Path) -> bool:
    """Whether a path stands for numbered images; a film, or a file that has this very name, is what it is."""
    return len(NUMBER.findall(path.name)) == 1 and path.suffix.lower() not in ENDINGS and not path.is_file()


def member(pattern: Path, number: int) -> Path:
    """The path of the image with a number."""
    return pattern.with_name(NUMBER.sub(lambda found: f"{number:{found[1] or ''}d}", pattern.name))


def members(pattern: Path) -> dict[int, Path]:
    """The images that are there, in the order of their numbers, wherever these begin and whatever is left out."""
    before, after = NUMBER.split(pattern.name)[::2]
    shape = re.compile(f"{re.escape(before)}(\\d+){re.escape(after)}")
    found = (shape.fullmatch(path.name) for path in pattern.parent.iterdir()) if pattern.parent.is_dir() else ()
    numbers = sorted(int(each[1]) for each in found if each)
    return {n: path for n in numbers if (path := member(pattern, n)).is_file()}
