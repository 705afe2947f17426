"""VGG19 as a frozen feature extractor: ppgan's CaffeVGG19 up to a layer; its file is read without running code."""

from __future__ import annotations

import io
import warnings
from collections.abc import Collection
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from .. import ppgan_compat  # noqa: F401  before ppgan, which it makes importable

# isort: split
from ppgan.modules import caffevgg

from ..data import download
from ..errors import InputError
from ..utils import files
from ..utils.pickles import ArraysUnpickler

RANDOM = "random"
MAX_BYTES = 1 << 28  # three times vgg19_no_fc.npy
Table = dict[str, list[np.ndarray]]  # {"conv1_1": [kernel HWIO, bias], ...}


class VGG19(caffevgg.CaffeVGG19):
    """Features of the ImageNet VGG19 at one convolution, before its ReLU; its parameters never change.

    Input: RGB images [N, 3, H, W] in [-1, 1]. Output of conv3_k: [N, 256, H/4, W/4]; of conv4_k: [N, 512, H/8, W/8].

    Attributes:
        names: its convolutions, up to `layer`.

    Args:
        layer: "conv1_1" to "conv5_4"; the paper uses conv4_4.
        path: a file in the format of `vgg19_no_fc.npy`, which may end after `layer`; "random" for seeded random
            weights, for tests and demonstrations; None for ppgan's file, downloaded once and verified.

    Raises:
        InputError: the file is missing or damaged, lacks the layer, or contains anything but arrays.
    """

    def __init__(self, layer: str = "conv4_4", path: str | None = None) -> None:
        nn.Layer.__init__(self)  # not CaffeVGG19's, which unpickles any file
        plan = _plan(layer)
        names = self.names = [name for name in plan if name != "M"]
        if path == RANDOM:
            table = _random(plan)
        else:
            file = _ppgan_file() if path is None else Path(path).expanduser()
            table = read(file)
            _check(file, table, names)
        channels = [name if name == "M" else table[name][1].size for name in plan]
        self.features = nn.Sequential(*self.make_layers(channels, table).sublayers()[:-1])  # without the last ReLU
        self.mean = paddle.to_tensor([103.939, 116.779, 123.68]).reshape([1, 3, 1, 1])
        for parameter in self.parameters():
            parameter.stop_gradient = True
        self.eval()

    def after_relu(self, images: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Features of several convolutions after their ReLU, by layer name, in one forward pass.

        Args:
            images: RGB [N, 3, H, W] in [-1, 1].
            layers: a subset of `names`.
        """
        x, names, features = self._process(images), iter(self.names), {}
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.Conv2D):
                name = next(names)
                if name in layers:
                    features[name] = F.relu(x)
        return features


def _plan(layer: str) -> list[str]:
    """Names of the convolutions up to `layer`, with "M" for the pooling layers between them."""
    plan, block, number = [], 1, 1
    for channels in caffevgg.CaffeVGG19.cfg:
        if channels == "M":
            plan.append("M")
            block, number = block + 1, 1
        else:
            plan.append(f"conv{block}_{number}")
            number += 1
    if layer not in plan or layer == "M":
        raise InputError(f"vgg_layer {layer!r}: unknown; choose conv1_1 to conv5_4, the paper uses conv4_4")
    return plan[: plan.index(layer) + 1]


def _random(plan: list[str]) -> Table:
    """He-normal kernels of VGG19's shapes and zero biases, the same in every call."""
    generator, cin, table = np.random.default_rng(0), 3, {}
    for name, channels in zip(plan, caffevgg.CaffeVGG19.cfg):
        if name != "M":
            kernel = generator.standard_normal((3, 3, cin, channels), np.float32) * (2 / (9 * cin)) ** 0.5
            table[name], cin = [kernel, np.zeros(channels, np.float32)], channels
    return table


def _ppgan_file() -> Path:
    """ppgan's file, downloaded unless it is in ppgan's cache.

    Raises:
        InputError: the download failed; the message says how to get the file by hand.
    """
    try:
        return download.download("vgg19")
    except InputError as error:
        raise InputError(f"{error}; or set model.vgg_path to the file") from error


def missing_file(path: str | None) -> Path | None:
    """The file of `VGG19(path=path)` if it does not exist."""
    return None if path == RANDOM else download.missing("vgg19", path)


def read(path: Path) -> Table:
    """Kernels and biases by layer name, from an .npy file; runs no code from the file.

    Raises:
        InputError: the file cannot be read or contains anything but arrays by name.
    """
    try:
        file = io.BytesIO(files.read_bytes(path, MAX_BYTES))
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's, about escape sequences
            header(file)
        (table,) = ArraysUnpickler(file, MAX_BYTES).load().value
        arrays = {name: [array.value for array in arrays[:2]] for name, arrays in table.items()}
        if 4 * sum(array.size for pair in arrays.values() for array in pair) > MAX_BYTES:  # a file may share them
            raise ValueError("its arrays are too large")
        return {name: [np.asarray(array, np.float32) for array in pair] for name, pair in arrays.items()}
    except InputError:
        raise
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror or error}; set model.vgg_path to a file like vgg19_no_fc.npy"
        ) from error
    except Exception as error:  # NumPy and pickle raise exceptions of any type on damaged files
        raise InputError(
            f"{path}: not a file like vgg19_no_fc.npy, which contains only arrays by name ({error})"
        ) from error


def _check(path: Path, table: Table, names: list[str]) -> None:
    """Checks that every convolution exists and that its shape fits the previous one.

    Raises:
        InputError: one is missing, has a wrong shape, or has a value that is not finite.
    """
    cin = 3
    for name in names:
        if name not in table:
            raise InputError(f"{path}: has no {name}; use the complete vgg19_no_fc.npy or an earlier model.vgg_layer")
        shapes = [array.shape for array in table[name]]
        if len(shapes) != 2 or len(shapes[0]) != 4 or shapes != [(3, 3, cin, shapes[0][3]), (shapes[0][3],)]:
            raise InputError(f"{path}: {name} has shapes {shapes}, expected [(3, 3, {cin}, n), (n,)]")
        if not all(np.isfinite(array).all() for array in table[name]):
            raise InputError(f"{path}: {name} has values that are not finite")
        cin = shapes[0][3]
