"""A worker of a Ray cluster: reads images, cartoonizes them and writes the cartoons."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from ... import images
from ...errors import InputError, OutputError, naming, printable
from ..batch import BatchOptions
from ..predictor import CartoonPredictor
from . import storage


class Worker:
    """Cartoonizes batches of images in a Ray process.

    Args:
        predictor_options: arguments of its `CartoonPredictor`.
        weights_data: the content of a weights file.
        options: how cartoons are made and written.
    """

    def __init__(self, predictor_options: dict, weights_data: bytes, options: BatchOptions) -> None:
        self.options, self.error = options, ""
        try:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "sent.safetensors"
                file.write_bytes(weights_data)
                self.predictor = CartoonPredictor(weights_file=file, **predictor_options)
        except InputError as error:
            self.error = str(error)

    def __call__(self, jobs: pa.Table) -> pa.Table:
        """Runs jobs; returns columns index, message (empty on success), fatal (all other jobs would fail) and remark.

        Args:
            jobs: columns index, source and target, see `jobs.plan`.
        """
        rows = [row | {"message": self.error, "fatal": bool(self.error), "remark": ""} for row in jobs.to_pylist()]
        if not self.error:
            self._run(rows)
        return pa.table({name: [row[name] for row in rows] for name in ("index", "message", "fatal", "remark")})

    def _run(self, rows: list[dict]) -> None:
        for row in rows:
            with _recording_error(row):
                row["photo"], row["remark"] = self._read(os.fsdecode(row["source"]))
        ready = [row for row in rows if "photo" in row]
        try:
            cartoons = self.predictor([row["photo"].rgb for row in ready])
        except InputError as error:
            for row in ready:
                row["message"] = f"{printable(os.fsdecode(row['source']))}: {error}"
            return
        for row, rgb in zip(ready, cartoons):
            with _recording_error(row), naming(os.fsdecode(row["source"])):
                self._write(os.fsdecode(row["target"]), row["photo"], rgb)

    def _read(self, source: str) -> tuple[images.Picture, str]:
        photo, remark = storage.read(source)
        if self.options.max_size:
            photo = images.shrink(photo, self.options.max_size)
        with naming(source):
            self.predictor.tile_size(*photo.rgb.shape[:2])  # raises InputError if the photo is too large
        return photo, f"{printable(source)}: {remark}" if remark else ""

    def _write(self, target: str, photo: images.Picture, rgb: np.ndarray) -> None:
        cartoon = images.Picture(rgb, photo.alpha)
        picture = images.side_by_side(photo, cartoon) if self.options.side_by_side else cartoon
        storage.write(target, images.encode(picture, Path(target.partition("?")[0]).suffix, self.options.quality))


@contextmanager
def _recording_error(row: dict) -> Iterator[None]:
    """Writes an InputError in the block into the row, and does not raise it."""
    try:
        yield
    except InputError as error:
        row |= {"message": str(error), "fatal": isinstance(error, OutputError)}
