"""Inception-V3 of pytorch-fid, up to the 2048 features after its last average pooling (pool3).

This is TensorFlow's network of December 2015 (Szegedy et al., CVPR 2016): its average poolings do not count the
padding, and its last block uses maximum pooling. Layers are named as in pytorch-fid's weights file.
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
EPSILON = 1e-3  # of the batch normalization


def to_inception(image: np.ndarray) -> np.ndarray:
    """RGB uint8 [H, W, 3] -> float32 [3, 299, 299] in [-1, 1]: bilinear, corners not aligned, no antialiasing."""
    resized = cv2.resize(np.float32(image) / 255, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return (2 * resized - 1).transpose(2, 0, 1)


class Convolution(nn.Layer):
    """Convolution and ReLU; the weights include the batch normalization.

    Args:
        cin: input channels.
        cout: output channels.
        kernel: height and width, or one number for both.
        stride: in pixels.
        padding: in pixels; None for half the kernel without a stride, and 0 with one.
    """

    def __init__(
        self, cin: int, cout: int, kernel: int | tuple[int, int], stride: int = 1, padding: int | None = None
    ) -> None:
        super().__init__()
        if padding is None:
            padding = 0 if stride > 1 else "SAME"
        zero = nn.initializer.Constant(0.0)  # until `load` sets the weights
        self.conv = nn.Conv2D(cin, cout, kernel, stride, padding, weight_attr=zero)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x))


def average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, 1, exclusive=True)


def maximum(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 1, 1)


def halve(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 2)


class InceptionA(nn.Layer):
    """[N, cin, 35, 35] -> [N, 224 + pooled, 35, 35]."""

    def __init__(self, cin: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Convolution(cin, 64, 1)
        self.branch5x5_1 = Convolution(cin, 48, 1)
        self.branch5x5_2 = Convolution(48, 64, 5)
        self.branch3x3dbl_1 = Convolution(cin, 64, 1)
        self.branch3x3dbl_2 = Convolution(64, 96, 3)
        self.branch3x3dbl_3 = Convolution(96, 96, 3)
        self.branch_pool = Convolution(cin, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        branch5x5 = self.branch5x5_2(self.branch5x5_1(x))
        branch3x3 = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return paddle.concat([self.branch1x1(x), branch5x5, branch3x3, self.branch_pool(average(x))], 1)


class InceptionB(nn.Layer):
    """[N, cin, 35, 35] -> [N, 480 + cin, 17, 17]."""

    def __init__(self, cin: int) -> None:
        super().__init__()
        self.branch3x3 = Convolution(cin, 384, 3, 2)
        self.branch3x3dbl_1 = Convolution(cin, 64, 1)
        self.branch3x3dbl_2 = Convolution(64, 96, 3)
        self.branch3x3dbl_3 = Convolution(96, 96, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return paddle.concat([self.branch3x3(x), double, halve(x)], 1)


class InceptionC(nn.Layer):
    """[N, 768, 17, 17] -> [N, 768, 17, 17], with `c` channels inside the branches."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.branch1x1 = Convolution(768, 192, 1)
        self.branch7x7_1 = Convolution(768, c, 1)
        self.branch7x7_2 = Convolution(c, c, (1, 7))
        self.branch7x7_3 = Convolution(c, 192, (7, 1))
        self.branch7x7dbl_1 = Convolution(768, c, 1)
        self.branch7x7dbl_2 = Convolution(c, c, (7, 1))
        self.branch7x7dbl_3 = Convolution(c, c, (1, 7))
        self.branch7x7dbl_4 = Convolution(c, c, (7, 1))
        self.branch7x7dbl_5 = Convolution(c, 192, (1, 7))
        self.branch_pool = Convolution(768, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return paddle.concat([self.branch1x1(x), single, double, self.branch_pool(average(x))], 1)


class InceptionD(nn.Layer):
    """[N, 768, 17, 17] -> [N, 1280, 8, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1 = Convolution(768, 192, 1)
        self.branch3x3_2 = Convolution(192, 320, 3, 2)
        self.branch7x7x3_1 = Convolution(768, 192, 1)
        self.branch7x7x3_2 = Convolution(192, 192, (1, 7))
        self.branch7x7x3_3 = Convolution(192, 192, (7, 1))
        self.branch7x7x3_4 = Convolution(192, 192, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        branch3x3 = self.branch3x3_2(self.branch3x3_1(x))
        branch7x7 = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return paddle.concat([branch3x3, branch7x7, halve(x)], 1)


class InceptionE(nn.Layer):
    """[N, cin, 8, 8] -> [N, 2048, 8, 8]; `pool` is the pooling of the last branch."""

    def __init__(self, cin: int, pool: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.branch1x1 = Convolution(cin, 320, 1)
        self.branch3x3_1 = Convolution(cin, 384, 1)
        self.branch3x3_2a = Convolution(384, 384, (1, 3))
        self.branch3x3_2b = Convolution(384, 384, (3, 1))
        self.branch3x3dbl_1 = Convolution(cin, 448, 1)
        self.branch3x3dbl_2 = Convolution(448, 384, 3)
        self.branch3x3dbl_3a = Convolution(384, 384, (1, 3))
        self.branch3x3dbl_3b = Convolution(384, 384, (3, 1))
        self.branch_pool = Convolution(cin, 192, 1)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        branches = [
            self.branch1x1(x),
            self.branch3x3_2a(single),
            self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(self.pool(x)),
        ]
        return paddle.concat(branches, 1)


class Inception(nn.Sequential):
    """Images [N, 3, 299, 299] in [-1, 1] -> features [N, 2048]."""

    def __init__(self) -> None:
        super().__init__(
            ("Conv2d_1a_3x3", Convolution(3, 32, 3, 2)),
            ("Conv2d_2a_3x3", Convolution(32, 32, 3, padding=0)),
            ("Conv2d_2b_3x3", Convolution(32, 64, 3)),
            ("maxpool1", nn.MaxPool2D(3, 2)),
            ("Conv2d_3b_1x1", Convolution(64, 80, 1)),
            ("Conv2d_4a_3x3", Convolution(80, 192, 3, padding=0)),
            ("maxpool2", nn.MaxPool2D(3, 2)),
            ("Mixed_5b", InceptionA(192, 32)),
            ("Mixed_5c", InceptionA(256, 64)),
            ("Mixed_5d", InceptionA(288, 64)),
            ("Mixed_6a", InceptionB(288)),
            ("Mixed_6b", InceptionC(128)),
            ("Mixed_6c", InceptionC(160)),
            ("Mixed_6d", InceptionC(160)),
            ("Mixed_6e", InceptionC(192)),
            ("Mixed_7a", InceptionD()),
            ("Mixed_7b", InceptionE(1280, average)),
            ("Mixed_7c", InceptionE(2048, maximum)),
            ("avgpool", nn.AdaptiveAvgPool2D(1)),
            ("flatten", nn.Flatten()),
        )
        self.eval()


def load(path: Path) -> Inception:
    """Loads the network from pytorch-fid's pt_inception-2015-12-05-6726825d.pth, or a file like it.

    Raises:
        InputError: the file cannot be read, or a weight is missing or invalid.
    """
    table, network, state = torch_weights.read(path), Inception(), {}
    for name, weight in network.state_dict().items():
        if name.endswith(".conv.weight"):
            layer = name.removesuffix(".conv.weight")
            keys = (name, *(f"{layer}.bn.{key}" for key in ("weight", "bias", "running_mean", "running_var")))
            for key, shape in zip(keys, [tuple(weight.shape)] + 4 * [(weight.shape[0],)]):
                if key not in table or table[key].shape != shape:
                    found = f"of shape {list(table[key].shape)}" if key in table else "missing"
                    raise InputError(f"{path}: {key} is {found}, not {list(shape)}: not pytorch-fid's Inception-V3")
            state[name], state[f"{layer}.conv.bias"] = fold(*(np.float64(table[key]) for key in keys))
            if not all(np.isfinite(state[key]).all() for key in (name, f"{layer}.conv.bias")):
                raise InputError(f"{path}: {layer} has values that are not finite, or a negative variance")
    network.set_state_dict(state)
    return network


def fold(
    kernel: np.ndarray, scale: np.ndarray, shift: np.ndarray, mean: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Folds a batch normalization into its convolution; returns float32 kernel [O, I, H, W] and bias [O]."""
    with np.errstate(invalid="ignore"):
        scale = scale / np.sqrt(variance + EPSILON)
    return np.float32(kernel * scale[:, None, None, None]), np.float32(shift - mean * scale)
