"""Weights -> ONNX graph of the Cartoonizer, G(E(x)), written out node by node.

The counterpart of `networks.Cartoonizer` where Paddle is not installed; a test holds the two together. Inputs and
outputs are named "image" and "cartoon", float32 [N, 3, H, W] in [-1, 1], H and W multiples of 4, and "statistics",
float32 [N or 1, L, 2]: mean and variance of the L layer norms in the order in which they run.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .errors import InputError
from .weights import Weights

OPSET = 18
EPSILON = 1e-5


def build(weights: Weights, statistics: Literal["own", "measured", "given"] = "own") -> onnx.ModelProto:
    """The ONNX model of a style.

    Args:
        weights: its tensors and network.
        statistics: "own": each LN normalises by its input's; "measured": likewise, and "statistics" is an output;
            "given": "statistics" is an input, and LN measures nothing.

    Raises:
        InputError: a tensor is missing, left over, or of another shape than the network says.
    """
    g = _Graph(weights, given=statistics == "given")
    encoder, generator = weights.network["encoder"], weights.network["generator"]
    z, channels = ENCODERS[encoder["name"]](g, encoder["channels"])
    if channels != generator["in_channels"]:
        raise InputError(
            f"{weights.style}: encoder gives {channels} channels, generator takes {generator['in_channels']}"
        )
    g.node("Tanh", _generator(g, z, **generator), output="cartoon")
    if g.unused:
        raise InputError(f"{weights.style}: the network does not have these tensors: {sorted(g.unused)[:3]}")

    inputs, outputs = ([_value(name, "N", 3, "H", "W")] for name in ("image", "cartoon"))
    if statistics == "given":
        inputs.append(_value("statistics", "S", len(g.statistics), 2))
    if statistics == "measured":
        g.statistics_output()
        outputs.append(_value("statistics", "N", len(g.statistics), 2))
    graph = helper.make_graph(g.nodes, "cartoonizer", inputs, outputs, list(g.initializers.values()))
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="ppcartoon"
    )
    helper.set_model_props(model, {key: getattr(weights, key) for key in ("style", "attribution", "licence")})
    return model


def _value(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _encoder(g: _Graph, c: int) -> tuple[str, int]:
    x = g.lrelu(g.conv("image", "encoder.0", 3, c))
    x = g.lrelu(g.conv(x, "encoder.2", c, 2 * c, s=2))
    x = g.lrelu(g.norm(g.conv(x, "encoder.4", 2 * c, 4 * c), "encoder.5", 4 * c))
    return g.lrelu(g.conv(x, "encoder.7", 4 * c, 4 * c, s=2)), 4 * c


def _n_layer_encoder(g: _Graph, c: int) -> tuple[str, int]:
    x = g.lrelu(g.conv("image", "encoder.0", 3, c, k=4, s=2))
    return g.lrelu(g.norm(g.conv(x, "encoder.2", c, 2 * c, k=4, s=2), "encoder.3", 2 * c)), 2 * c


ENCODERS = {"CartoonLossDiscriminator": _encoder, "CartoonLossNLayerDiscriminator": _n_layer_encoder}


def _generator(g: _Graph, z: str, in_channels: int, channels: int) -> str:
    c = channels
    x = _inverted_residual(g, z, "generator.body.0", in_channels, 4 * c)
    for i in (1, 2, 3):
        x = _inverted_residual(g, x, f"generator.body.{i}", 4 * c, 4 * c)
    x = g.conv_norm_lrelu(x, "generator.body.4", 4 * c, 2 * c)
    x = g.upsample(x)
    x = g.conv_norm_lrelu(x, "generator.up1.1", 2 * c, 2 * c)
    x = g.conv_norm_lrelu(x, "generator.up1.2", 2 * c, 2 * c)
    x = g.upsample(x)
    x = g.conv_norm_lrelu(x, "generator.up2.1", 2 * c, c)
    x = g.conv_norm_lrelu(x, "generator.up2.2", c, c)
    x = g.conv_norm_lrelu(x, "generator.up2.3", c, c // 2, k=7)
    return g.conv(x, "generator.out", c // 2, 3, k=1)


def _inverted_residual(g: _Graph, x: str, name: str, cin: int, cout: int) -> str:
    mid = 2 * cin
    y = g.conv_norm_lrelu(x, f"{name}.body.0", cin, mid, k=1)
    y = g.conv_norm_lrelu(y, f"{name}.body.1", mid, mid)
    y = g.norm(g.conv(y, f"{name}.body.2", mid, cout, k=1), f"{name}.body.3", cout)
    return g.node("Add", x, y) if cin == cout else y


class _Graph:
    """Nodes and initializers so far; each method appends a layer and gives the name of its output."""

    def __init__(self, weights: Weights, given: bool) -> None:
        self.weights = weights
        self.unused = set(weights.tensors)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.statistics: list[tuple[str, str]] = []
        self.given = (
            self.node("Unsqueeze", "statistics", self.integers(3, 4, 5)) if given else None
        )  # [S, L, 2, 1, 1, 1]

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        output = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initializers.setdefault(name, numpy_helper.from_array(np.asarray(value), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant("integers_" + "_".join(map(str, values)), np.array(values))

    def tensor(self, name: str, shape: tuple[int, ...], reshaped: tuple[int, ...] | None = None) -> str:
        value = self.weights.tensors.get(name)
        if value is None or value.shape != shape:
            found = "missing" if value is None else list(value.shape)
            raise InputError(f"{self.weights.style}: tensor {name}: {found}, the network wants {list(shape)}")
        self.unused.discard(name)
        return self.constant(name, value.reshape(reshaped or shape))

    def conv(self, x: str, name: str, cin: int, cout: int, k: int = 3, s: int = 1) -> str:
        weight = self.tensor(f"{name}.weight", (cout, cin, k, k))
        return self.node("Conv", x, weight, kernel_shape=[k, k], strides=[s, s], pads=[(k - 1) // 2] * 4)

    def norm(self, x: str, name: str, c: int) -> str:
        weight, bias = (self.tensor(f"{name}.{part}", (c,), (c, 1, 1)) for part in ("weight", "bias"))
        mean, variance = self._measure(x) if self.given is None else self._take(len(self.statistics))
        self.statistics.append((mean, variance))
        variance = self.node("Add", variance, self.constant("epsilon", np.float32(EPSILON)))
        scale = self.node("Div", weight, self.node("Sqrt", variance))
        shift = self.node("Sub", bias, self.node("Mul", mean, scale))
        return self.node("Add", self.node("Mul", x, scale), shift)

    def _measure(self, x: str) -> tuple[str, str]:
        """Mean and variance of x over C, H and W, each [N, 1, 1, 1]."""
        mean = self._mean(x)
        centred = self.node("Sub", x, mean)
        return mean, self._mean(self.node("Mul", centred, centred))

    def _mean(self, x: str) -> str:
        """Axis by axis: a float32 sum over all three at once is percents off on large images."""
        for axis in (3, 2, 1):
            x = self.node("ReduceMean", x, self.integers(axis))
        return x

    def _take(self, i: int) -> tuple[str, str]:
        """Mean and variance i of those given, each [S, 1, 1, 1]."""
        row = self.node("Gather", self.given, self.constant(f"index_{i}", np.int64(i)), axis=1)  # [S, 2, 1, 1, 1]
        mean, variance = (self.node("Gather", row, self.constant(f"index_{j}", np.int64(j)), axis=1) for j in (0, 1))
        return mean, variance

    def statistics_output(self) -> None:
        """Appends the output "statistics", [N, L, 2]."""
        means, variances = (self.node("Concat", *column, axis=1) for column in zip(*self.statistics))  # [N, L, 1, 1]
        self.node("Squeeze", self.node("Concat", means, variances, axis=2), self.integers(3), output="statistics")

    def lrelu(self, x: str) -> str:
        return self.node("LeakyRelu", x, alpha=0.2)

    def conv_norm_lrelu(self, x: str, name: str, cin: int, cout: int, k: int = 3) -> str:
        return self.lrelu(self.norm(self.conv(x, f"{name}.0", cin, cout, k), f"{name}.1", cout))

    def upsample(self, x: str) -> str:
        scales = self.constant("doubled", np.array([1, 1, 2, 2], np.float32))
        return self.node("Resize", x, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")
