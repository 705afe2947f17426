"""Which images and films become which cartoon files."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from .encoding import ENDINGS as FILMS_WRITABLE
from .errors import InputError
from .images import WRITABLE
from .sequences import is_pattern, members

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
    if Path(suffix).name != suffix:
        raise InputError(f"--suffix {suffix!r}: cannot be part of a file name")
    sources: dict[str, tuple[Path, Path]] = {}
    for text in inputs:
        if len(inputs) > 1 and os.path.realpath(text) == os.path.realpath(output):
            continue  # the shell's * has found the output folder
        for path, relative in _search(text, output, recursive):
            sources.setdefault(os.path.abspath(path), (path, relative))
    films = [is_film(source) for source, _ in sources.values()]
    to_file = _names_file(output, films)
    names = _names([(relative, film) for (_, relative), film in zip(sources.values(), films)], suffix, ext)
    targets = [output] if to_file else [output / name for name in names]
    jobs = [
        Job(source, target, skip_existing and os.path.isfile(target), film)
        for (source, _), target, film in zip(sources.values(), targets, films)
    ]
    originals = {os.path.realpath(path) for job in jobs for path in _all(job.source)}
    inside = recursive and any(_is_below(output, text) for text in inputs)
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


def _search(text: str, output: Path, recursive: bool) -> list[tuple[Path, Path]]:
    """Files for one input, each with the path that it has below that input."""
    if os.path.isdir(text):
        return [(path, path.relative_to(text)) for path in _files(Path(text), output, recursive)]
    if os.path.lexists(text):
        return [(Path(text), Path(os.path.basename(text)))]
    if is_pattern(Path(text)) and members(Path(text)):
        return [(Path(text), Path(os.path.basename(text)))]
    found = [Path(path) for path in sorted(glob.glob(text, recursive=True))]
    if _is_below(output, os.path.dirname(re.split(r"[*?[]", text)[0])):
        found = [path for path in found if path != output and not _is_below(path, output)]
    if not found:
        raise InputError(f"{text}: no such file or folder")
    return [pair for path in found for pair in _search(str(path), output, recursive)]


def _is_below(path: str | os.PathLike, folder: str | os.PathLike) -> bool:
    inner, outer = os.path.realpath(path), os.path.realpath(folder)
    return inner != outer and os.path.commonpath([inner, outer]) == outer


def _files(folder: Path, output: Path, recursive: bool) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: {error.strerror}") from error

    found = []
    for parent, folders, names in os.walk(folder, onerror=refuse):
        here = Path(parent)
        visible = sorted(name for name in folders if recursive and not name.startswith("."))
        folders[:] = [name for name in visible if os.path.realpath(here / name) != os.path.realpath(output)]
        paths = [here / name for name in sorted(names) if not name.startswith(".")]
        found += [path for path in paths if os.path.isfile(path) or not os.path.exists(path)]  # broken links, no pipes
    if not found:
        advice = "" if recursive else "; --recursive looks into its subfolders"
        raise InputError(f"{folder}: no files in this folder{advice}")
    return found


def _names(sources: list[tuple[Path, bool]], suffix: str, ext: str) -> list[Path]:
    """Names for the cartoons, all different: a.jpg and a.png both as png become a_jpg.png and a_png.png.

    Args:
        sources: each file's path below its input, and whether it is a film.
        suffix: as in `plan`.
        ext: likewise.
    """

    def name(path: Path, film: bool, stem: str) -> Path:
        writable, other = (FILMS_WRITABLE, ".mp4") if film and not is_pattern(path) else (WRITABLE, ".png")
        own = path.suffix if path.suffix.lower() in writable else other
        return path.with_name(f"{stem}{suffix}{f'.{ext}' if f'.{ext}' in writable else own}")

    names = [name(path, film, path.stem) for path, film in sources]
    uses = Counter(names)
    names = [
        name(path, film, path.name.replace(".", "_")) if uses[plain] > 1 else plain
        for (path, film), plain in zip(sources, names)
    ]
    taken: set[Path] = set()
    for i, plain in enumerate(names):  # the same name in several input folders
        number = 2
        while names[i] in taken:
            names[i] = plain.with_name(f"{plain.stem}_{number}{plain.suffix}")
            number += 1
        taken.add(names[i])
    return names
