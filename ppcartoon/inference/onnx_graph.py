"""Weights -> ONNX graph of the Cartoonizer, G(E(x)), written out node by node.

The counterpart of `networks.Cartoonizer` where Paddle is not installed; a test holds the two together. Inputs and
outputs are named "image" and "cartoon", float32 [N, 3, H, W] in [-1, 1], H and W multiples of 4, and "statistics",
float32 [N or 1, L, 2]: mean and variance of the L layer norms in the order in which they run.

LN takes them over the whole image, so the tiles of a large one must share statistics, and the frames of a film look
steadier with some that change slowly. Hence the kinds of graph.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..errors import InputError
from ..weights import Weights, require_cartoonizer

EPSILON = 1e-5


class Nodes:
    """Nodes and initializers so far; each method appends a layer and gives the name of its output."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.unused = set(weights.tensors)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.norms = 0

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        output = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initializers.setdefault(name, numpy_helper.from_array(np.asarray(value), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant("integers_" + "_".join(map(str, values)), np.array(values))

    def tensor(self, name: str, *shape: int) -> np.ndarray:
        value = self.weights.tensors.get(name)
        if value is None or value.shape != shape:
            found = "missing" if value is None else list(value.shape)
            raise InputError(f"{self.weights.style}: tensor {name}: {found}, the network wants {list(shape)}")
        self.unused.discard(name)
        return value

    def conv(self, x: str, name: str, cin: int, cout: int, k: int = 3, s: int = 1, groups: int = 1) -> str:
        weight = self.constant(f"{name}.weight", self.tensor(f"{name}.weight", cout, cin // groups, k, k))
        return self.node("Conv", x, weight, kernel_shape=[k, k], strides=[s, s], pads=self.padding(k), group=groups)

    def padding(self, k: int) -> list[int]:
        return [(k - 1) // 2] * 4

    def inner(self, x: str) -> str:
        """What of x is left after a 3x3 convolution."""
        return x

    def conv_norm(
        self, x: str, conv: str, norm: str, cin: int, cout: int, k: int = 3, s: int = 1, groups: int = 1
    ) -> str:
        x = self.conv(x, conv, cin, cout, k, s, groups)
        mean, variance = self.statistics(x)
        self.norms += 1
        weight, bias = (
            self.constant(f"{norm}.{part}", self.tensor(f"{norm}.{part}", cout).reshape(cout, 1, 1))
            for part in ("weight", "bias")
        )
        variance = self.node("Add", variance, self.constant("epsilon", np.float32(EPSILON)))
        scale = self.node("Div", weight, self.node("Sqrt", variance))
        shift = self.node("Sub", bias, self.node("Mul", mean, scale))
        return self.node("Add", self.node("Mul", x, scale), shift)

    def statistics(self, x: str) -> tuple[str, str]:
        """Mean and variance that x is to be normalised by: its own over C, H and W, each [N, 1, 1, 1]."""
        mean = self.mean(x)
        centred = self.node("Sub", x, mean)
        return mean, self.mean(self.node("Mul", centred, centred))

    def mean(self, x: str, axes: tuple[int, ...] = (3, 2, 1)) -> str:
        """Axis by axis: a float32 sum over all of them at once is percents off on large images."""
        for axis in axes:
            x = self.node("ReduceMean", x, self.integers(axis))
        return x

    def lrelu(self, x: str) -> str:
        return self.node("LeakyRelu", x, alpha=0.2)

    def conv_norm_lrelu(self, x: str, name: str, cin: int, cout: int, k: int = 3, groups: int = 1) -> str:
        return self.lrelu(self.conv_norm(x, f"{name}.0", f"{name}.1", cin, cout, k, groups=groups))

    def separable_norm_lrelu(self, x: str, name: str, cin: int, cout: int) -> str:
        x = self.conv(x, f"{name}.0.0", cin, cin, groups=cin)
        return self.lrelu(self.conv_norm(x, f"{name}.0.1", f"{name}.1", cin, cout, k=1))

    def upsample(self, x: str) -> str:
        scales = self.constant("doubled", np.array([1, 1, 2, 2], np.float32))
        return self.node("Resize", x, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")


class Folded(Nodes):
    """LN by numbers that are known is a part of the convolution before it."""

    def __init__(self, weights: Weights, statistics: np.ndarray) -> None:
        super().__init__(weights)
        self.given = statistics.astype(np.float64)

    def conv_norm(
        self, x: str, conv: str, norm: str, cin: int, cout: int, k: int = 3, s: int = 1, groups: int = 1
    ) -> str:
        mean, variance = self.given[self.norms]
        self.norms += 1
        scale = self.tensor(f"{norm}.weight", cout) / np.sqrt(variance + EPSILON)
        shift = self.tensor(f"{norm}.bias", cout) - mean * scale
        x = self.conv(x, conv, cin, cout, k, s, groups)
        weight = self.weights.tensors[f"{conv}.weight"] * scale[:, None, None, None]
        self.initializers[f"{conv}.weight"] = numpy_helper.from_array(np.float32(weight), f"{conv}.weight")
        self.nodes[-1].input.append(self.constant(f"{conv}.bias", np.float32(shift)))
        return x


class Measuring(Nodes):
    """Keeps the statistics that are used."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self.used: list[tuple[str, str]] = []

    def statistics(self, x: str) -> tuple[str, str]:
        self.used.append(super().statistics(x))
        return self.used[-1]

    def put_out_statistics(self) -> None:
        """Appends the output "statistics", [N, L, 2]."""
        means, variances = (self.node("Concat", *column, axis=1) for column in zip(*self.used))  # [N, L, 1, 1]
        self.node("Squeeze", self.node("Concat", means, variances, axis=2), self.integers(3), output="statistics")


class Given(Nodes):
    """Each LN takes the statistics given."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self.given = self.node("Unsqueeze", "given", self.integers(3, 4, 5))  # [N, L, 2, 1, 1, 1]

    def statistics(self, x: str) -> tuple[str, str]:
        row = self.node("Gather", self.given, self.constant(f"index_{self.norms}", np.int64(self.norms)), axis=1)
        mean, variance = (self.node("Gather", row, self.constant(f"index_{j}", np.int64(j)), axis=1) for j in (0, 1))
        return mean, variance


class Blended(Given, Measuring):
    """Each LN mixes its own statistics with those given."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self.rest = self.node("Sub", self.constant("one", np.float32(1)), "share")

    def statistics(self, x: str) -> tuple[str, str]:
        mean, variance = (
            self.node("Add", self.node("Mul", own, "share"), self.node("Mul", given, self.rest))
            for own, given in zip(self.quickly(x), super().statistics(x))
        )
        self.used.append((mean, variance))
        return mean, variance

    def quickly(self, x: str) -> tuple[str, str]:
        """Mean and variance of x, each [N, 1, 1, 1], as E[x^2] - E[x]^2: no feature map is written for it."""
        mean, row = self.mean(x), self.node("ReduceL2", x, self.integers(3))  # [N, C, H, 1]
        width = self.node("Cast", self.node("Shape", x, start=3, end=4), to=onnx.TensorProto.FLOAT)
        square = self.node("Div", self.mean(self.node("Mul", row, row), (2, 1)), width)
        return mean, self.node("Relu", self.node("Sub", square, self.node("Mul", mean, mean)))


class Together(Measuring):
    """The images are samples of one; what padding would touch is left out."""

    def padding(self, k: int) -> list[int]:
        return [0] * 4

    def inner(self, x: str) -> str:
        return self.crop(x, 1)

    def crop(self, x: str, border: int) -> str:
        return self.node(
            "Slice", x, self.integers(border, border), self.integers(-border, -border), self.integers(2, 3)
        )

    def mean(self, x: str, axes: tuple[int, ...] = (3, 2, 1, 0)) -> str:
        return super().mean(x, axes)

    def upsample(self, x: str) -> str:
        return self.crop(super().upsample(x), 2)


OPSET = 18
KINDS = {"own": Nodes, "measured": Measuring, "given": Given, "blended": Blended, "together": Together}


def build(
    weights: Weights, kind: Literal["own", "measured", "given", "blended", "together"] = "own"
) -> onnx.ModelProto:
    """The ONNX model of a style.

    Args:
        weights: its tensors and network.
        kind: "own": image -> cartoon, where each LN normalises by its input's statistics. "measured": image -> the
            same cartoon, and those statistics. "given": image, given [N or 1, L, 2] -> cartoon by those. "blended":
            image, given and share [1] -> cartoon and statistics; each LN normalises by `share` times its input's
            statistics plus `1 - share` times those given, and that is what is put out. "together": image ->
            statistics [1, L, 2] of all images as if they were one; nothing is padded, so that borders do not count.

    Raises:
        InputError: a tensor is missing, left over, or of another shape than the network says; or it is a baseline's.
    """
    g = KINDS[kind](weights)
    cartoon = _cartoonizer(g)
    inputs, outputs = [_image("image")], [cartoon]
    if kind in ("given", "blended"):
        inputs.append(_value("given", "S", g.norms, 2))
    if kind == "blended":
        inputs.append(_value("share", 1))
    if isinstance(g, Measuring):
        g.put_out_statistics()
        outputs.append(_value("statistics", "N", g.norms, 2))
    return _model(g, inputs, outputs[-1:] if kind == "together" else outputs)


def with_fixed_stats(weights: Weights, statistics: np.ndarray) -> onnx.ModelProto:
    """The model of a style with the statistics [L, 2] of one image built in: convolutions alone, and faster.

    Raises:
        InputError: as `build`.
    """
    g = Folded(weights, statistics)
    cartoon = _cartoonizer(g)
    return _model(g, [_image("image")], [cartoon])


def _cartoonizer(g: Nodes) -> onnx.ValueInfoProto:
    """All nodes of G(E(x)); its output."""
    network, style = require_cartoonizer(g.weights).network, g.weights.style
    encoder, generator = network["encoder"], network["generator"]
    z, channels = ENCODERS[encoder["name"]](g, encoder["channels"])
    if channels != generator["in_channels"]:
        raise InputError(f"{style}: encoder gives {channels} channels, generator takes {generator['in_channels']}")
    g.node("Tanh", _generator(g, z, **generator), output="cartoon")
    if g.unused:
        raise InputError(f"{style}: the network does not have these tensors: {sorted(g.unused)[:3]}")
    return _image("cartoon")


def _model(g: Nodes, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
    graph = helper.make_graph(g.nodes, "cartoonizer", inputs, outputs, list(g.initializers.values()))
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="ppcartoon"
    )
    helper.set_model_props(model, {key: getattr(g.weights, key) for key in ("style", "attribution", "licence")})
    return model


def _image(name: str) -> onnx.ValueInfoProto:
    return _value(name, "N", 3, "H", "W")


def _value(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _encoder(g: Nodes, c: int) -> tuple[str, int]:
    x = g.lrelu(g.conv("image", "encoder.0", 3, c))
    x = g.lrelu(g.conv(x, "encoder.2", c, 2 * c, s=2))
    x = g.lrelu(g.conv_norm(x, "encoder.4", "encoder.5", 2 * c, 4 * c))
    return g.lrelu(g.conv(x, "encoder.7", 4 * c, 4 * c, s=2)), 4 * c


def _n_layer_encoder(g: Nodes, c: int) -> tuple[str, int]:
    x = g.lrelu(g.conv("image", "encoder.0", 3, c, k=4, s=2))
    return g.lrelu(g.conv_norm(x, "encoder.2", "encoder.3", c, 2 * c, k=4, s=2)), 2 * c


ENCODERS = {"CartoonLossDiscriminator": _encoder, "CartoonLossNLayerDiscriminator": _n_layer_encoder}


def _generator(g: Nodes, z: str, in_channels: int, channels: int, depthwise: bool = False) -> str:
    c, conv3 = channels, g.separable_norm_lrelu if depthwise else g.conv_norm_lrelu
    x = _inverted_residual(g, z, "generator.body.0", in_channels, 4 * c, depthwise)
    for i in (1, 2, 3):
        x = _inverted_residual(g, x, f"generator.body.{i}", 4 * c, 4 * c, depthwise)
    x = conv3(x, "generator.body.4", 4 * c, 2 * c)
    x = g.upsample(x)
    x = conv3(x, "generator.up1.1", 2 * c, 2 * c)
    x = conv3(x, "generator.up1.2", 2 * c, 2 * c)
    x = g.upsample(x)
    x = conv3(x, "generator.up2.1", 2 * c, c)
    x = conv3(x, "generator.up2.2", c, c)
    x = g.conv_norm_lrelu(x, "generator.up2.3", c, c // 2, k=7)
    return g.conv(x, "generator.out", c // 2, 3, k=1)


def _inverted_residual(g: Nodes, x: str, name: str, cin: int, cout: int, depthwise: bool) -> str:
    mid = 2 * cin
    y = g.conv_norm_lrelu(x, f"{name}.body.0", cin, mid, k=1)
    y = g.conv_norm_lrelu(y, f"{name}.body.1", mid, mid, groups=mid if depthwise else 1)
    y = g.conv_norm(y, f"{name}.body.2", f"{name}.body.3", mid, cout, k=1)
    return g.node("Add", g.inner(x), y) if cin == cout else y
