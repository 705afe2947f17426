"""Paddle's .pdparams files, pickles of arrays by name, without Paddle and without running code from the file."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

from .files import atomic
from .pickles import Array, ArraysUnpickler, Names

ENTRY_BYTES = 100  # of an entry of a dict, about
PROTOCOL = 3  # names modules in plain text, see `write`


class _Unpickler(ArraysUnpickler):
    """Also knows how `paddle.save` writes a tensor in nested dicts: a tuple of its name and its values."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) in (("builtins", "tuple"), ("__builtin__", "tuple")):
            return lambda pair: pair[1]
        if (module, name) == ("collections", "OrderedDict"):
            return Names
        return super().find_class(module, name)


def is_pickle(data: bytes) -> bool:
    """Whether a file is a pickle as Paddle writes them, by its first bytes; .safetensors has "{" as its ninth."""
    return data[:1] == b"\x80" and data[8:9] != b"{"


def parse(data: bytes, max_bytes: int) -> dict[str, object]:
    """The content of a file that `paddle.save` or ppgan wrote: arrays, texts, numbers and dicts of these by name.

    Args:
        data: the content of the file.
        max_bytes: the most bytes of all arrays together.

    Raises:
        Exception: of any type, if the file is damaged, too large or contains other objects.
    """
    left = max_bytes

    def values(tree: dict) -> dict:
        nonlocal left
        found = {}
        for name, value in tree.items():
            if isinstance(value, dict):
                value = values(value)
            elif isinstance(value, Array):
                value = value.value
                left -= value.nbytes  # a file may share arrays and dicts
            left -= len(name) + ENTRY_BYTES
            if left < 0:
                raise ValueError(f"more than {max_bytes >> 20} MB")
            found[name] = value
        return found

    tree = _Unpickler(io.BytesIO(data), max_bytes).load()
    if not isinstance(tree, dict):
        raise ValueError("no dictionary of tensors by name")
    return values(tree)


def write(path: Path, tree: dict[str, object]) -> None:
    """Writes arrays and texts by name as a file for `paddle.load`, atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    data = pickle.dumps(tree, PROTOCOL)
    data = data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")  # NumPy 1 knows this name only
    with atomic(path) as temporary:
        temporary.write_bytes(data)
