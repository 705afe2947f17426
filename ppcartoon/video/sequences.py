"""Numbered images, by patterns as FFmpeg has them: frames/%05d.png."""

from __future__ import annotations

import re
from pathlib import Path

from .formats import ENDINGS

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
