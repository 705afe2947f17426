"""Which image files become which cartoon files."""

from __future__ import annotations

import glob
import mimetypes
import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from .errors import InputError
from .images import WRITABLE


class Job(NamedTuple):
    """One image to cartoonize: where it is read, and where its cartoon goes."""

    source: Path
    target: Path


def plan(inputs: list[str], output: Path, *, recursive: bool = False, suffix: str = "", ext: str = "auto") -> list[Job]:
    """The jobs for files, folders and glob patterns, in order; hidden files and the output folder are left out.

    Args:
        inputs: what to read; every visible file of a folder counts.
        output: a folder, or for a single image a file name with an image's ending.
        recursive: go into subfolders, whose structure the output keeps.
        suffix: appended to each name, before its ending.
        ext: ending of the cartoons without the dot, or "auto": the source's where it can be written, else png.

    Raises:
        InputError: an input is missing or an empty folder, or an output would replace an input or has another format.
    """
    if Path(suffix).name != suffix:
        raise InputError(f"--suffix {suffix!r}: cannot be part of a file name")
    sources: dict[Path, Path] = {}
    for text in inputs:
        for path in _expand(text):
            if path.is_dir():
                sources |= {found: found.relative_to(path) for found in _files(path, output.resolve(), recursive)}
            else:
                sources.setdefault(path, Path(path.name))
    to_file = (mimetypes.guess_type(output)[0] or "").startswith("image/") and not output.is_dir()
    if to_file and output.suffix.lower() not in WRITABLE:
        raise InputError(f"{output}: cannot write this format; choose from {', '.join(WRITABLE)}")
    if to_file and len(sources) > 1:
        raise InputError(f"{output}: one file for {len(sources)} images; give a folder as the output")
    targets = [output] if to_file else [output / name for name in _names(list(sources.values()), suffix, ext)]
    jobs = [Job(source, target) for source, target in zip(sources, targets)]
    _protect(jobs)
    return jobs


def _expand(text: str) -> list[Path]:
    if os.path.exists(text):
        return [Path(text)]
    found = sorted(glob.glob(text, recursive=True))
    if not found:
        raise InputError(f"{text}: no such file or folder")
    return [Path(path) for path in found]


def _files(folder: Path, output: Path, recursive: bool) -> list[Path]:
    found = []
    for parent, folders, names in os.walk(folder):
        here = Path(parent)
        folders[:] = sorted(
            f for f in folders if recursive and not f.startswith(".") and (here / f).resolve() != output
        )
        paths = [here / name for name in sorted(names) if not name.startswith(".")]
        found += [path for path in paths if path.is_file() or not path.exists()]  # no pipes, but broken links to name
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


def _protect(jobs: list[Job]) -> None:
    originals = {job.source.resolve() for job in jobs}
    for job in jobs:
        if job.target.resolve() in originals:
            raise InputError(f"{job.target}: would replace an input; choose another --output or a --suffix")
