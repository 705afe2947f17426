"""Writes state dicts as `torch.save` did before PyTorch 1.6, without PyTorch."""

import pickle
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
STORAGES = {"f8": "Double", "f4": "Float", "f2": "Half", "i8": "Long", "i4": "Int", "u1": "Byte", "b1": "Bool"}


@dataclass(frozen=True)
class Global:
    """An object that a pickle refers to by module and name."""

    module: str
    name: str

    def __call__(self):
        """Makes pickle accept it as a callable."""


@dataclass
class Storage:
    numbers: np.ndarray
    key: str


class Tensor:
    """A view of a storage, as PyTorch pickles it."""

    def __init__(self, storage, size, stride, offset=0, old=False, parameter=False):
        self.arguments, self.old, self.parameter = [storage, offset, tuple(size), tuple(stride)], old, parameter

    def __reduce__(self):
        if self.parameter:
            inner = Tensor(self.arguments[0], *self.arguments[2:], self.arguments[1])
            return Global("torch._utils", "_rebuild_parameter"), (inner, True, OrderedDict())
        if self.old:
            return Global("torch._utils", "_rebuild_tensor"), tuple(self.arguments)
        return Global("torch._utils", "_rebuild_tensor_v2"), (*self.arguments, False, OrderedDict())


def tensors(arrays):
    """Each array as a tensor with a storage of its own."""
    state = OrderedDict()
    for i, (name, array) in enumerate(arrays.items()):
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        storage = Storage(array.reshape(-1), str(i))
        state[name] = Tensor(storage, array.shape, [step // array.itemsize for step in array.strides])
    return state


class Pickler(pickle._Pickler):
    def __init__(self, file):
        super().__init__(file, 2)
        self.storages = {}

    def persistent_id(self, thing):
        if not isinstance(thing, Storage):
            return None
        self.storages[thing.key] = thing.numbers
        kind = Global("torch", f"{STORAGES[thing.numbers.dtype.str[1:]]}Storage")
        return ("storage", kind, thing.key, "cpu", thing.numbers.size, None)

    def save_by_name(self, thing):
        self.write(pickle.GLOBAL + f"{thing.module}\n{thing.name}\n".encode())

    dispatch = {**pickle._Pickler.dispatch, Global: save_by_name}  # noqa: RUF012


def write(path, content, magic=MAGIC, system=SYSTEM):
    with open(path, "wb") as file:
        for thing in (magic, VERSION, system):
            pickle.dump(thing, file, 2)
        pickler = Pickler(file)
        pickler.dump(content)
        pickle.dump(sorted(pickler.storages), file, 2)
        for _, numbers in sorted(pickler.storages.items()):
            file.write(numbers.size.to_bytes(8, "little") + numbers.tobytes())
    return path
