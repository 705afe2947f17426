"""Which image files become which cartoon files."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from .errors import InputError
from .images import WRITABLE

IMAGE_ENDINGS = {*WRITABLE, ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".ppm", ".tga", ".ico", ".heic", ".jfif"}


class Job(NamedTuple):
    """One image to cartoonize.

    Attributes:
        source: where it is read.
        target: where its cartoon goes.
        skip: whether that is there already and may stay.
    """

    source: Path
    target: Path
    skip: bool


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
        inputs: what to read; every visible file of a folder counts.
        output: a folder, or for a single image a file name with an image's ending.
        recursive: go into subfolders, whose structure the output keeps.
        suffix: appended to each name, before its ending.
        ext: ending of the cartoons without the dot, or "auto": the source's where it can be written, else png.
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
    ending = output.suffix.lower()
    to_file = ending in IMAGE_ENDINGS and not os.path.isdir(output)
    if to_file and ending not in WRITABLE:
        raise InputError(f"{output}: cannot write this format; choose from {', '.join(WRITABLE)}")
    if to_file and len(sources) > 1:
        raise InputError(f"{output}: one file for {len(sources)} images; give a folder as the output")
    names = _names([relative for _, relative in sources.values()], suffix, ext)
    targets = [output] if to_file else [output / name for name in names]
    found = ((source, target) for (source, _), target in zip(sources.values(), targets))
    jobs = [Job(source, target, skip_existing and os.path.isfile(target)) for source, target in found]
    originals = {os.path.realpath(job.source) for job in jobs}
    inside = recursive and any(_is_below(output, text) for text in inputs)
    for job in jobs:
        if os.path.realpath(job.target) in originals:
            raise InputError(f"{job.target}: would replace an input; choose another --output or a --suffix")
        if inside and not job.skip and os.path.lexists(job.target):
            raise InputError(f"{job.target}: is there, inside an input; --skip-existing keeps it, or remove it")
    return jobs


def _search(text: str, output: Path, recursive: bool) -> list[tuple[Path, Path]]:
    """Files for one input, each with the path that it has below that input."""
    if os.path.isdir(text):
        return [(path, path.relative_to(text)) for path in _files(Path(text), output, recursive)]
    if os.path.lexists(text):
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


def _names(relative: list[Path], suffix: str, ext: str) -> list[Path]:
    """Names for the cartoons, all different: a.jpg and a.png both as png become a_jpg.png and a_png.png."""

    def name(path: Path, stem: str) -> Path:
        own = path.suffix if path.suffix.lower() in WRITABLE else ".png"
        return path.with_name(f"{stem}{suffix}{own if ext == 'auto' else f'.{ext}'}")

    names = [name(path, path.stem) for path in relative]
    uses = Counter(names)
    names = [
        name(path, path.name.replace(".", "_")) if uses[plain] > 1 else plain for path, plain in zip(relative, names)
    ]
    taken: set[Path] = set()
    for i, plain in enumerate(names):  # the same name in several input folders
        number = 2
        while names[i] in taken:
            names[i] = plain.with_name(f"{plain.stem}_{number}{plain.suffix}")
            number += 1
        taken.add(names[i])
    return names
