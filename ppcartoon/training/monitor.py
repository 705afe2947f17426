"""Logs of a run: train.log, metrics.jsonl and a VisualDL log, continued in the same files when the run resumes."""

from __future__ import annotations

import contextlib
import json
import logging
import struct
from pathlib import Path

import numpy as np

from .. import images
from ..utils.files import atomic, output_errors
from ..utils.grid import contact_sheet

METRICS = "metrics.jsonl"
VISUALDL = "vdlrecords.train.log"
MAIN = ("d_loss", "g_loss", "learning_rate")


def tag(name: str) -> str:
    """The name of a scalar in VisualDL, with its group; the page opens on the first group by name, which is "main"."""
    group = "main" if name in MAIN else "terms" if name.startswith(("d_", "g_")) else "other"
    return f"{group}/{name}"


class TrainingLogger:
    """Writes metrics and samples.

    Args:
        folder: the run's folder.
        step: steps done; entries of later steps, from an interrupted run, are removed.
        visualdl: whether to write a VisualDL log too.

    Attributes:
        at_start: names of the values that were logged at `step` before.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path, step: int, visualdl: bool) -> None:
        self._folder = folder
        with output_errors(folder / METRICS):
            self.at_start = _cut_metrics(folder / METRICS, step)
            self._metrics = open(folder / METRICS, "a", encoding="utf-8")  # noqa: SIM115
        self._visualdl = None
        if visualdl:
            import visualdl as vdl

            cut_records(folder / VISUALDL, step)
            with contextlib.redirect_stdout(None):  # it prints that it appends
                self._visualdl = vdl.LogWriter(str(folder), file_name=VISUALDL, display_name=str(folder))

    def scalars(self, step: int, values: dict[str, float], **more: str | float) -> None:
        """Writes a row of metrics; `more` goes to metrics.jsonl only.

        Raises:
            OutputError: the file cannot be written, for example because the disk is full.
        """
        with output_errors(self._metrics.name):
            self._metrics.write(json.dumps({"step": step, **more, **values}) + "\n")
            self._metrics.flush()
        if self._visualdl:
            for name, value in values.items():
                self._visualdl.add_scalar(tag(name), value, step)

    def samples(self, step: int, photos: list[np.ndarray], cartoons: list[np.ndarray]) -> None:
        """Writes a sample grid: each photo with its cartoon to the right; all RGB uint8 [H, W, 3].

        Raises:
            OutputError: the file cannot be written.
        """
        pairs = [np.hstack(pair) for pair in zip(photos, cartoons)]
        sheet = images.Picture(contact_sheet(pairs, len(photos[0])))
        images.write(self._folder / "samples" / f"step_{step:08d}.png", sheet)
        if self._visualdl:
            self._visualdl.add_image("samples", sheet.rgb, step)

    def text(self, step: int, name: str, text: str) -> None:
        if self._visualdl:
            self._visualdl.add_text(name, text, step)

    def flush(self) -> None:
        if self._visualdl:
            self._visualdl.flush()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._metrics.close()
        if self._visualdl:
            self._visualdl.close()


def _cut_metrics(path: Path, step: int) -> set[str]:
    """Removes the rows after `step`, and an incomplete last row; returns the keys of the rows at `step`."""
    kept, keys = [], set()
    if not path.exists():
        return keys
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            row = json.loads(line)
            if row["step"] <= step:
                kept.append(line + "\n")
            if row["step"] == step:
                keys |= row.keys()
    with atomic(path) as temporary:
        temporary.write_text("".join(kept), encoding="utf-8")
    return keys


def cut_records(path: Path, step: int) -> None:
    """Removes the records of a VisualDL log after `step`, and all from an incomplete one on, which break its reader.

    Texts at `step` are removed too, as the resumed run writes its own. With step 0 all records are removed.

    A record is its length as a little-endian uint64, then a serialized `Record`.
    """
    from visualdl.proto.record_pb2 import Record

    if not path.exists():
        return
    data, at, kept = path.read_bytes(), 0, []
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        end = at + 8 + length
        if end > len(data):
            break
        try:
            value = Record.FromString(data[at + 8 : end]).values[0]
        except Exception:  # protobuf's DecodeError, or a record without a value
            break
        if value.id < step or (value.id == step > 0 and value.WhichOneof("one_value") != "text"):
            kept.append(data[at:end])
        at = end
    with atomic(path) as temporary:
        temporary.write_bytes(b"".join(kept))


def open_log(folder: Path) -> None:
    """Adds train.log, with timestamps, to the outputs of the log.

    Raises:
        OutputError: the file cannot be written.
    """
    with output_errors(folder / "train.log"):
        folder.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(folder / "train.log", encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.raiseExceptions = False  # on a full disk the writer of metrics raises the error
    logging.getLogger("ppcartoon").addHandler(file)
