"""Lists and pairs the image files of folders, and writes PNG files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from .. import images
from ..errors import InputError
from ..utils.files import atomic

# On cartoons about the size of Pillow's best compression, four times as fast.
PNG = (
    cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY,
    cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP,
)  # fmt: skip


def image_files(folder: Path) -> list[Path]:
    """The image files of a folder, by their extensions, sorted by name.

    Raises:
        InputError: there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        there = sorted(p.name for p in folder.parent.iterdir() if p.is_dir()) if folder.parent.is_dir() else []
        raise InputError(
            f"{folder}: no such folder"
            + (f"; beside it are {', '.join(there[:8])}" if there else f", nor {folder.parent}")
        )
    files = images_in(folder)
    if not files:
        raise InputError(f"{folder}: no image in it")
    return files


def images_in(folder: Path) -> list[Path]:
    """The same; an empty list where there is no image or no folder."""
    extensions = {extension for extension, kind in Image.registered_extensions().items() if kind in images.READABLE}
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted(p for p in files if p.suffix.lower() in extensions and not p.name.startswith("."))


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


def write_png(path: Path, rgb: np.ndarray) -> None:
    """Writes RGB uint8 [H, W, 3] atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), PNG)[1]
    with atomic(path) as temporary:
        temporary.write_bytes(data)
