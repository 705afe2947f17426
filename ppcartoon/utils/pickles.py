"""Reads pickles of arrays in bounded memory and time, without running code from the file."""

from __future__ import annotations

import pickle
import pickletools
import re
import warnings
from typing import BinaryIO

import numpy as np

MAX_OPERATIONS = 200_000  # each makes an object of some 100 bytes, apart from its own text or bytes
REFUSED = {  # operations that make other objects than files of arrays have
    "ADDITEMS", "BYTEARRAY8", "DUP", "EMPTY_SET", "EXT1", "EXT2", "EXT4", "FROZENSET", "INST", "LONG4", "NEWOBJ",
    "NEWOBJ_EX", "NEXT_BUFFER", "OBJ", "READONLY_BUFFER",
}  # fmt: skip


class Names(dict):
    """A dictionary whose keys are strings: the hash of nested tuples, which a file may share, can take forever."""

    def __init__(self) -> None:
        super().__init__()

    def __setitem__(self, key: str, value: object) -> None:
        if not isinstance(key, str):
            raise pickle.UnpicklingError("it contains a dictionary with keys that are not names")
        super().__setitem__(key, value)


class BoundedUnpickler(pickle._Unpickler):  # in Python: the C version allocates as much memory as a file requests
    """Base class of unpicklers. It knows no class; subclasses define `find_class`.

    Args:
        file: seekable and in memory; left after the pickle.
        encoding: of the strings of Python 2.
    """

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        super().__init__(file, encoding=encoding)
        self._source = file

    def load(self) -> object:
        """The object.

        Raises:
            Exception: of any type, if the pickle is damaged, too large or contains other objects.
        """
        start = self._source.tell()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's, about escape sequences in texts
            for count, (operation, argument, _) in enumerate(pickletools.genops(self._source)):
                if count > MAX_OPERATIONS:
                    raise pickle.UnpicklingError(f"it has more than {MAX_OPERATIONS} operations")
                if operation.name in REFUSED:
                    raise pickle.UnpicklingError(f"it has the operation {operation.name}")
                if isinstance(argument, str):
                    argument.encode("latin1")  # other characters take up to four times their size in the file
            self._source.seek(start)
            return super().load()

    def find_class(self, module: str, name: str) -> object:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def load_dict(self) -> None:
        items = self.pop_mark()
        names = Names()
        for key, value in zip(items[::2], items[1::2]):
            names[key] = value
        self.append(names)

    dispatch = {  # noqa: RUF012
        **pickle._Unpickler.dispatch,
        pickle.EMPTY_DICT[0]: lambda self: self.append(Names()),
        pickle.DICT[0]: load_dict,
    }


class _Type:
    """Stand-in for a pickled dtype. NumPy's dtype would trust forged flags and then read numbers as addresses."""

    def __init__(self, code: str, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]


class Array:
    """Stand-in for a pickled array: `value` is the array, or the list of elements of an object array."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, fortran, data = state
        if isinstance(data, list):
            self.value = data
            return
        if not re.fullmatch("[fiu][1248]", kind.code):
            raise pickle.UnpicklingError(f"it contains an array of {kind.code}")
        data = data.encode("latin1") if isinstance(data, str) else data  # Python 2's strings
        self.value = np.frombuffer(data, np.dtype(kind.code).newbyteorder(kind.order))
        self.value = self.value.reshape(shape, order="F" if fortran else "C")


class ArraysUnpickler(BoundedUnpickler):
    """Unpickles dicts, lists, numbers and stand-ins for NumPy arrays; refuses any other class or function.

    Args:
        file: see `BoundedUnpickler`.
        max_bytes: the most bytes of arrays in old pickles, which encode them as text.
    """

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        super().__init__(file, encoding="latin1")
        self._left = max_bytes

    def encode(self, text: str, _: str) -> bytes:
        """How Python 3 puts bytes into old pickles; a file may call it many times for one text."""
        self._left -= len(text)
        if self._left < 0:
            raise pickle.UnpicklingError("it contains too many bytes")
        return text.encode("latin1")

    def find_class(self, module: str, name: str) -> object:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return lambda *_: Array()
        if (module, name) in (("numpy", "dtype"), ("numpy", "ndarray")):
            return {"dtype": _Type, "ndarray": Array}[name]
        if (module, name) == ("_codecs", "encode"):
            return self.encode
        return super().find_class(module, name)
