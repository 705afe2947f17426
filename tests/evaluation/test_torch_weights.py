"""Files of PyTorch: tensors are read, anything else is refused."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from ppcartoon.errors import InputError
from ppcartoon.evaluation import torch_weights
from tests.helpers import torch_save
from tests.helpers.memory import measure
from tests.helpers.torch_save import Global, Storage, Tensor, tensors

RNG = np.random.default_rng(0)
ARRAYS = {
    "conv.weight": np.float32(RNG.standard_normal((4, 3, 2, 2))),
    "bn.running_var": RNG.standard_normal(5),
    "half": np.float16(RNG.standard_normal((2, 3))),
    "bn.num_batches_tracked": np.int64(7),
    "mask": RNG.standard_normal(6) > 0,
}


@pytest.fixture
def write(tmp_path):
    return lambda content, **changed: torch_save.write(tmp_path / "a.pth", content, **changed)


def error_of(path):
    with pytest.raises(InputError) as caught:
        torch_weights.read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


def test_read_arrays_equal_the_written_ones(write):
    read = torch_weights.read(write(tensors(ARRAYS)))
    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype and np.array_equal(read[name], array)
        assert not read[name].flags.writeable


def test_views_share_a_storage(write):
    storage = Storage(np.arange(24, dtype=np.float32), "0")
    views = {
        "transposed": Tensor(storage, (4, 6), (1, 4)),
        "part": Tensor(storage, (2, 3), (6, 1), offset=9),
        "old": Tensor(storage, (24,), (1,), old=True),
        "parameter": Tensor(storage, (3,), (2,), parameter=True),
        "empty": Tensor(storage, (0, 3), (3, 1)),
    }
    read = torch_weights.read(write(views))
    whole = np.arange(24)
    assert np.array_equal(read["transposed"], whole.reshape(6, 4).T)
    assert np.array_equal(read["part"], [[9, 10, 11], [15, 16, 17]])
    assert np.array_equal(read["old"], whole)
    assert np.array_equal(read["parameter"], [0, 2, 4])
    assert read["empty"].shape == (0, 3)


@pytest.mark.parametrize(
    "size, stride, offset",
    [
        ((25,), (1,), 0),
        ((24,), (1,), 1),
        ((4, 6), (7, 1), 0),
        ((2,), (1 << 60,), 0),
        ((1 << 40,), (0,), 0),  # one number repeated, larger than any memory
        ((2,), (-1,), 5),
        ((-2,), (1,), 0),
        ((2,), (1,), -4),
        ((2, 2), (1,), 0),
        ((2.0,), (1,), 0),
    ],
)
def test_tensor_outside_its_storage_is_refused(write, size, stride, offset):
    tensor = Tensor(Storage(np.arange(24, dtype=np.float32), "0"), size, stride, offset)
    assert "a tensor of size" in error_of(write({"a": tensor}))


class Evil:
    """Unpickling it runs a command."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("place", ["file", "name", "value", "storage"])
def test_code_in_a_file_is_refused_and_does_not_run(tmp_path, write, place):
    evil, good = Evil(tmp_path / "ran"), tensors(ARRAYS)
    content = {
        "file": evil,
        "name": {evil: good["half"]},
        "value": {**good, "a": evil},
        "storage": {"a": Tensor(evil, (1,), (1,))},
    }[place]
    assert "it asks for posix.system" in error_of(write(content))
    assert not (tmp_path / "ran").exists()
    pickle.loads(pickle.dumps(evil))
    assert (tmp_path / "ran").exists()  # pickle itself runs it


@pytest.mark.parametrize("place", range(3))
def test_code_before_the_tensors_is_refused_too(tmp_path, write, place):
    head = [{"magic": Evil(tmp_path / "ran")}, {"system": Evil(tmp_path / "ran")}, {"system": {"little_endian": False}}]
    message = error_of(write(tensors(ARRAYS), **head[place]))
    assert ("big-endian" if place == 2 else "it asks for posix.system") in message
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content, reason",
    [
        ({"a": Global("torch.nn", "Module")}, "it asks for torch.nn.Module"),
        ({"a": Global("builtins", "eval")}, "it asks for builtins.eval"),
        ({"a": Global("torch", "load")}, "it asks for torch.load"),
        ({"epoch": 3}, "epoch is not a tensor"),
        ({"state_dict": OrderedDict(tensors(ARRAYS))}, "state_dict is not a tensor"),
        ([1, 2], "not a state dict of named tensors"),
    ],
)
def test_other_content_is_refused(write, content, reason):
    assert reason in error_of(write(content))


def test_pickle_that_asks_for_a_huge_memo_is_harmless(write):
    path = write({})
    data = path.read_bytes()
    assert data.count(pickle.dumps({}, 2)) == 1
    path.write_bytes(data.replace(pickle.dumps({}, 2), b"\x80\x02}r\xff\xff\xff\x7f."))  # memo number 2^31 - 1
    assert torch_weights.read(path) == {}


def test_damaged_files_and_zip_files_are_refused(tmp_path, write):
    good = write(tensors(ARRAYS)).read_bytes()
    file = tmp_path / "damaged.pth"
    for data in [good[:n] for n in (0, 1, 2, 30, len(good) // 2, len(good) - 1)] + [b"weights\n", b"PK\3\4"]:
        file.write_bytes(data)
        assert "torch.save wrote it before PyTorch 1.6" in error_of(file)


def test_missing_and_enormous_files_are_refused(tmp_path):
    assert "No such file" in error_of(tmp_path / "no.pth") and "directory" in error_of(tmp_path)
    with open(tmp_path / "big.pth", "wb") as file:
        file.truncate(torch_weights.MAX_BYTES + 1)
    assert "larger than" in error_of(tmp_path / "big.pth")
    assert "a pipe or device" in error_of(Path("/dev/zero"))


@pytest.mark.slow
def test_many_small_objects_are_refused_in_bounded_memory(tmp_path, write):
    head = write({}).read_bytes().partition(pickle.dumps({}, 2))[0]
    nested = b"K\x01" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(60))  # a tuple of 2 ** 60 elements
    files = []
    for i, objects in enumerate([b"(" + b"}" * 5_000_000 + b"l", b"}" + nested + b"K\x01s", nested + b"Q"]):
        files.append(tmp_path / f"{i}.pth")
        files[-1].write_bytes(head + b"\x80\x02" + objects + b"." + pickle.dumps([], 2))
    messages, megabytes = measure(torch_weights.read, *files)
    assert all("torch.save wrote it before" in message for message in messages) and megabytes < 50
