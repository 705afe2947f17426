"""Fuzzing: damaged, spliced and invented input gives a result or an error of one printable line, nothing else."""

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ppcartoon import images, weights
from ppcartoon.inference import onnx_graph
from ppcartoon.inference.jobs import plan
from tests.helpers.damage import EDITS, FILES, damaged, outcome, tries


def check_picture(path):
    picture = outcome(images.read, path)
    if picture is not None:
        height, width, channels = picture.rgb.shape
        assert picture.rgb.dtype == np.uint8 and channels == 3 and height and width
        if picture.alpha is not None:
            assert picture.alpha.dtype == np.uint8 and picture.alpha.shape == (height, width)


@pytest.fixture
def pixel_limit(monkeypatch):
    """Refuses images whose damaged headers declare millions of pixels, since decoding them would take long."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1 << 18)


@pytest.mark.parametrize("kind", FILES)
def test_undamaged_files_can_be_read(tmp_path, kind):
    for data in FILES[kind]:
        (tmp_path / "a").write_bytes(data)
        assert images.read(tmp_path / "a").rgb.size


@pytest.mark.parametrize("kind", FILES)
def test_damaged_images_are_read_or_refused(tmp_path, pixel_limit, capfd, kind):
    path = tmp_path / "a"

    @tries(30)
    @given(st.sampled_from(FILES[kind]), EDITS)
    def check(data, edits):
        path.write_bytes(damaged(data, edits))
        check_picture(path)

    check()
    lines = capfd.readouterr().err.splitlines()
    assert [line for line in lines if not line.startswith("unknown file: ")] == []  # LibRaw's, which cannot be silenced


def test_spliced_images_are_read_or_refused(tmp_path, pixel_limit, capfd):
    path = tmp_path / "a"
    files = st.sampled_from([data for files in FILES.values() for data in files])

    @tries(60)
    @given(files, files, st.integers(1, 200), st.integers(0, 200), EDITS)
    def check(head, tail, head_end, tail_start, edits):
        path.write_bytes(damaged(head[:head_end] + tail[tail_start:], edits[1:]))
        check_picture(path)

    check()
    assert capfd.readouterr().err == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(weights.ENCODERS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
SHAPES = st.lists(st.sampled_from([0, 1, 3, 2**31, 2**63, 2**64 - 1, -1, 1.5]), max_size=5)
DTYPES = st.sampled_from(["F16", "F32", "F64", "BF16", "F8_E4M3", "I64", "U8", "BOOL", "C64", "F4", "nothing", 3])
CHANGES = st.one_of(
    st.tuples(st.just("dtype"), DTYPES),
    st.tuples(st.just("shape"), SHAPES),
    st.tuples(st.just("data_offsets"), st.lists(st.integers(-1, 1 << 40), max_size=3)),
    st.tuples(st.sampled_from(["format", "network", "style", "config"]), JSON | st.text()),
    st.tuples(st.text(max_size=5), JSON),
)


def check_weights(path):
    """Loads weights and builds their graph; either may end in an InputError."""
    loaded = outcome(weights.load, path)
    if loaded is not None:
        assert all(t.dtype == np.float32 and np.isfinite(t).all() for t in loaded.tensors.values())
        assert all(getattr(loaded, key).isprintable() for key in weights.TEXTS)
        outcome(onnx_graph.build, loaded)


@tries(200)
@given(edits=EDITS)
def test_damaged_weights_are_loaded_or_refused(tiny_file, tmp_path_factory, edits):
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    path.write_bytes(damaged(tiny_file.read_bytes(), edits))
    check_weights(path)


@tries(200)
@given(change=CHANGES, seed=st.integers(0, 1000), value=st.sampled_from([None, np.nan, np.inf, -0.0, 65504]))
def test_weights_with_invented_headers_are_loaded_or_refused(tiny_file, tmp_path_factory, change, seed, value):
    data = tiny_file.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header, tensors = json.loads(data[8:start]), np.frombuffer(data[start:], np.float16).copy()
    key, new = change
    if key in ("dtype", "shape", "data_offsets"):
        header[sorted(header)[seed % len(header)]][key] = new
    else:
        header["__metadata__"][key] = new if seed % 2 and isinstance(new, str) else json.dumps(new)
        if seed % 5 == 0:
            header[key] = new
    if value is not None:
        tensors[seed % len(tensors)] = value
    encoded = json.dumps(header).encode()
    path = tmp_path_factory.getbasetemp() / "invented.safetensors"
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + tensors.tobytes())
    check_weights(path)


NAMES = st.builds(
    str.__add__,
    st.text(st.sampled_from("ab.[]*? \n\x1b\u2028é\udce9"), min_size=1, max_size=4),
    st.sampled_from(["", ".png", ".jpg", ".PNG", ".tif", "_png.png", "_2.png"]),
).filter(lambda name: name not in (".", ".."))


@tries(80)
@given(
    names=st.lists(st.tuples(st.sampled_from(["in", "in/sub", "more"]), NAMES), max_size=6),
    inputs=st.lists(st.sampled_from(["in", "in/sub", "more", "in/*", "**/*", "in/[a"]) | NAMES, min_size=1, max_size=3),
    output=st.sampled_from(["out", "in", "in/out", "in/sub", "more/x.png", ".", "a"]),
    recursive=st.booleans(),
    suffix=st.sampled_from(["", "_x", "."]) | NAMES,
    ext=st.sampled_from(["auto", "png", "jpg"]),
)
def test_no_two_cartoons_have_the_same_path_and_no_photo_is_replaced(
    tmp_path_factory, monkeypatch, names, inputs, output, recursive, suffix, ext
):
    folder = tmp_path_factory.mktemp("tree")
    monkeypatch.chdir(folder)
    Path("in/sub").mkdir(parents=True)
    Path("more").mkdir()
    for parent, name in names:
        Path(parent, name).touch()
    existing = {os.path.realpath(path) for path in folder.rglob("*") if path.is_file()}
    jobs = outcome(lambda: plan(inputs, Path(output), recursive=recursive, suffix=suffix, ext=ext))
    sources, targets = ([os.path.realpath(job[i]) for job in jobs or []] for i in (0, 1))
    assert len(set(sources)) == len(sources) and set(sources) <= existing
    assert len(set(targets)) == len(targets) and not set(targets) & set(sources)
    assert all(os.path.commonpath([target, folder]) == str(folder) for target in targets)
