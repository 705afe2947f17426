"""VGG19 files of all kinds: written by old programs, damaged, incomplete, malicious."""

import io
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from ppcartoon.errors import InputError
from ppcartoon.models import vgg
from tests.helpers.memory import measure
from tests.helpers.vgg_file import WIDTHS, table, write, write_pickle


def refusal(path, layer="conv3_1"):
    with pytest.raises(InputError) as caught:
        vgg.VGG19(layer, str(path))
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


@pytest.mark.parametrize("protocol", [0, 2, 3, 4])
def test_every_pickle_protocol_gives_the_same_arrays(tmp_path, protocol):
    convs = table()
    convs["conv1_1"][0] = np.asfortranarray(convs["conv1_1"][0].astype(">f8"))
    read = vgg.read(write(tmp_path / "a.npy", convs, protocol))
    assert list(read) == list(WIDTHS)
    for name, arrays in table().items():
        assert all((a == b).all() and a.dtype == np.float32 for a, b in zip(read[name], arrays))


class Python2(pickle._Pickler):
    """Writes str and bytes as Python 2 wrote its str."""

    def string(self, value):
        data = value.encode() if isinstance(value, str) else value
        self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)

    dispatch = {**pickle._Pickler.dispatch, bytes: string, str: string}  # noqa: RUF012


def test_files_of_python_2_are_read(tmp_path):
    data = io.BytesIO()
    Python2(data, 2).dump(np.array(table(), object))
    data = data.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"_codecs" not in data
    read = vgg.read(write_pickle(tmp_path / "old.npy", data))
    assert all((a == b).all() for name, arrays in table().items() for a, b in zip(read[name], arrays))


class Evil:
    """Unpickling it runs a command."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


class ForgedType:
    """An object dtype whose flags say that it has no objects, so that NumPy reads numbers as addresses."""

    def __reduce__(self):
        return np.dtype, ("O8", False, True), (3, "|", None, None, None, -1, -1, 0)


class ForgedArray:
    def __reduce__(self):
        make, arguments, _ = np.zeros(1).__reduce__()
        return make, arguments, (1, (1,), ForgedType(), False, b"A" * 8)


def smuggle(thing, place):
    kernel, bias = table()["conv1_1"]
    nested = np.empty(2, object)
    nested[:] = [bias, thing]
    return {
        "file": thing,
        "name": {thing: [kernel, bias], "conv1_1": [kernel, bias]},
        "layer": {"conv1_1": thing},
        "kernel": {"conv1_1": [thing, bias]},
        "behind the bias": {"conv1_1": [kernel, bias, thing]},
        "array of objects": {"conv1_1": [kernel, nested]},
    }[place]


@pytest.mark.parametrize("place", ["file", "name", "layer", "kernel", "behind the bias", "array of objects"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, place, protocol):
    marker = tmp_path / "ran"
    path = write(tmp_path / "evil.npy", smuggle(Evil(marker), place), protocol)
    assert "it asks for posix.system" in refusal(path, "conv1_1")
    assert not marker.exists()
    np.load(path, allow_pickle=True, encoding="latin1")
    assert marker.exists()  # NumPy runs it


@pytest.mark.parametrize("thing, asked", [(Path("a"), "pathlib"), (Evil, f"{__name__}.Evil"), (eval, "builtins.eval")])
def test_other_classes_and_functions_are_refused(tmp_path, thing, asked):
    assert f"it asks for {asked}" in refusal(write(tmp_path / "a.npy", smuggle(thing, "behind the bias")), "conv1_1")


@pytest.mark.parametrize("place", ["kernel", "array of objects"])
def test_forged_dtypes_do_not_read_memory(tmp_path, place):
    path = write(tmp_path / "a.npy", smuggle(ForgedArray(), place))
    assert "which contains only arrays by name" in refusal(path, "conv1_1")


def altered(name, i, array):
    convs = table()
    convs[name][i] = array
    return convs


NAN, INF = np.float32([0, np.nan, 0, 0]), np.float32([0, np.inf, 0, 0])


@pytest.mark.parametrize(
    "content, why",
    [
        (altered("conv1_1", 0, np.zeros((3, 3, 4, 4))), "conv1_1 has shapes"),
        (altered("conv1_2", 0, np.zeros((3, 3, 5, 5))), "expected [(3, 3, 4, n), (n,)]"),
        (altered("conv1_2", 1, np.zeros(6)), "conv1_2 has shapes"),
        (altered("conv1_1", 0, np.zeros(())), "conv1_1 has shapes"),
        ({"conv1_1": [np.zeros((3, 3, 3, 4))]}, "conv1_1 has shapes"),
        ({"conv1_1": []}, "conv1_1 has shapes"),
        (altered("conv1_1", 1, NAN), "conv1_1 has values that are not finite"),
        (altered("conv1_1", 1, INF), "conv1_1 has values that are not finite"),
        (altered("conv1_1", 1, np.array(["a"] * 4)), "an array of U1"),
        ([1, 2], "contains only arrays by name"),
        ({"conv1_1": {"kernel": 1}}, "contains only arrays by name"),
        ({"conv1_1": [[1.0], [2.0]]}, "contains only arrays by name"),
        ({}, "has no conv1_1"),
    ],
)
def test_files_with_wrong_content_are_refused(tmp_path, content, why):
    assert why in refusal(write(tmp_path / "a.npy", content))


def test_damaged_files_are_refused(tmp_path):
    good, file = write(tmp_path / "small.npy", table()).read_bytes(), tmp_path / "damaged.npy"
    damaged = [good[:n] for n in (0, 3, 7, 50, 128, 200, len(good) // 2, len(good) - 1)]
    for data in [*damaged, b"layer conv1_1\n", good[:128] + b"\0" * 99, b"PK\3\4" + good]:
        file.write_bytes(data)
        refusal(file)
    np.save(file, np.zeros((3, 3)))
    refusal(file)


def test_missing_files_and_folders_are_refused(tmp_path):
    assert "No such file" in refusal(tmp_path / "no.npy") and "model.vgg_path" in refusal(tmp_path / "no.npy")
    assert "directory" in refusal(tmp_path)


def nested_tuples(depth):
    """Operations that push a tuple of 2 ** depth elements, which are all one object."""
    return b"K\x01" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(depth))


def bytes_many_times(count):
    """Operations that push bytes of 1 MB many times, from one text."""
    text = b"X" + struct.pack("<I", 1 << 20) + bytes(1 << 20)
    encode = b"c_codecs\nencode\nh\x01X\x06\0\0\0latin1\x86R"
    return b"](" + text + b"q\x01" + encode * count + b"e"


BOMBS = {
    "huge memo": b"K\x01r\x00\xff\xff\x0f",
    "many objects": b"(" + b"}" * 5_000_000 + b"l",
    "many bytes": bytes_many_times(1000),
    "nested key": b"}" + nested_tuples(60) + b"K\x01s",
    "huge frame": b"\x95" + struct.pack("<Q", 1 << 40) + b"N",
    "huge text": b"\x8d" + struct.pack("<Q", 1 << 40) + b"N",
}


@pytest.mark.slow
def test_small_files_that_would_take_gigabytes_or_forever_are_refused_in_bounded_memory(tmp_path):
    files = [write_pickle(tmp_path / name, b"\x80\x04" + data + b".") for name, data in BOMBS.items()]
    shared = np.zeros((1000, 1000), np.int8)
    files.append(write(tmp_path / "shared", {f"conv{i}": [shared, shared] for i in range(200)}))
    messages, megabytes = measure(vgg.read, *files)
    assert all("which contains only arrays by name" in message for message in messages)
    assert megabytes < 350  # vgg.MAX_BYTES, and a margin


def test_pipes_and_devices_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.npy")
    for path in (tmp_path / "pipe.npy", Path("/dev/zero")):
        assert "a pipe or device, not a file" in refusal(path)
