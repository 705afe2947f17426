"""Maps input files to output paths."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..images import WRITABLE, animated_format, opened
from ..images.formats import RAW_ENDINGS
from ..utils.companions import is_companion, is_skipped
from ..utils.files import is_hidden, is_legal_name
from ..video.formats import ANIMATED_ENDINGS, is_pattern, members, partial
from ..video.formats import ENDINGS as VIDEO_WRITABLE

VIDEO_ENDINGS = {*VIDEO_WRITABLE, ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".asf", ".flv", ".3gp"}
VIDEO_ENDINGS |= {".ogv", ".vob", ".mxf", ".m3u", ".m3u8", ".mpd", ".sdp"}  # the reader refuses playlists by name
IMAGE_ENDINGS = {*WRITABLE, ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".ppm", ".tga", ".ico", ".heic", ".jfif"}
IMAGE_ENDINGS |= {".heif", ".hif", ".jxl", *RAW_ENDINGS}
VIDEO_HEADS = (
    rb".{4}(moov|mdat|wide|ftyp(?!avi[fs]|he[iv][cmsx]|mif1|msf1|crx ))",  # MP4, QuickTime; not AVIF, HEIF, CR3
    rb"\x1a\x45\xdf\xa3|RIFF.{4}AVI |OggS|FLV\x01",  # Matroska and WebM, AVI, Ogg, Flash
    rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11|\x06\x0e\x2b\x34\x02\x05\x01\x01",  # WMV, MXF
    rb"\0\0\x01[\xb3\xba]|(G.{187}){3}G|(.{4}G.{187}){3}.{4}G",  # MPEG, its transport stream, and that of camcorders
)
VIDEO_HEAD = re.compile(b"|".join(VIDEO_HEADS), re.DOTALL)


class Kind(Enum):
    """What an input is, by its content, with the endings of the outputs for all its frames, and for one image."""

    PHOTO = (), tuple(WRITABLE)
    VIDEO = (*VIDEO_WRITABLE, ".webp", ".apng"), ()  # or numbered images
    ANIMATION = (*VIDEO_WRITABLE, *ANIMATED_ENDINGS), (".jpg", ".jpeg")  # GIF, WebP, PNG or AVIF
    PAGES = VIDEO_WRITABLE, tuple(WRITABLE)  # of a TIFF

    def __init__(self, moving: tuple[str, ...], still: tuple[str, ...]) -> None:
        self.moving, self.still = moving, still

    def moves_in(self, target: Path) -> bool:
        """Whether all frames are written to a target, rather than the first."""
        return target.suffix.lower() in self.moving or (self is not Kind.PHOTO and is_pattern(target))


class Job(NamedTuple):
    """One image or video to cartoonize.

    Attributes:
        source: path of the input.
        target: path of its cartoon.
        skip: whether the target exists and is kept.
        is_video: whether the cartoon has all frames of the source; otherwise that of one image.
    """

    source: Path
    target: Path
    skip: bool
    is_video: bool = False


def plan(
    inputs: list[str],
    output: Path,
    *,
    recursive: bool = False,
    suffix: str = "",
    ext: str = "auto",
    skip_existing: bool = False,
) -> list[Job]:
    """Finds all input files and assigns each an output path, in order.

    Hidden files, known companions of photos and the output folder are skipped. Each file is listed once.

    Args:
        inputs: files, folders, glob patterns, and patterns such as %05d.png for numbered images.
        output: a folder, or for a single image or video a file name or a pattern for numbered images.
        recursive: search subfolders, and keep their structure in the output.
        suffix: appended to each file name, before its ending.
        ext: ending of the cartoons, without the dot, of the inputs that can have it: photos or videos, and animations;
            "auto": the source's ending if that format can be written, else png, mp4 or webp.
        skip_existing: skip sources whose target exists.

    Raises:
        InputError: an input is missing or an empty folder, a target would replace an input, or the output's format
            cannot be written.
    """
    check_suffix(suffix)
    sources: dict[str, tuple[Path, Path]] = {}
    for text in inputs:
        if len(inputs) > 1 and os.path.realpath(text) == os.path.realpath(output):
            continue  # the shell expanded * to a list that contains the output folder
        for path, relative in search(text, output, recursive):
            sources.setdefault(os.path.abspath(path), (path, relative))
    kinds = [find_kind(source) for source, _ in sources.values()]
    if _is_output_file(output, kinds):
        targets = [output]
    else:
        relative_paths = [str(relative) for _, relative in sources.values()]
        targets = [output / name for name in names(relative_paths, suffix, ext, kinds)]
    jobs = [
        Job(source, target, skip_existing and os.path.isfile(target), kind.moves_in(target))
        for (source, _), target, kind in zip(sources.values(), targets, kinds)
    ]
    originals = {_identity(path) for job in jobs for path in _files_of(job.source)} - {None}
    output_in_input = recursive and any(is_below(output, text) for text in inputs)
    for job in jobs:
        written = [*_files_of(job.target), partial(job.target)]
        if any(_identity(path) in originals for path in written):
            raise InputError(f"{job.target}: would replace an input; choose another --output or a --suffix")
        if output_in_input and not job.skip and os.path.lexists(job.target):
            raise InputError(f"{job.target}: exists inside an input folder; remove it, or keep it by --skip-existing")
    return jobs


def find_kind(path: Path) -> Kind:
    """What a file, or a pattern for numbered images, is.

    A file that Pillow does not know is a video if it has the ending of one or FFmpeg decodes a frame of it; also if it
    is a playlist, which the reader of videos refuses by name.
    """
    if is_pattern(path) or VIDEO_HEAD.match(_head(path)):
        return Kind.VIDEO
    if several := animated_format(path):
        return Kind.PAGES if several == "TIFF" else Kind.ANIMATION
    with suppress(InputError), opened(path):
        return Kind.PHOTO
    return Kind.VIDEO if path.suffix.lower() in VIDEO_ENDINGS - {".gif"} or _is_for_ffmpeg(path) else Kind.PHOTO


def _is_for_ffmpeg(path: Path) -> bool:
    """Whether FFmpeg, if it is installed, decodes a frame of a file, or the file is a playlist, which it refuses."""
    with suppress(InputError, ModuleNotFoundError):
        from ..video.media import reference
        from ..video.reader import VideoReader

        if not os.path.isfile(path):  # a pipe may never end
            return False
        if reference(path):
            return True
        with VideoReader(path) as reader:
            return any(True for _ in reader.frames("frames"))
    return False


def _head(path: Path) -> bytes:
    """The first bytes of a file; none if it is a pipe or cannot be read."""
    with suppress(OSError):
        if path.is_file():
            with open(path, "rb") as file:
                return file.read(1024)
    return b""


def _is_output_file(output: Path, kinds: list[Kind]) -> bool:
    """Whether the output is a file or a pattern for numbered images, rather than a folder.

    Raises:
        InputError: the inputs cannot be written to this file.
    """
    ending = output.suffix.lower()
    if os.path.isdir(output) or not (re.fullmatch(r"\.[a-z][a-z0-9]{1,4}", ending) or is_pattern(output)):
        return False
    writable = (*kinds[0].moving, *kinds[0].still) if kinds and not is_pattern(output) else WRITABLE
    if ending not in writable:
        raise InputError(
            f"{output}: cannot write this format; choose from {', '.join(writable)}, or create a folder of this name"
        )
    if len(kinds) > 1:
        raise InputError(f"{output}: one file for {len(kinds)} images; give a folder as the output")
    if is_pattern(output) and kinds in ([], [Kind.PHOTO]):
        raise InputError(f"{output}: numbered images need a video as the input; give a folder or one file name")
    return True


def _files_of(path: Path) -> list[Path]:
    """The path itself, or for a pattern the numbered images that exist."""
    return list(members(path).values()) if is_pattern(path) else [path]


def _identity(path: Path) -> tuple[int, int] | None:
    """The file that a path leads to, by whatever links and letters; None if there is none."""
    with suppress(OSError):
        status = os.stat(path)
        return status.st_dev, status.st_ino
    return None


def check_suffix(suffix: str) -> None:
    """Raises InputError if `suffix` cannot be part of a file name."""
    if not is_legal_name(f"a{suffix}.png"):
        raise InputError(f"--suffix {suffix!r}: cannot be part of a file name")


def search(text: str, output: Path, recursive: bool) -> Iterator[tuple[Path, Path]]:
    """The files of one input, each with its path relative to that input.

    Raises:
        InputError: there are none.
    """
    if os.path.isdir(text):
        yield from ((path, path.relative_to(text)) for path in _files(Path(text), output, recursive))
        return
    if os.path.lexists(text) or (is_pattern(Path(text)) and members(Path(text))):
        yield Path(text), Path(os.path.basename(text))
        return
    folder, pattern = _split_pattern(text)
    below = sorted(glob.glob(pattern, root_dir=folder, recursive=True))
    found = [folder / path for path in below if not is_companion(os.path.basename(path))]
    if is_below(output, folder):
        found = [path for path in found if path != output and not is_below(path, output)]
    if not found:
        raise InputError(f"{text}: no such file or folder")
    for path in found:
        yield from search(str(path), output, recursive)


def _split_pattern(text: str) -> tuple[Path, str]:
    """The folder in which a glob pattern searches, whose own name may contain brackets, and the pattern below it."""
    parts = Path(text).parts
    existing = next(n for n in range(len(parts), -1, -1) if os.path.isdir(Path(*parts[:n])))
    return Path(*parts[:existing]), os.path.join("", *parts[existing:])


def is_below(path: str | os.PathLike, folder: str | os.PathLike) -> bool:
    """Whether a path is inside a folder, after links are resolved."""
    inner, outer = os.path.realpath(path), os.path.realpath(folder)
    return inner != outer and os.path.commonpath([inner, outer]) == outer


def _files(folder: Path, output: Path, recursive: bool) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: {error.strerror}") from error

    empty = True
    for parent, folders, names in os.walk(folder, onerror=refuse):
        here = Path(parent)
        visible = sorted(
            name for name in folders if recursive and not is_skipped(f"{name}/") and not is_hidden(here / name)
        )
        folders[:] = [name for name in visible if os.path.realpath(here / name) != os.path.realpath(output)]
        for path in (here / name for name in sorted(names) if not is_skipped(name) and not is_hidden(here / name)):
            if os.path.isfile(path) or not os.path.exists(path):  # broken links are errors later; pipes are skipped
                empty = False
                yield path
    if empty:
        advice = "" if recursive else "; --recursive searches its subfolders"
        raise InputError(f"{folder}: no photos or videos in this folder{advice}")


def names(relative: list[str], suffix: str, ext: str, kinds: Sequence[Kind] | None = None) -> list[str]:
    """Names for the cartoons, all different: a.jpg and a.png, both written as png, become a_jpg.png and a_png.png.

    Args:
        relative: each file's path relative to its input.
        suffix: see `plan`.
        ext: see `plan`.
        kinds: what each file is; by default all are photos.
    """
    kinds = kinds or [Kind.PHOTO] * len(relative)

    def name(path: str, kind: Kind, stem: str) -> str:
        ending = os.path.splitext(path)[1]
        if kind is Kind.ANIMATION:
            chosen, kept, fallback = (*VIDEO_WRITABLE, *WRITABLE), (".gif", *ANIMATED_ENDINGS), ".webp"
        elif kind is Kind.VIDEO and not is_pattern(Path(path)):
            chosen, kept, fallback = VIDEO_WRITABLE, VIDEO_WRITABLE, ".mp4"
        else:
            chosen, kept, fallback = WRITABLE, WRITABLE, ".png"
        if f".{ext}" in chosen:
            ending = f".{ext}"
        elif ending.lower() not in kept:
            ending = fallback
        return f"{stem}{suffix}{ending}"

    def stem_with_ending(path: str) -> str:
        folder, file = os.path.split(path)
        return os.path.join(folder, file.replace(".", "_"))

    short = [name(path, kind, os.path.splitext(path)[0]) for path, kind in zip(relative, kinds)]
    uses = Counter(short)
    taken: Counter[str] = Counter()
    result = []
    for path, kind, wanted in zip(relative, kinds, short):
        if uses[wanted] > 1:
            wanted = name(path, kind, stem_with_ending(path))
        stem, ending = os.path.splitext(wanted)
        free = wanted
        while free.casefold() in taken:  # the same name in several input folders, perhaps in other letters
            taken[wanted.casefold()] += 1
            free = f"{stem}_{taken[wanted.casefold()]}{ending}"
        taken[free.casefold()] = 1
        result.append(free)
    return result
