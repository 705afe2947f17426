"""Files as PyTorch's `torch.save` writes them of a state dict, in both forms, without PyTorch."""

import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

MAGIC, VERSION, SYSTEM = (
    0x1950A86A20F9469CFC6C,
    1001,
    {"protocol_version": 1001, "little_endian": True, "type_sizes": {}},
)
STORAGES = {"f8": "Double", "f4": "Float", "f2": "Half", "i8": "Long", "i4": "Int", "u1": "Byte", "b1": "Bool"}


@dataclass(frozen=True)
class Named:
    """What a pickle has by module and name."""

    module: str
    name: str

    def __call__(self):
        """Makes pickle believe that it can be called."""


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
            return Named("torch._utils", "_rebuild_parameter"), (inner, True, OrderedDict())
        if self.old:
            return Named("torch._utils", "_rebuild_tensor"), tuple(self.arguments)
        return Named("torch._utils", "_rebuild_tensor_v2"), (*self.arguments, False, OrderedDict())


def tensors(arrays):
    """Each array as a tensor with a storage of its own."""
    made = OrderedDict()
    for i, (name, array) in enumerate(arrays.items()):
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        storage = Storage(array.reshape(-1), str(i))
        made[name] = Tensor(storage, array.shape, [step // array.itemsize for step in array.strides])
    return made


class Pickler(pickle._Pickler):
    def __init__(self, file, legacy):
        super().__init__(file, 2)
        self.legacy, self.storages = legacy, {}

    def persistent_id(self, thing):
        if not isinstance(thing, Storage):
            return None
        self.storages[thing.key] = thing.numbers
        kind = Named("torch", f"{STORAGES[thing.numbers.dtype.str[1:]]}Storage")
        return ("storage", kind, thing.key, "cpu", thing.numbers.size, *[None] * self.legacy)

    def save_named(self, thing):
        self.write(pickle.GLOBAL + f"{thing.module}\n{thing.name}\n".encode())

    dispatch = {**pickle._Pickler.dispatch, Named: save_named}  # noqa: RUF012


def write_zip(path, content, compression=zipfile.ZIP_STORED, byteorder="little"):
    """As PyTorch does since 1.6."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        with archive.open("archive/data.pkl", "w") as file:
            pickler = Pickler(file, False)
            pickler.dump(content)
        archive.writestr("archive/byteorder", byteorder)
        for key, numbers in pickler.storages.items():
            archive.writestr(f"archive/data/{key}", numbers.tobytes())
        archive.writestr("archive/version", "3\n")
    return path


def write_legacy(path, content, magic=MAGIC, system=SYSTEM):
    """As PyTorch did before 1.6."""
    with open(path, "wb") as file:
        for thing in (magic, VERSION, system):
            pickle.dump(thing, file, 2)
        pickler = Pickler(file, True)
        pickler.dump(content)
        pickle.dump(sorted(pickler.storages), file, 2)
        for _, numbers in sorted(pickler.storages.items()):
            file.write(numbers.size.to_bytes(8, "little") + numbers.tobytes())
    return path


WRITERS = [write_zip, write_legacy]
