"""Which image files become which cartoon files."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator
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
    check_suffix(suffix)
    sources: dict[str, tuple[Path, Path]] = {}
    for text in inputs:
        if len(inputs) > 1 and os.path.realpath(text) == os.path.realpath(output):
            continue  # the shell's * has found the output folder
        for path, relative in search(text, output, recursive):
            sources.setdefault(os.path.abspath(path), (path, relative))
    ending = output.suffix.lower()
    to_file = ending in IMAGE_ENDINGS and not os.path.isdir(output)
    if to_file and ending not in WRITABLE:
        raise InputError(f"{output}: cannot write this format; choose from {', '.join(WRITABLE)}")
    if to_file and len(sources) > 1:
        raise InputError(f"{output}: one file for {len(sources)} images; give a folder as the output")
    found = names([str(relative) for _, relative in sources.values()], suffix, ext)
    targets = [output] if to_file else [output / name for name in found]
    pairs = ((source, target) for (source, _), target in zip(sources.values(), targets))
    jobs = [Job(source, target, skip_existing and os.path.isfile(target)) for source, target in pairs]
    originals = {os.path.realpath(job.source) for job in jobs}
    inside = recursive and any(is_below(output, text) for text in inputs)
    for job in jobs:
        if os.path.realpath(job.target) in originals:
            raise InputError(f"{job.target}: would replace an input; choose another --output or a --suffix")
        if inside and not job.skip and os.path.lexists(job.target):
            raise InputError(f"{job.target}: is there, inside an input; --skip-existing keeps it, or remove it")
    return jobs


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
    if os.path.lexists(text):
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


def names(relative: list[str], suffix: str, ext: str) -> list[str]:
    """Names for the cartoons, all different: a.jpg and a.png both as png become a_jpg.png and a_png.png."""

    def name(path: str, stem: str) -> str:
        own = os.path.splitext(path)[1]
        own = own if own.lower() in WRITABLE else ".png"
        return f"{stem}{suffix}{own if ext == 'auto' else f'.{ext}'}"

    def whole(path: str) -> str:
        folder, file = os.path.split(path)
        return os.path.join(folder, file.replace(".", "_"))

    plain = [name(path, os.path.splitext(path)[0]) for path in relative]
    uses = Counter(plain)
    plain = [name(path, whole(path)) if uses[short] > 1 else short for path, short in zip(relative, plain)]
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
