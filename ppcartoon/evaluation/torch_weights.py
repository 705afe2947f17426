"""Reads a PyTorch state dict as NumPy arrays, without PyTorch and without running code from the file.

Only the form that `torch.save` wrote before PyTorch 1.6 is read, since the Inception weights of pytorch-fid (May 2019)
have it: five pickles (magic number, version, system, tensors, storage keys), then the storages with the numbers.
"""

from __future__ import annotations

import io
import math
import pickle
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from ..errors import InputError
from ..utils import files
from ..utils.pickles import BoundedUnpickler, Names

MAX_BYTES = 1 << 28  # nearly three times Inception-V3
MAX_PICKLE = 1 << 22  # bytes of the five pickles; Inception-V3 has 200,000
MAX_AXES = 8
MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle
TYPES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
    "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?",
}  # fmt: skip


def read(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict by name, as read-only arrays.

    Raises:
        InputError: the file cannot be read, or contains anything other than named tensors.
    """
    try:
        data = files.read_bytes(path, MAX_BYTES)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    try:
        return _state_dict(data)
    except Exception as error:  # damaged files make pickle and NumPy raise any exception
        raise InputError(
            f"{path}: not a state dict of named tensors as torch.save wrote it before PyTorch 1.6 ({error})"
        ) from error


def _state_dict(data: bytes) -> dict[str, np.ndarray]:
    file, storages = io.BytesIO(data[:MAX_PICKLE]), {}
    if _TensorUnpickler(file).load() != MAGIC:
        raise ValueError("its magic number is different")
    _TensorUnpickler(file).load()  # the version
    if not _TensorUnpickler(file).load()["little_endian"]:
        raise ValueError("its numbers are big-endian")
    unpickler = _TensorUnpickler(file)
    tensors = unpickler.load()
    for name, tensor in tensors.items():
        if not isinstance(tensor, _Tensor):
            raise ValueError(f"{name} is not a tensor")
    keys = _TensorUnpickler(file).load()
    start = file.tell()
    for key in keys:
        storage = unpickler.storages[key]
        if int.from_bytes(data[start : start + 8], "little") != storage.count:
            raise ValueError(f"storage {key} has a different length than its tensors expect")
        storages[key] = np.frombuffer(data, TYPES[storage.type], storage.count, start + 8)
        start += 8 + storages[key].nbytes
    return {str(name): tensor.array(storages[tensor.storage.key]) for name, tensor in tensors.items()}


class _Storage(NamedTuple):
    """A block of numbers at the end of the file, which several tensors may share."""

    type: str
    key: str
    count: int


class _Tensor(NamedTuple):
    """A tensor as the pickle describes it: a view of a storage; offset and stride in elements."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def array(self, numbers: np.ndarray) -> np.ndarray:
        """The tensor as a view of the numbers of its storage.

        Raises:
            ValueError: part of the tensor is outside its storage.
        """
        whole = (self.offset, *self.size, *self.stride)
        if not all(type(n) is int and n >= 0 for n in whole) or not len(self.size) == len(self.stride) <= MAX_AXES:
            raise ValueError("a tensor of size or stride that torch.save does not write")
        count = math.prod(self.size)
        last = self.offset + sum((n - 1) * step for n, step in zip(self.size, self.stride))
        if count and max(last, count - 1) >= numbers.size:
            raise ValueError(f"a tensor of size {self.size} in a storage of {numbers.size}")
        strides = [step * numbers.itemsize for step in self.stride]
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.size, strides, writeable=False)


class _TensorUnpickler(BoundedUnpickler):
    """Unpickles descriptions of tensors, collects their storages, and refuses all other objects."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, "utf-8")
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            return Names
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: _Tensor(storage, offset, size, stride)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if module == "torch" and name in TYPES:
            return name
        return super().find_class(module, name)

    def persistent_load(self, pid: tuple) -> _Storage:
        kind, type_, key, _, count, view = pid
        storage = _Storage(type_, key, count)
        known = [type(part) for part in (type_, key, count)] == [str, str, int]
        valid = known and kind == "storage" and type_ in TYPES and not view
        if not valid or count < 0 or self.storages.setdefault(key, storage) != storage:
            raise pickle.UnpicklingError("a storage that torch.save does not write")
        return storage
