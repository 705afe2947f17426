"""What a worker of a cluster does: images read, cartoonized and written, wherever they are."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from ... import images
from ...errors import InputError, OutputError
from ..batch import Options
from ..predictor import CartoonPredictor
from . import storage


class Worker:
    """Reads, cartoonizes and writes, in a process of Ray's.

    Args:
        options: of its `CartoonPredictor`.
        data: the content of a weights file.
        wanted: of the cartoons.
    """

    def __init__(self, options: dict, data: bytes, wanted: Options) -> None:
        self.wanted, self.trouble = wanted, ""
        try:
            with tempfile.TemporaryDirectory() as folder:
                (file := Path(folder) / "sent.safetensors").write_bytes(data)
                self.predictor = CartoonPredictor(weights_file=file, **options)
        except InputError as error:
            self.trouble = str(error)

    def __call__(self, jobs: pa.Table) -> pa.Table:
        """Does jobs, and says so in columns index, message (empty where all is well) and fatal (no use in going on)."""
        rows = [row | {"message": self.trouble, "fatal": bool(self.trouble)} for row in jobs.to_pylist()]
        for row in rows if not self.trouble else ():
            with _noting(row):
                row["photo"] = self._read(os.fsdecode(row["source"]))
        ready = [row for row in rows if "photo" in row]
        with _noting(*ready):
            for row, rgb in zip(ready, self.predictor([row["photo"].rgb for row in ready]) if ready else ()):
                with _noting(row):
                    self._write(os.fsdecode(row["target"]), row["photo"], rgb)
        return pa.table({name: [row[name] for row in rows] for name in ("index", "message", "fatal")})

    def _read(self, source: str) -> images.Picture:
        photo = storage.read(source)
        if self.wanted.max_size:
            photo = images.shrink(photo, self.wanted.max_size)
        self.predictor.tile_size(*photo.rgb.shape[:2])  # refuses what is too large
        return photo

    def _write(self, target: str, photo: images.Picture, rgb: np.ndarray) -> None:
        cartoon = images.Picture(rgb, photo.alpha)
        picture = images.side_by_side(photo, cartoon) if self.wanted.side_by_side else cartoon
        storage.write(target, images.encode(picture, Path(target.partition("?")[0]).suffix, self.wanted.quality))


@contextmanager
def _noting(*rows: dict) -> Iterator[None]:
    """Puts into rows what went wrong with them."""
    try:
        yield
    except InputError as error:
        for row in rows:
            row |= {"message": str(error), "fatal": isinstance(error, OutputError)}
