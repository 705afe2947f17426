"""CartoonGAN's published weights: a folder in their format with random numbers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest

from ppcartoon import InputError, images, weights
from ppcartoon.baselines import cartoongan_weights
from ppcartoon.baselines.cartoongan import Generator
from ppcartoon.baselines.predictor import open_weights

ROOT = Path(__file__).parents[2]
CONVOLUTIONS = {  # cin, cout and kernel, in multiples of the width, as in network/Transformer.py
    "conv01_1": (0, 1, 7), "conv02_1": (1, 2, 3), "conv02_2": (2, 2, 3), "conv03_1": (2, 4, 3), "conv03_2": (4, 4, 3),
    **{f"conv{i:02}_{j}": (4, 4, 3) for i in range(4, 12) for j in (1, 2)},
    "deconv01_1": (4, 2, 3), "deconv01_2": (2, 2, 3), "deconv02_1": (2, 1, 3), "deconv02_2": (1, 1, 3),
    "deconv03_1": (1, 0, 7),
}  # fmt: skip
NORMS = {"in01_1": 1, "in02_1": 2, "in03_1": 4, "in12_1": 2, "in13_1": 1}
NORMS |= {f"in{i:02}_{j}": 4 for i in range(4, 12) for j in (1, 2)}


def random_arrays(width):
    """A style's arrays by file name; 0 channels in the table stand for 3."""
    rng, arrays = np.random.default_rng(0), {}
    for name, (cin, cout, k) in CONVOLUTIONS.items():
        cin, cout = cin * width or 3, cout * width or 3
        shape = (cin, cout, k, k) if name in ("deconv01_1", "deconv02_1") else (cout, cin, k, k)
        arrays[f"{name}.weight"] = rng.standard_normal(shape) / (cin * k * k) ** 0.5
        arrays[f"{name}.bias"] = rng.standard_normal(cout) / 10
    for name, channels in NORMS.items():
        arrays[f"{name}.scale"] = rng.uniform(0.5, 1.5, channels * width)
        arrays[f"{name}.shift"] = rng.standard_normal(channels * width) / 10
    return {name: array.astype(np.float32) for name, array in arrays.items()}


@pytest.fixture
def folder(tmp_path):
    for name, array in random_arrays(2).items():
        np.save(tmp_path / f"{name}.npy", array)
    return tmp_path


def published_forward(a, x):
    """The published network in NumPy: BGR [3, H, W] -> BGR [3, H, W]."""

    def conv(name, x, stride=1, mode="constant"):
        w, b = a[f"{name}.weight"], a[f"{name}.bias"]
        k = w.shape[2]
        x = np.pad(x, ((0, 0), (k // 2, k // 2), (k // 2, k // 2)), mode)
        windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), (1, 2))[:, ::stride, ::stride]
        return np.einsum("chwij,ocij->ohw", windows, w, optimize=True) + b[:, None, None]

    def transposed(name, x):
        w, b = a[f"{name}.weight"], a[f"{name}.bias"]
        _, height, width = x.shape
        y = np.zeros((w.shape[1], 2 * height + 2, 2 * width + 2))
        for i in range(3):
            for j in range(3):
                y[:, i : i + 2 * height : 2, j : j + 2 * width : 2] += np.einsum("chw,co->ohw", x, w[:, :, i, j])
        return y[:, 1:-1, 1:-1] + b[:, None, None]

    def norm(name, x):
        mean, var = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
        scale, shift = (a[f"{name}.{part}"][:, None, None] for part in ("scale", "shift"))
        return scale * (x - mean) / np.sqrt(var + 1e-5) + shift

    def relu(x):
        return np.maximum(x, 0)

    x = relu(norm("in01_1", conv("conv01_1", x, mode="reflect")))
    x = relu(norm("in02_1", conv("conv02_2", conv("conv02_1", x, 2))))
    x = relu(norm("in03_1", conv("conv03_2", conv("conv03_1", x, 2))))
    for i in range(4, 12):
        y = relu(norm(f"in{i:02}_1", conv(f"conv{i:02}_1", x, mode="reflect")))
        x = x + norm(f"in{i:02}_2", conv(f"conv{i:02}_2", y, mode="reflect"))
    x = relu(norm("in12_1", conv("deconv01_2", transposed("deconv01_1", x))))
    x = relu(norm("in13_1", conv("deconv02_2", transposed("deconv02_1", x))))
    return np.tanh(conv("deconv03_1", x, mode="reflect"))


@paddle.no_grad()
def test_generator_equals_the_published_network(folder):
    tensors, network = cartoongan_weights.from_folder(folder)
    assert network == {"generator": {"name": "CartoonGANGenerator", "channels": 2, "blocks": 8}}
    net = Generator(2, 8)
    missing, unexpected = net.set_state_dict(tensors)
    assert not missing and not unexpected
    photo = np.random.default_rng(1).uniform(-1, 1, (3, 16, 20)).astype(np.float32)
    wanted = published_forward(random_arrays(2), photo[::-1])[::-1]
    given = net(paddle.to_tensor(photo[None])).numpy()[0]
    assert np.linalg.norm(given - wanted) < 1e-4 * np.linalg.norm(wanted)


def test_default_generator_has_the_published_shapes():
    state, arrays = Generator().state_dict(), random_arrays(64)
    files = [name.removesuffix(".npy") for name in cartoongan_weights.file_names()]
    assert len(files) == len(arrays) == 94
    assert [tuple(tensor.shape) for tensor in state.values()] == [arrays[file].shape for file in files]


def test_missing_files_are_named_and_counted(folder):
    (folder / "in05_2.scale.npy").unlink()
    with pytest.raises(InputError, match=r"has no in05_2\.scale\.npy of the authors' published weights"):
        cartoongan_weights.from_folder(folder)
    (folder / "conv04_1.bias.npy").unlink()
    with pytest.raises(InputError, match=r"has no conv04_1\.bias\.npy and 1 more of 94 files"):
        cartoongan_weights.from_folder(folder)


@pytest.mark.parametrize(
    "file, array, message",
    [
        ("conv05_1.weight", np.zeros((8, 8, 3, 2), np.float32), r"float32 \[8, 8, 3, 2\], not floats \[8, 8, 3, 3\]"),
        ("in01_1.shift", np.zeros(2, int), r"int64 \[2\], not floats \[2\]"),
        ("in01_1.scale", np.full(2, np.nan, np.float32), "values that are not finite"),
        ("in01_1.scale", np.array([{}, {}], object), r"in01_1\.scale\.npy: not an \.npy file"),
        ("conv01_1.weight", np.zeros((65, 3, 7, 7), np.float32), "has 65 channels; the published network has 64"),
        ("conv01_1.weight", np.float32(1), "a single number"),
    ],
)
def test_invalid_files_are_refused(folder, file, array, message):
    np.save(folder / f"{file}.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=message):
        cartoongan_weights.from_folder(folder)


def test_truncated_file_is_refused(folder):
    path = folder / "conv03_2.weight.npy"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"conv03_2\.weight\.npy: not an \.npy file"):
        cartoongan_weights.from_folder(folder)


def test_convert_weights_writes_a_weights_file(folder, tmp_path_factory):
    target = tmp_path_factory.mktemp("made") / "paprika.safetensors"
    texts = ["--command", "none", "--attribution", "Chen et al.", "--licence", "unknown"]
    done = subprocess.run(
        [sys.executable, ROOT / "tools/convert_weights.py", folder, target, *texts], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    loaded = weights.load(target)
    assert loaded.style == "paprika" and loaded.network["generator"]["name"] == "CartoonGANGenerator"
    photo = np.random.default_rng(1).integers(0, 256, (16, 20, 3), np.uint8)
    wanted = published_forward(random_arrays(2), images.to_network(photo[None])[0][::-1])[::-1]
    made = open_weights(target)(photo)
    assert np.abs(made.astype(int) - images.from_network(wanted[None])[0]).max() <= 3  # float16 in the file
