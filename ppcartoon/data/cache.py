"""Cache of decoded images: memory-mapped files that all processes share without copying."""

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
from ..utils.files import atomic, cache_home
from ..utils.threads import threads
from .edge_smoothing import smooth_edges
from .image_folder import fingerprint

VERSION = 1  # of decoding, resizing and smoothing
NAMED = 3  # unreadable files named in the error, at most


def cache_folder() -> Path:
    """The default cache folder; files deleted from it are made again when needed."""
    return cache_home() / "ppcartoon" / "stacks"


class ImageStack(Sequence):
    """Images RGB uint8 [H, W, 3] by index, in a memory-mapped file that is made when it is missing or out of date.

    Args:
        files: image files.
        load_size: pixels of the shorter side, to which images are resized.
        cache: folder for the file.
        smooth: smooth the edges (`edge_smoothing.smooth_edges`).

    Raises:
        InputError: files that cannot be read, named.
        OutputError: the cache cannot be written.
    """

    def __init__(self, files: list[Path], load_size: int, cache: Path, smooth: bool = False) -> None:
        self.files = files
        key = hashlib.sha256(json.dumps([VERSION, fingerprint(files), load_size, smooth]).encode()).hexdigest()
        path = cache / f"{key[:32]}.stack"
        if not self._map(path):
            _write(path, files, load_size, smooth)
            self._map(path)

    def _map(self, path: Path) -> bool:
        """Maps the file into memory; False if it is missing or incomplete."""
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
    """Writes the sizes as int32 pairs (H, W), then the pixels of all images."""

    def load(file: Path) -> np.ndarray | InputError:
        try:
            image = resize(images.read(file).rgb, load_size)
            return smooth_edges(image) if smooth else image
        except InputError as error:
            return error

    shapes, bad = [], []
    for old in path.parent.glob(".*.stack"):  # temporary files of processes that were killed a day ago
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > 86400:
                old.unlink()
    try:
        with atomic(path) as temporary, open(temporary, "wb") as out, threads() as pool:
            out.seek(8 * len(files))
            name = f"{files[0].parent.name}{', smoothed' if smooth else ''}"
            for image in tqdm(pool.imap(load, files), name, len(files), leave=False, disable=None):
                if isinstance(image, InputError):
                    bad.append(str(image))
                elif not bad:
                    out.write(image.tobytes())
                    shapes.append(image.shape[:2])
            if bad:
                more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
                named = "; ".join(bad[:NAMED]) + more
                raise InputError(f"{len(bad)} of {len(files)} images cannot be used: {named}; repair or remove them")
            out.seek(0)
            out.write(np.array(shapes, np.int32).tobytes())
    except OutputError as error:
        raise OutputError(f"{error}; set dataset.train.cache_dir to another folder for decoded images") from error


def scaled(height: int, width: int, shorter: int) -> tuple[int, int]:
    """Height and width after resizing the shorter side to `shorter` pixels, with the aspect ratio kept."""
    scale = shorter / min(height, width)
    return max(shorter, round(height * scale)), max(shorter, round(width * scale))


def resize(image: np.ndarray, shorter: int) -> np.ndarray:
    """Resizes RGB uint8 [H, W, 3] to a shorter side of `shorter` pixels, with the aspect ratio kept."""
    size = scaled(*image.shape[:2], shorter)
    if size == image.shape[:2]:
        return image
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.LANCZOS))


def center(image: np.ndarray, size: int) -> np.ndarray:
    """Center crop of an RGB image uint8 [H, W, 3], resized to [size, size, 3]."""
    image = resize(image, size)
    top, left = (np.array(image.shape[:2]) - size) // 2
    return image[top : top + size, left : left + size]
