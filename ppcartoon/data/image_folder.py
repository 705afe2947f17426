"""Lists and pairs the image files of folders, and writes PNG files and contact sheets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from .. import images
from ..errors import InputError
from ..utils.companions import is_skipped
from ..utils.files import atomic, is_hidden
from ..utils.grid import contact_sheet

ON_SHEET = 600  # images on a contact sheet, at most

# On cartoons about the size of Pillow's best compression, four times as fast.
PNG = (
    cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY,
    cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP,
)  # fmt: skip


def image_files(folder: Path, recursive: bool = False) -> list[Path]:
    """The image files of a folder, by their extensions, sorted by path; those in subfolders too if `recursive`.

    Raises:
        InputError: there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        there = sorted(p.name for p in folder.parent.iterdir() if p.is_dir()) if folder.parent.is_dir() else []
        raise InputError(
            f"{folder}: no such folder"
            + (f"; beside it are {', '.join(there[:8])}" if there else f", nor {folder.parent}")
        )
    files = images_in(folder, recursive)
    if not files:
        raise InputError(f"{folder}: no image in it")
    return files


def images_in(folder: Path, recursive: bool = False) -> list[Path]:
    """The same; an empty list where there is no image or no folder."""
    extensions = images.endings()
    return sorted(p for p in _visible(folder, recursive) if p.suffix.lower() in extensions)


def _visible(folder: Path, recursive: bool) -> Iterator[Path]:
    """What a folder contains, without hidden files and folders and known companions of photos."""
    files = (folder.rglob("*") if recursive else folder.iterdir()) if folder.is_dir() else ()
    return (p for p in files if not is_skipped(p.relative_to(folder).as_posix()) and not is_hidden(p))


class LeftOut(NamedTuple):
    """Files of a folder that training does not take.

    Attributes:
        below: number of images in subfolders.
        others: number of other files by their endings, in lower case.
    """

    below: int
    others: Counter[str]


def left_out(folder: Path, recursive: bool = False) -> LeftOut:
    """Counts the files of a folder that `images_in` does not return."""
    taken = {*images_in(folder, recursive)}
    below = [] if recursive else [p for p in images_in(folder, recursive=True) if p.parent != folder]
    others = (p for p in _visible(folder, recursive) if p not in taken and p.is_file())
    return LeftOut(len(below), Counter(p.suffix.lower() or p.name for p in others))


def read_on_white(file: Path) -> np.ndarray:
    """Reads an image as training sees it: RGB uint8 [H, W, 3], transparent parts on white.

    Raises:
        InputError: see `images.read`.
    """
    return images.on_white(images.read(file))


def fingerprint(files: list[Path]) -> list:
    """Path, size in bytes and modification time in ns of each file, for JSON; they change when a file is replaced."""
    # a dangling link has its path only, so that the cache key changes and the link is reported
    return [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) if f.exists() else str(f) for f in files]


def by_stem(files: list[Path]) -> dict[str, Path]:
    """Files by name without extension, which is how paired files are found.

    Raises:
        InputError: two files differ in their extensions only.
    """
    found: dict[str, Path] = {}
    for file in files:
        if (other := found.setdefault(file.stem, file)) is not file:
            raise InputError(f"{file.parent}: {other.name} and {file.name} differ in their extensions only; rename one")
    return found


def paired_files(files: list[Path], folder: Path) -> list[Path]:
    """The files of `folder` with the names of `files`, whatever their extensions.

    Raises:
        InputError: a file or the folder is missing, or two files differ in their extensions only.
    """
    by_stem(files)
    found = by_stem(image_files(folder))
    missing = [file.name for file in files if file.stem not in found]
    if missing:
        raise InputError(f"{folder} lacks {len(missing)} of {len(files)} cartoons, {missing[0]} first")
    return [found[file.stem] for file in files]


def encode_png(rgb: np.ndarray) -> bytes:
    """Encodes RGB uint8 [H, W, 3] as a PNG file."""
    return cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), PNG)[1].tobytes()


def write_png(path: Path, rgb: np.ndarray) -> None:
    """Writes RGB uint8 [H, W, 3] atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic(path) as temporary:
        temporary.write_bytes(encode_png(rgb))


def write_contact_sheet(files: list[Path], folder: Path, name: str) -> Path | None:
    """Writes thumbnails as one image beside a folder, where training does not mistake it for a cartoon.

    Args:
        files: image files, shown in this order; those that are missing are not shown, and of many only some, spread
            evenly.
        folder: the sheet is written beside it, and is named after it.
        name: the second part of the name of the sheet.

    Returns:
        The path of the sheet, or None if there is no file to show.
    """
    existing = [file for file in files if file.exists()]  # users delete images
    if not existing:
        return None
    number = min(len(existing), ON_SHEET)
    shown = (existing[i * len(existing) // number] for i in range(number))
    folder = folder if folder.name else Path.cwd()
    path = folder.with_name(f"{folder.name}_{name}_contact_sheet.jpg")
    sheet = contact_sheet((read_on_white(file) for file in shown), height=96, columns=20)
    images.write(path, images.Picture(sheet))
    return path
