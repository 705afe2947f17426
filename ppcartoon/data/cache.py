"""The images of a folder, decoded once into a memory-mapped file, where every process reads them without copying."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from .. import images
from ..errors import InputError, OutputError
from ..utils.files import atomic
from ..utils.threads import threads
from .edge_smoothing import smooth_edges
from .image_folder import facts

VERSION = 1  # of what is made of a file, resizing and smoothing included
NAMED = 3  # of the files that cannot be read, this many are named


def cache_folder() -> Path:
    """Where stacks go unless told otherwise; whatever lies there can be deleted, and is made again when needed."""
    return Path.home() / ".cache" / "ppcartoon" / "stacks"


class ImageStack(Sequence):
    """RGB uint8 [H, W, 3] by number, out of a memory-mapped file that is made when it is missing or out of date.

    Args:
        files: image files.
        load_size: images are reduced or enlarged until their shorter side has so many pixels.
        cache: folder for the file.
        smooth: whether the edges are smoothed (`smoothing.smooth_edges`).

    Raises:
        InputError: files that cannot be read, named.
        OutputError: the cache cannot be written.
    """

    def __init__(self, files: list[Path], load_size: int, cache: Path, smooth: bool = False) -> None:
        self.files = files
        key = hashlib.sha256(json.dumps([VERSION, facts(files), load_size, smooth]).encode()).hexdigest()
        path = cache / f"{key[:32]}.stack"
        if not self._map(path):
            _write(path, files, load_size, smooth)
            self._map(path)

    def _map(self, path: Path) -> bool:
        """Maps the file into memory; whether it is there, and whole."""
        header = 8 * len(self.files)
        if not path.exists() or path.stat().st_size < header:
            return False
        data = np.memmap(path, np.uint8, "r")
        self.shapes = np.asarray(data[:header]).view(np.int32).reshape(-1, 2)
        self._pixels = data[header:]
        self._starts = np.concatenate([[0], np.cumsum(3 * self.shapes.prod(1, dtype=np.int64))])
        return self._pixels.size == self._starts[-1]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> np.ndarray:
        return self._pixels[self._starts[i] : self._starts[i + 1]].reshape(*self.shapes[i], 3)


def _write(path: Path, files: list[Path], load_size: int, smooth: bool) -> None:
    """Sizes as int32 (H, W) pairs, then the pixels, image after image."""

    def load(file: Path) -> np.ndarray | InputError:
        try:
            image = resize(images.read(file).rgb, load_size)
            return smooth_edges(image) if smooth else image
        except InputError as error:
            return error

    shapes, bad = [], []
    for left_over in path.parent.glob(".*.stack"):  # by a killed writer, a day ago at least
        with suppress(OSError):
            if time.time() - left_over.stat().st_mtime > 86400:
                left_over.unlink()
    try:
        with atomic(path) as temporary, open(temporary, "wb") as out, threads() as pool:
            out.seek(8 * len(files))
            name = f"{files[0].parent.name}{', smoothed' if smooth else ''}"
            for file, image in zip(files, tqdm(pool.imap(load, files), name, len(files), leave=False, disable=None)):
                if isinstance(image, InputError):
                    bad.append(f"{file} ({image})")
                elif not bad:
                    out.write(image.tobytes())
                    shapes.append(image.shape[:2])
            if bad:
                more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
                named = ", ".join(bad[:NAMED]) + more
                raise InputError(f"{len(bad)} of {len(files)} images cannot be used: {named}; mend or remove them")
            out.seek(0)
            out.write(np.array(shapes, np.int32).tobytes())
    except OutputError as error:
        raise OutputError(f"{error}; dataset.train.cache_dir may name another folder for decoded images") from error


def scaled(height: int, width: int, shorter: int) -> tuple[int, int]:
    """Height and width of an image whose shorter side becomes `shorter` pixels, its shape kept."""
    scale = shorter / min(height, width)
    return max(shorter, round(height * scale)), max(shorter, round(width * scale))


def resize(image: np.ndarray, shorter: int) -> np.ndarray:
    """RGB uint8 [H, W, 3] with its shorter side of `shorter` pixels, its shape kept."""
    size = scaled(*image.shape[:2], shorter)
    if size == image.shape[:2]:
        return image
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.LANCZOS))


def center(image: np.ndarray, size: int) -> np.ndarray:
    """The square in the middle of an RGB image uint8 [H, W, 3], as [size, size, 3]."""
    image = resize(image, size)
    top, left = (np.array(image.shape[:2]) - size) // 2
    return image[top : top + size, left : left + size]
