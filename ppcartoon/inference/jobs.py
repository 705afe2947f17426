"""Which images and films become which cartoon files."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from ..errors import InputError
from ..images import WRITABLE, silence_decoders
from ..video.formats import ENDINGS as FILMS_WRITABLE
from ..video.formats import is_pattern, members

FILM_ENDINGS = {*FILMS_WRITABLE, ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".asf", ".flv", ".3gp"}
FILM_ENDINGS |= {".ogv", ".vob", ".mxf"}
IMAGE_ENDINGS = {*WRITABLE, ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".ppm", ".tga", ".ico", ".heic", ".jfif"}


class Job(NamedTuple):
    """One image or film to cartoonize.

    Attributes:
        source: where it is read.
        target: where its cartoon goes.
        skip: whether that is there already and may stay.
        film: whether the source is a film, an animated GIF, or numbered images.
    """

    source: Path
    target: Path
    skip: bool
    film: bool = False


def plan(
    inputs: list[str],
    output: Path,
    *,
    recursive: bool = False,
    suffix: str = "",
    ext: str = "auto",
    skip_existing: bool = False,
) -> list[Job]:
    """The jobs for files, folders and glob patterns, in order.

    Hidden files are left out, and so is an output folder that a search comes across. Each file is taken once.

    Args:
        inputs: what to read; every visible file of a folder counts, and a pattern like %05d.png for numbered images.
        output: a folder, or for a single image or film a file name with its ending, or a pattern.
        recursive: go into subfolders, whose structure the output keeps.
        suffix: appended to each name, before its ending.
        ext: ending, without the dot, of the cartoons that can have it; "auto": the source's where it can be written,
            else png or mp4.
        skip_existing: leave what is there.

    Raises:
        InputError: an input is missing or an empty folder, or an output would replace an input or has another format.
    """
    check_suffix(suffix)
    sources: dict[str, tuple[Path, Path]] = {}
    for text in inputs:
        if len(inputs) > 1 and os.path.realpath(text) == os.path.realpath(output):
            continue  # the shell's * has found the output folder
        for path, relative in search(text, output, recursive):
            sources.setdefault(os.path.abspath(path), (path, relative))
    films = [is_film(source) for source, _ in sources.values()]
    to_file = _names_file(output, films)
    found = names([str(relative) for _, relative in sources.values()], suffix, ext, films)
    targets = [output] if to_file else [output / name for name in found]
    jobs = [
        Job(source, target, skip_existing and os.path.isfile(target), film)
        for (source, _), target, film in zip(sources.values(), targets, films)
    ]
    originals = {os.path.realpath(path) for job in jobs for path in _all(job.source)}
    inside = recursive and any(is_below(output, text) for text in inputs)
    for job in jobs:
        if any(os.path.realpath(path) in originals for path in _all(job.target)):
            raise InputError(f"{job.target}: would replace an input; choose another --output or a --suffix")
        if inside and not job.skip and os.path.lexists(job.target):
            raise InputError(f"{job.target}: is there, inside an input; --skip-existing keeps it, or remove it")
    return jobs


def is_film(path: Path) -> bool:
    """Whether a path stands for moving pictures: by its ending, for a GIF by what is in it, and numbered images."""
    if path.suffix.lower() != ".gif":
        return path.suffix.lower() in FILM_ENDINGS or is_pattern(path)
    silence_decoders()
    try:
        with Image.open(path, formats=["GIF"]) as image:
            return image.is_animated
    except OSError:
        return False


def _names_file(output: Path, films: list[bool]) -> bool:
    """Whether the output is a file, or numbered images, and no folder.

    Raises:
        InputError: it cannot be what the inputs become.
    """
    ending = output.suffix.lower()
    if os.path.isdir(output) or not (ending in IMAGE_ENDINGS | FILM_ENDINGS or is_pattern(output)):
        return False
    writable = FILMS_WRITABLE if films[:1] == [True] and not is_pattern(output) else WRITABLE
    if ending not in writable:
        raise InputError(f"{output}: cannot write this format; choose from {', '.join(writable)}")
    if len(films) > 1:
        raise InputError(f"{output}: one file for {len(films)} images; give a folder as the output")
    if is_pattern(output) and films != [True]:
        raise InputError(f"{output}: numbered images are for films; give a folder or one name")
    return True


def _all(path: Path) -> list[Path]:
    """A path, or the images that are there where it is a pattern."""
    return list(members(path).values()) if is_pattern(path) else [path]


def check_suffix(suffix: str) -> None:
    if Path(suffix).name != suffix:
        raise InputError(f"--suffix {suffix!r}: cannot be part of a file name")


def search(text: str, output: Path, recursive: bool) -> Iterator[tuple[Path, Path]]:
    """Files for one input, each with the path that it has below that input.

    Raises:
        InputError: there are none.
    """
    if os.path.isdir(text):
        yield from ((path, path.relative_to(text)) for path in _files(Path(text), output, recursive))
        return
    if os.path.lexists(text) or (is_pattern(Path(text)) and members(Path(text))):
        yield Path(text), Path(os.path.basename(text))
        return
    found = [Path(path) for path in sorted(glob.glob(text, recursive=True))]
    if is_below(output, os.path.dirname(re.split(r"[*?[]", text)[0])):
        found = [path for path in found if path != output and not is_below(path, output)]
    if not found:
        raise InputError(f"{text}: no such file or folder")
    for path in found:
        yield from search(str(path), output, recursive)


def is_below(path: str | os.PathLike, folder: str | os.PathLike) -> bool:
    inner, outer = os.path.realpath(path), os.path.realpath(folder)
    return inner != outer and os.path.commonpath([inner, outer]) == outer


def _files(folder: Path, output: Path, recursive: bool) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: {error.strerror}") from error

    empty = True
    for parent, folders, names in os.walk(folder, onerror=refuse):
        here = Path(parent)
        visible = sorted(name for name in folders if recursive and not name.startswith("."))
        folders[:] = [name for name in visible if os.path.realpath(here / name) != os.path.realpath(output)]
        for path in (here / name for name in sorted(names) if not name.startswith(".")):
            if os.path.isfile(path) or not os.path.exists(path):  # broken links, no pipes
                empty = False
                yield path
    if empty:
        advice = "" if recursive else "; --recursive looks into its subfolders"
        raise InputError(f"{folder}: no files in this folder{advice}")


def names(relative: list[str], suffix: str, ext: str, films: Sequence[bool] | None = None) -> list[str]:
    """Names for the cartoons, all different: a.jpg and a.png both as png become a_jpg.png and a_png.png.

    Args:
        relative: each file's path below its input.
        suffix: as in `plan`.
        ext: likewise.
        films: which of the files are films; none unless told.
    """
    films = films or [False] * len(relative)

    def name(path: str, film: bool, stem: str) -> str:
        writable, other = (FILMS_WRITABLE, ".mp4") if film and not is_pattern(Path(path)) else (WRITABLE, ".png")
        own = os.path.splitext(path)[1]
        own = own if own.lower() in writable else other
        return f"{stem}{suffix}{f'.{ext}' if f'.{ext}' in writable else own}"

    def whole(path: str) -> str:
        folder, file = os.path.split(path)
        return os.path.join(folder, file.replace(".", "_"))

    plain = [name(path, film, os.path.splitext(path)[0]) for path, film in zip(relative, films)]
    uses = Counter(plain)
    plain = [
        name(path, film, whole(path)) if uses[short] > 1 else short for path, film, short in zip(relative, films, plain)
    ]
    taken: Counter[str] = Counter()
    result = []
    for wanted in plain:  # the same name in several input folders
        stem, ending = os.path.splitext(wanted)
        free = wanted
        while free in taken:
            taken[wanted] += 1
            free = f"{stem}_{taken[wanted]}{ending}"
        taken[free] = 1
        result.append(free)
    return result
