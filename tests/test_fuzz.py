"""Fuzzing: damaged, spliced and invented input gives a result or an error of one printable line, nothing else."""

import io
import json
import os
import pickle
import struct
import uuid
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ppcartoon import images, weights
from ppcartoon.config import loading
from ppcartoon.data import download
from ppcartoon.evaluation import torch_weights
from ppcartoon.inference import onnx_graph
from ppcartoon.inference.jobs import plan
from ppcartoon.models import vgg
from ppcartoon.video.reader import VideoReader
from tests.helpers import torch_save, vgg_file, videos
from tests.helpers.damage import EDITS, FILES, damaged, outcome, tries
from tests.helpers.samples import FIXTURES, photo

CONFIGS = Path(__file__).parents[1] / "configs"


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


def read_video(path):
    with VideoReader(path) as video:
        return [frame.rgb.shape for frame in video.frames("frames")]


def archive():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in ("set/style/a.jpg", "set/smooth/b.jpg", "set/readme.txt"):
            packed.writestr(name, name * 20)
    return buffer.getvalue()


def samples(folder, kind):
    """Readable files of a kind, as bytes."""
    if kind == "video":
        frames = videos.scenes(0, 1, seconds=0.3, height=32, width=48)
        codecs = {
            "mp4": "libx264",
            "mkv": "libx264",
            "webm": "libvpx-vp9",
            "avi": "mpeg4",
            "ts": "mpeg2video",
            "gif": "gif",
        }
        formats = {"gif": "rgb8"}
        return [
            videos.write(folder / f"a.{ending}", frames, codec, formats.get(ending, "yuv420p")).read_bytes()
            for ending, codec in codecs.items()
        ]
    if kind == "zip":
        return [archive()]
    if kind == "npy":
        return [vgg_file.write(folder / "a.npy", vgg_file.table(), protocol).read_bytes() for protocol in (2, 4)]
    if kind == "pth":
        content = torch_save.tensors({"a.weight": photo(4, 3)[..., 0].astype(np.float32), "n": np.int64(7)})
        return [torch_save.write(folder / "a.pth", content).read_bytes()]
    if kind == "pdparams":
        with np.load(FIXTURES / "networks.npz") as table:
            networks = {f"net{x}": {key[5:]: table[key] for key in table if key[:4] == f"net{x}"} for x in "DG"}
        made = weights.Weights(*weights.from_npz(FIXTURES / "networks.npz"), "tiny", "none", "nobody", "CC0")
        weights.save_pdparams(folder / "a.pdparams", made)
        return [(folder / "a.pdparams").read_bytes(), *(pickle.dumps(networks, protocol) for protocol in (2, 4))]
    return [path.read_bytes() for path in sorted(CONFIGS.rglob("*.yaml")) if "_base_" not in path.read_text()]


READERS = {
    "video": (read_video, 25),
    "zip": (lambda path: download.unpack(path, path.with_suffix(f".{uuid.uuid4().hex}"), "style"), 60),
    "npy": (vgg.read, 60),
    "pth": (torch_weights.read, 60),
    "pdparams": (weights.load, 60),
    "yaml": (loading.load, 60),
}


@pytest.mark.parametrize("kind", READERS)
def test_other_damaged_files_are_read_or_refused(tmp_path, capfd, kind):
    read, count = READERS[kind]
    path, files = tmp_path / f"damaged.{kind}", samples(tmp_path, kind)
    for data in files:
        path.write_bytes(data)
        assert outcome(read, path) is not None or kind == "zip"

    @tries(count)
    @given(st.sampled_from(files), EDITS)
    def check(data, edits):
        path.write_bytes(damaged(data, edits))
        outcome(read, path)

    check()
    assert "Traceback" not in capfd.readouterr().err
