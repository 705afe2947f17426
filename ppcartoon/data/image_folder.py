"""Folders of images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from .. import images
from ..errors import InputError
from ..utils.files import atomic

# Lossless, and four times as fast as Pillow's best compression at about its size, on cartoons.
PNG = (
    cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY,
    cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP,
)  # fmt: skip


def image_files(folder: Path) -> list[Path]:
    """The image files of a folder by their endings, in the order of their names.

    Raises:
        InputError: there is no such folder, or no image in it; the message leaves it to the caller to name the key.
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
    """The same where there may be none."""
    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in images.READABLE}
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted(p for p in files if p.suffix.lower() in endings and not p.name.startswith("."))


def facts(files: list[Path]) -> list:
    """What tells of each file whether it is the one that was read before, as JSON has it."""
    # a link to nothing counts too, so that it is found unreadable whatever was decoded before
    return [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) if f.exists() else str(f) for f in files]


def by_stem(files: list[Path]) -> dict[str, Path]:
    """Files by their names without ending, by which twins find each other.

    Raises:
        InputError: two files differ in their endings only.
    """
    found: dict[str, Path] = {}
    for file in files:
        if (other := found.setdefault(file.stem, file)) is not file:
            raise InputError(f"{file.parent}: {other.name} and {file.name} would share a twin; rename one")
    return found


def paired_files(files: list[Path], folder: Path) -> list[Path]:
    """The files of `folder` that have the names of `files`, whatever their endings.

    Raises:
        InputError: one is missing, or the folder is; two of a name are there.
    """
    by_stem(files)
    found = by_stem(image_files(folder))
    missing = [file.name for file in files if file.stem not in found]
    if missing:
        raise InputError(f"{folder} lacks {len(missing)} of {len(files)} cartoons, {missing[0]} first")
    return [found[file.stem] for file in files]


def write_png(path: Path, rgb: np.ndarray) -> None:
    """Writes uint8 [H, W, 3] whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), PNG)[1]
    with atomic(path) as temporary:
        temporary.write_bytes(data)
