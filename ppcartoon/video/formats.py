"""Output containers, their codecs, and paths of numbered images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError


class Codec(NamedTuple):
    """A video codec and its settings.

    Attributes:
        encoder: FFmpeg's name of the encoder.
        crf: constant rate factor; the default makes compressed cartoons look like uncompressed ones. None if there is
            none.
        worst: the largest crf.
        options: of the encoder.
        pixels: FFmpeg's name of the pixel format.
        alpha: that of the pixel format with transparency; None if there is none.
    """

    encoder: str
    crf: int | None
    worst: int
    options: dict[str, str]
    pixels: str = "yuv420p"
    alpha: str | None = None


CODECS = {
    "h264": Codec("libx264", 18, 51, {}),
    "h265": Codec("libx265", 20, 51, {"x265-params": "log-level=none"}),
    "vp9": Codec("libvpx-vp9", 24, 63, {"deadline": "good", "cpu-used": "4", "row-mt": "1"}, alpha="yuva420p"),
    "av1": Codec("libsvtav1", 26, 63, {"preset": "8"}),
    "prores": Codec("prores_ks", None, 0, {"vendor": "apl0"}, "yuv444p10le", "yuva444p10le"),  # ProRes 4444
}
MUXERS = {  # by suffix: FFmpeg's name of the container, and its codecs, the default first
    ".mp4": ("mp4", ("h264", "h265", "vp9", "av1")),
    ".m4v": ("mp4", ("h264", "h265", "vp9", "av1")),
    ".mov": ("mov", ("h264", "h265", "prores")),
    ".mkv": ("matroska", ("h264", "h265", "vp9", "av1")),
    ".webm": ("webm", ("vp9", "av1")),
}
ENDINGS = (*MUXERS, ".gif")
ANIMATED_ENDINGS = (".webp", ".png", ".apng")  # of images that can be animated


def choose_codec(target: Path, name: str | None, crf: int | None) -> Codec:
    """The codec for an output file.

    Args:
        target: the file; its suffix selects the container.
        name: a key of `CODECS`; None for the default of the container: the first of its codecs that FFmpeg can encode
            here. Builds of FFmpeg without code under the GPL have neither H.264 nor H.265.
        crf: quality, 0 is the best; None for the default of the codec.

    Raises:
        InputError: the container cannot hold the codec, FFmpeg cannot encode it here, or the crf is out of range.
    """
    from av.codec import codecs_available

    muxer, names = MUXERS[target.suffix.lower()]
    possible = [each for each in names if CODECS[each].encoder in codecs_available]
    name = name or (possible or names)[0]
    if name not in names:
        raise InputError(f"{target}: {muxer} holds {' or '.join(names)}, not {name}; choose another --codec")
    if name not in possible:
        other = f"; use --codec {' or '.join(possible)}" if possible else ""
        raise InputError(f"{target}: FFmpeg has no encoder {CODECS[name].encoder} here{other}")
    codec = CODECS[name]
    if muxer == "mp4":  # which has no transparency
        codec = codec._replace(alpha=None)
    if crf is not None and codec.crf is None:
        raise InputError(f"crf {crf}: {name} has no such setting")
    if crf is not None and not 0 <= crf <= codec.worst:
        raise InputError(f"crf {crf}: {name} takes 0 (best) to {codec.worst}")
    return codec if crf is None else codec._replace(crf=crf)


NUMBER = re.compile(r"%(0\d+)?d")


def is_pattern(path: Path) -> bool:
    """Whether a path is a pattern for numbered images such as %05d.png, and neither a video nor an existing file."""
    return len(NUMBER.findall(path.name)) == 1 and path.suffix.lower() not in ENDINGS and not path.is_file()


def partial(target: Path) -> Path:
    """The path of the part of a video that was done when it was interrupted, such as cartoon.partial.mp4."""
    return target.with_name(f"{target.stem}.partial{target.suffix}")


def member(pattern: Path, number: int) -> Path:
    """The path of the image with the given number."""
    return pattern.with_name(NUMBER.sub(lambda found: f"{number:{found[1] or ''}d}", pattern.name))


def members(pattern: Path) -> dict[int, Path]:
    """The existing images of a pattern by number, in ascending order; they may start anywhere and have gaps."""
    if not pattern.parent.is_dir():
        return {}
    before, after = NUMBER.split(pattern.name)[::2]
    shape = re.compile(f"{re.escape(before)}(\\d+){re.escape(after)}")
    matches = (shape.fullmatch(path.name) for path in pattern.parent.iterdir())
    paths = {number: member(pattern, number) for number in sorted(int(match[1]) for match in matches if match)}
    return {number: path for number, path in paths.items() if path.is_file()}
