"""State dicts that `torch.save` wrote, as arrays: without PyTorch, and without running anything that a file may hold.

Since PyTorch 1.6 such a file is a zip archive: a pickle of names and shapes, and an entry for each storage of numbers.
Before, it was five pickles (magic number, version, system, names and shapes, keys of storages), then the storages.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from ..errors import InputError

MAX_BYTES = 1 << 30  # ten times Inception-V3
MAGIC = 0x1950A86A20F9469CFC6C  # PyTorch's, in files of the old form
TYPES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
    "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?",
}  # fmt: skip


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a state dict, by name; they cannot be written to.

    Raises:
        InputError: the file cannot be read, or holds anything but tensors by name.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than a weights file can be ({MAX_BYTES >> 20} MB)")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    try:
        tensors, storages = _zipped(data) if data.startswith(b"PK") else _legacy(data)
        return {str(name): tensor.array(storages) for name, tensor in tensors.items()}
    except Exception as error:  # zipfile, NumPy and pickle raise anything on a damaged file
        raise InputError(
            f"{path}: not a state dict that torch.save wrote, with tensors by name and nothing else ({error})"
        ) from error


class _Storage(NamedTuple):
    """Numbers that are somewhere else in the file."""

    type: str
    key: str
    count: int

    def numbers(self, data: bytes, start: int = 0) -> np.ndarray:
        """[count], out of the bytes from `start` on."""
        return np.frombuffer(data, TYPES[self.type], self.count, start)


class _Tensor(NamedTuple):
    """What a pickle says of a tensor."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def array(self, storages: dict[str, np.ndarray]) -> np.ndarray:
        """The tensor as a view of its storage, no part of which lies outside."""
        numbers, whole = storages[self.storage.key], (self.offset, *self.size, *self.stride)
        if not all(type(n) is int and n >= 0 for n in whole) or len(self.size) != len(self.stride):
            raise ValueError(f"a tensor of size {self.size} and stride {self.stride}")
        count = math.prod(self.size)
        last = self.offset + sum((n - 1) * step for n, step in zip(self.size, self.stride))
        if count and max(last, count - 1) >= numbers.size:
            raise ValueError(f"a tensor of size {self.size} in a storage of {numbers.size}")
        strides = [step * numbers.itemsize for step in self.stride]
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.size, strides, writeable=False)


class _TensorsOnly(pickle._Unpickler):  # in Python: the one in C takes as much memory as a file asks for
    """Makes stand-ins for tensors and notes their storages; whatever else a pickle asks for is refused."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: _Tensor(storage, offset, size, stride)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if module == "torch" and name in TYPES:
            return name
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: tuple) -> _Storage:
        kind, type_, key, _, count, *view = pid
        storage = _Storage(type_, key, count)
        possible = kind == "storage" and type(count) is int and count >= 0 and not any(view)
        if not possible or self.storages.setdefault(key, storage) != storage:
            raise pickle.UnpicklingError(f"a storage {pid}")
        return storage

    def tensors(self) -> dict[str, _Tensor]:
        """What the pickle holds."""
        found = self.load()
        for name, tensor in found.items():
            if not isinstance(tensor, _Tensor):
                raise ValueError(f"{name} is no tensor")
        return found


def _zipped(data: bytes) -> tuple[dict[str, _Tensor], dict[str, np.ndarray]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        if any(entry.compress_type for entry in entries) or sum(entry.file_size for entry in entries) > len(data):
            raise ValueError("it is compressed")
        (pickled,) = (entry.filename for entry in entries if entry.filename.endswith("/data.pkl"))
        folder = pickled.removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("its numbers are big-endian")
        unpickler = _TensorsOnly(io.BytesIO(archive.read(pickled)))
        tensors = unpickler.tensors()
        return tensors, {
            key: storage.numbers(archive.read(f"{folder}data/{key}")) for key, storage in unpickler.storages.items()
        }


def _legacy(data: bytes) -> tuple[dict[str, _Tensor], dict[str, np.ndarray]]:
    file, storages = io.BytesIO(data), {}
    if _TensorsOnly(file).load() != MAGIC:
        raise ValueError("its magic number is another")
    _TensorsOnly(file).load()  # the version
    if not _TensorsOnly(file).load()["little_endian"]:
        raise ValueError("its numbers are big-endian")
    unpickler = _TensorsOnly(file)
    tensors = unpickler.tensors()
    for key in _TensorsOnly(file).load():
        storage = unpickler.storages[key]
        if int.from_bytes(file.read(8), "little") != storage.count:
            raise ValueError(f"storage {key} has another length than its tensors say")
        storages[key] = storage.numbers(data, file.tell())
        file.seek(storages[key].nbytes, io.SEEK_CUR)
    return tensors, storages
