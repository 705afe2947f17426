"""Inception-V3 as pytorch-fid has it, up to the 2048 features behind its last average pooling (pool3).

It is TensorFlow's network of December 2015 (Szegedy et al., CVPR 2016): its average poolings leave the padding out, and
its last block pools by maximum. Layers have the names that they have in pytorch-fid's weights file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from ..errors import InputError
from . import torch_weights

SIDE, FEATURES = 299, 2048
EPSILON = 1e-3  # of its batch normalization


def to_inception(image: np.ndarray) -> np.ndarray:
    """RGB uint8 [H, W, 3] -> float32 [3, 299, 299] in [-1, 1]: bilinear, corners not aligned, no antialiasing."""
    resized = cv2.resize(np.float32(image) / 255, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return (2 * resized - 1).transpose(2, 0, 1)


def average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, 1, exclusive=True)


def maximum(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 1, 1)


def halving(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 2)


class Convolution(nn.Layer):
    """Convolution, with its batch normalization folded in, and ReLU; it keeps the size unless it has a stride."""

    def __init__(
        self, cin: int, cout: int, kernel: int | tuple[int, int], stride: int = 1, padding: int | None = None
    ) -> None:
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        same = [side // 2 for side in sides] if stride == 1 else 0
        zero = nn.initializer.Constant(0.0)  # until `load` has the weights
        self.conv = nn.Conv2D(cin, cout, kernel, stride, same if padding is None else padding, weight_attr=zero)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x))


Step = Callable | tuple | list  # a pooling; a convolution (name, channels, kernel, stride); such side by side


class Mixed(nn.Layer):
    """Branches side by side, of which the channels are joined.

    Args:
        cin: channels.
        branches: the steps of each.
    """

    def __init__(self, cin: int, branches: list[list[Step]]) -> None:
        super().__init__()
        self.branches, self.channels = [], 0
        for steps in branches:
            branch, c = [], cin
            for step in steps:
                if callable(step):
                    branch.append([step])
                    continue
                parts = step if isinstance(step, list) else [step]
                branch.append([self.add_sublayer(name, Convolution(c, *shape)) for name, *shape in parts])
                c = sum(channels for _, channels, *_ in parts)
            self.branches.append(branch)
            self.channels += c

    def forward(self, x: Tensor) -> Tensor:
        outputs = []
        for branch in self.branches:
            y = x
            for parts in branch:
                y = paddle.concat([part(y) for part in parts], 1) if len(parts) > 1 else parts[0](y)
            outputs.append(y)
        return paddle.concat(outputs, 1)


def block_a(pooled: int) -> list[list[Step]]:
    return [
        [("branch1x1", 64, 1)],
        [("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)],
        [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)],
        [average, ("branch_pool", pooled, 1)],
    ]


def block_b() -> list[list[Step]]:
    return [
        [("branch3x3", 384, 3, 2)],
        [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3, 2)],
        [halving],
    ]


def block_c(c: int) -> list[list[Step]]:
    return [
        [("branch1x1", 192, 1)],
        [("branch7x7_1", c, 1), ("branch7x7_2", c, (1, 7)), ("branch7x7_3", 192, (7, 1))],
        [
            ("branch7x7dbl_1", c, 1),
            *[(f"branch7x7dbl_{i}", c, kernel) for i, kernel in ((2, (7, 1)), (3, (1, 7)), (4, (7, 1)))],
            ("branch7x7dbl_5", 192, (1, 7)),
        ],
        [average, ("branch_pool", 192, 1)],
    ]


def block_d() -> list[list[Step]]:
    sevens = [("branch7x7x3_1", 192, 1), ("branch7x7x3_2", 192, (1, 7)), ("branch7x7x3_3", 192, (7, 1))]
    return [
        [("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3, 2)],
        [*sevens, ("branch7x7x3_4", 192, 3, 2)],
        [halving],
    ]


def block_e(pool: Callable) -> list[list[Step]]:
    def split(name: str) -> list[tuple]:
        return [(f"{name}a", 384, (1, 3)), (f"{name}b", 384, (3, 1))]

    return [
        [("branch1x1", 320, 1)],
        [("branch3x3_1", 384, 1), split("branch3x3_2")],
        [("branch3x3dbl_1", 448, 1), ("branch3x3dbl_2", 384, 3), split("branch3x3dbl_3")],
        [pool, ("branch_pool", 192, 1)],
    ]


BLOCKS = {
    **{f"Mixed_5{x}": block_a(pooled) for x, pooled in (("b", 32), ("c", 64), ("d", 64))},
    "Mixed_6a": block_b(),
    **{f"Mixed_6{x}": block_c(c) for x, c in (("b", 128), ("c", 160), ("d", 160), ("e", 192))},
    "Mixed_7a": block_d(),
    "Mixed_7b": block_e(average),
    "Mixed_7c": block_e(maximum),
}


class Inception(nn.Sequential):
    """Images [N, 3, 299, 299] in [-1, 1] -> features [N, 2048]."""

    def __init__(self) -> None:
        layers = [
            ("Conv2d_1a_3x3", Convolution(3, 32, 3, 2)),
            ("Conv2d_2a_3x3", Convolution(32, 32, 3, 1, 0)),
            ("Conv2d_2b_3x3", Convolution(32, 64, 3)),
            ("maxpool1", nn.MaxPool2D(3, 2)),
            ("Conv2d_3b_1x1", Convolution(64, 80, 1)),
            ("Conv2d_4a_3x3", Convolution(80, 192, 3, 1, 0)),
            ("maxpool2", nn.MaxPool2D(3, 2)),
        ]
        channels = 192
        for name, branches in BLOCKS.items():
            mixed = Mixed(channels, branches)
            layers.append((name, mixed))
            channels = mixed.channels
        super().__init__(*layers, ("avgpool", nn.AdaptiveAvgPool2D(1)), ("flatten", nn.Flatten()))
        self.eval()


def load(path: Path) -> Inception:
    """The network with the weights of a file like pt_inception-2015-12-05-6726825d.pth.

    Raises:
        InputError: the file cannot be read, or has not all of them.
    """
    table, network, state = torch_weights.read(path), Inception(), {}
    for name, weight in network.state_dict().items():
        if name.endswith(".conv.weight"):
            layer = name.removesuffix(".conv.weight")
            keys = (name, *(f"{layer}.bn.{key}" for key in ("weight", "bias", "running_mean", "running_var")))
            for key, shape in zip(keys, [tuple(weight.shape)] + 4 * [(weight.shape[0],)]):
                if key not in table or table[key].shape != shape:
                    has = f"of shape {list(table[key].shape)}" if key in table else "missing"
                    raise InputError(f"{path}: {key} is {has}, not {list(shape)}: not pytorch-fid's Inception-V3")
            state[name], state[f"{layer}.conv.bias"] = fold(*(np.float64(table[key]) for key in keys))
            if not all(np.isfinite(state[key]).all() for key in (name, f"{layer}.conv.bias")):
                raise InputError(f"{path}: {layer} has values that are not finite, or a variance below 0")
    network.set_state_dict(state)
    return network


def fold(
    kernel: np.ndarray, scale: np.ndarray, shift: np.ndarray, mean: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel [O, I, H, W] and bias [O] of a convolution, float32, with its batch normalization folded in."""
    with np.errstate(invalid="ignore"):
        scale = scale / np.sqrt(variance + EPSILON)
    return np.float32(kernel * scale[:, None, None, None]), np.float32(shift - mean * scale)
