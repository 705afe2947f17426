"""Reads the published weights of CartoonGAN's authors: a folder for each style, an .npy file for each tensor.

The authors' Torch files were converted to PyTorch (github.com/Yijunmaverick/CartoonGAN-Test-Pytorch-Torch,
network/Transformer.py) and from there to NumPy (github.com/mnicnc404/CartoonGan-tensorflow,
tf2/pretrained_weights/STYLE), in PyTorch's layouts: 94 files, such as conv01_1.weight.npy and conv01_1.bias.npy of a
convolution, in01_1.scale.npy and in01_1.shift.npy of a normalization.

The authors' network uses BGR in [-1, 1] (util/util.lua of github.com/FlyingGoblin/CartoonGAN, test.py of the PyTorch
version). Here the channels of the first and the last convolution are reversed, so that input and output are RGB. The
normalization's epsilon is the authors' 1e-5; the PyTorch network's 1e-9 makes a difference on flat channels only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError
from .cartoongan import Generator

NAME = "CartoonGANGenerator"
CHANNELS, BLOCKS = 64, 8
# In the order of `Generator.state_dict()`.
LAYERS = ["conv01_1", "in01_1", "conv02_1", "conv02_2", "in02_1", "conv03_1", "conv03_2", "in03_1"]
LAYERS += [f"{kind}{block:02}_{i}" for block in range(4, 4 + BLOCKS) for i in (1, 2) for kind in ("conv", "in")]
LAYERS += ["deconv01_1", "deconv01_2", "in12_1", "deconv02_1", "deconv02_2", "in13_1", "deconv03_1"]


def file_names() -> list[str]:
    """The files of a style, in the order of `Generator.state_dict()`."""
    names = []
    for layer in LAYERS:
        parts = ("scale", "shift") if layer.startswith("in") else ("weight", "bias")
        names += [f"{layer}.{part}.npy" for part in parts]
    return names


def from_folder(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, dict]]:
    """Tensors and network of a folder of .npy files; networks narrower than the published one are accepted.

    Raises:
        InputError: a file is missing, cannot be read, or holds anything else.
    """
    files = file_names()
    if missing := [file for file in files if not (folder / file).is_file()]:
        more = f" and {len(missing) - 1} more of {len(files)} files" if len(missing) > 1 else ""
        raise InputError(f"{folder}: has no {missing[0]}{more} of the authors' published weights")
    channels = _open(folder / files[0]).shape[0]
    if not 1 <= channels <= CHANNELS:
        raise InputError(f"{folder / files[0]}: has {channels} channels; the published network has {CHANNELS}")
    network = {"name": NAME, "channels": channels, "blocks": BLOCKS}
    state = Generator(channels, BLOCKS).state_dict()
    tensors = {name: _read(folder / file, tuple(state[name].shape)) for name, file in zip(state, files)}
    first, *_, last, bias = tensors
    tensors[first] = tensors[first][:, ::-1].copy()
    tensors[last], tensors[bias] = tensors[last][::-1].copy(), tensors[bias][::-1].copy()
    return tensors, {"generator": network}


def _open(path: Path) -> np.ndarray:
    """The array of a file, memory-mapped: only what is used is read."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy raises anything on a damaged file
        raise InputError(f"{path}: not an .npy file with an array ({error})") from error
    if array.ndim == 0:
        raise InputError(f"{path}: a single number, not an array")
    return array


def _read(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    array = _open(path)
    if array.shape != shape or array.dtype.kind != "f":
        raise InputError(f"{path}: {array.dtype} {list(array.shape)}, not floats {list(shape)}")
    array = np.float32(array)
    if not np.isfinite(array).all():
        raise InputError(f"{path}: has values that are not finite")
    return array
