"""Files of PyTorch: read in both forms, refused whatever else they hold."""

import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from ppcartoon.errors import InputError
from ppcartoon.evaluation import torch_weights
from tests.helpers.torch_save import WRITERS, Named, Storage, Tensor, tensors, write_legacy, write_zip

RNG = np.random.default_rng(0)
ARRAYS = {
    "conv.weight": np.float32(RNG.standard_normal((4, 3, 2, 2))),
    "bn.running_var": RNG.standard_normal(5),
    "half": np.float16(RNG.standard_normal((2, 3))),
    "bn.num_batches_tracked": np.int64(7),
    "mask": RNG.standard_normal(6) > 0,
}


def refusal(path):
    with pytest.raises(InputError) as caught:
        torch_weights.read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


@pytest.mark.parametrize("write", WRITERS)
def test_arrays_come_back_as_they_were(tmp_path, write):
    read = torch_weights.read(write(tmp_path / "a.pth", tensors(ARRAYS)))
    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype and np.array_equal(read[name], array)
        assert not read[name].flags.writeable


@pytest.mark.parametrize("write", WRITERS)
def test_views_share_a_storage(tmp_path, write):
    storage = Storage(np.arange(24, dtype=np.float32), "0")
    views = {
        "transposed": Tensor(storage, (4, 6), (1, 4)),
        "a part": Tensor(storage, (2, 3), (6, 1), offset=9),
        "old": Tensor(storage, (24,), (1,), old=True),
        "a parameter": Tensor(storage, (3,), (2,), parameter=True),
        "nothing": Tensor(storage, (0, 3), (3, 1)),
    }
    read = torch_weights.read(write(tmp_path / "a.pth", views))
    whole = np.arange(24)
    assert np.array_equal(read["transposed"], whole.reshape(6, 4).T)
    assert np.array_equal(read["a part"], [[9, 10, 11], [15, 16, 17]])
    assert np.array_equal(read["old"], whole)
    assert np.array_equal(read["a parameter"], [0, 2, 4])
    assert read["nothing"].shape == (0, 3)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    "size, stride, offset",
    [
        ((25,), (1,), 0),
        ((24,), (1,), 1),
        ((4, 6), (7, 1), 0),
        ((2,), (1 << 60,), 0),
        ((1 << 40,), (0,), 0),  # all the same number, and more than any memory
        ((2,), (-1,), 5),
        ((-2,), (1,), 0),
        ((2,), (1,), -4),
        ((2, 2), (1,), 0),
        ((2.0,), (1,), 0),
    ],
)
def test_tensors_do_not_reach_beyond_their_storage(tmp_path, write, size, stride, offset):
    tensor = Tensor(Storage(np.arange(24, dtype=np.float32), "0"), size, stride, offset)
    assert "a tensor of size" in refusal(write(tmp_path / "a.pth", {"a": tensor}))


class Evil:
    """Unpickling it runs a command."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("place", ["file", "name", "value", "storage"])
def test_code_in_a_file_is_refused_and_does_not_run(tmp_path, write, place):
    evil, good = Evil(tmp_path / "ran"), tensors(ARRAYS)
    content = {
        "file": evil,
        "name": {evil: good["half"]},
        "value": {**good, "a": evil},
        "storage": {"a": Tensor(evil, (1,), (1,))},
    }[place]
    assert "it asks for posix.system" in refusal(write(tmp_path / "a.pth", content))
    assert not (tmp_path / "ran").exists()
    pickle.loads(pickle.dumps(evil))
    assert (tmp_path / "ran").exists()  # it would have run


@pytest.mark.parametrize("place", range(3))
def test_code_before_the_tensors_is_refused_too(tmp_path, place):
    head = [{"magic": Evil(tmp_path / "ran")}, {"system": Evil(tmp_path / "ran")}, {"system": {"little_endian": False}}]
    message = refusal(write_legacy(tmp_path / "a.pth", tensors(ARRAYS), **head[place]))
    assert ("big-endian" if place == 2 else "it asks for posix.system") in message
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    "content, why",
    [
        ({"a": Named("torch.nn", "Module")}, "it asks for torch.nn.Module"),
        ({"a": Named("builtins", "eval")}, "it asks for builtins.eval"),
        ({"a": Named("torch", "load")}, "it asks for torch.load"),
        ({"epoch": 3}, "epoch is no tensor"),
        ({"state_dict": OrderedDict(tensors(ARRAYS))}, "state_dict is no tensor"),
        ([1, 2], "nothing else"),
    ],
)
def test_other_content_is_refused(tmp_path, write, content, why):
    assert why in refusal(write(tmp_path / "a.pth", content))


def test_a_zip_that_unpacks_to_more_than_it_is_gets_refused(tmp_path):
    zeros = tensors({"a": np.zeros(1 << 20, np.float32)})
    assert "compressed" in refusal(write_zip(tmp_path / "a.pth", zeros, zipfile.ZIP_DEFLATED))
    assert "big-endian" in refusal(write_zip(tmp_path / "b.pth", zeros, byteorder="big"))


def test_a_pickle_that_asks_for_a_huge_memo_is_harmless(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}r\xff\xff\xff\x7f.")  # memo number 2^31 - 1
    assert torch_weights.read(tmp_path / "a.pth") == {}


@pytest.mark.parametrize("write", WRITERS)
def test_damaged_files_are_refused(tmp_path, write):
    good = write(tmp_path / "good.pth", tensors(ARRAYS)).read_bytes()
    file = tmp_path / "damaged.pth"
    for data in [good[:n] for n in (0, 1, 2, 30, len(good) // 2, len(good) - 1)] + [b"weights\n", b"PK\3\4"]:
        file.write_bytes(data)
        refusal(file)


def test_missing_and_enormous_files_are_refused(tmp_path):
    assert "No such file" in refusal(tmp_path / "no.pth") and "directory" in refusal(tmp_path)
    with open(tmp_path / "big.pth", "wb") as file:
        file.truncate(torch_weights.MAX_BYTES + 1)
    assert "larger than" in refusal(tmp_path / "big.pth")
