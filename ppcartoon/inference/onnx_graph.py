"""Builds the ONNX graph of the Cartoonizer, G(E(x)), from its weights, without Paddle.

The counterpart of `networks.Cartoonizer`; a test compares the two. "image" and "cartoon" are float32 [N, 3, H, W] in
[-1, 1], H and W multiples of 4. "statistics" are float32 [N or 1, L, 2]: mean and variance of the L layer norms in
the order in which they run.

LN computes its statistics over the whole image. So the tiles of a large image must share statistics, and the frames of
a video flicker less if statistics change slowly. Hence the kinds of graph.

In fp16, for GPUs, convolutions and feature maps are float16. Statistics are measured in float32, since squares of
features overflow float16; so are the scale and shift that LN makes of them, and inputs and outputs.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..errors import InputError
from ..weights import Weights, require_cartoonizer
from . import onnx_messages
from .onnx_messages import ModelProto, NodeProto, TensorProto, ValueInfoProto, float_value

EPSILON = 1e-5


class Nodes:
    """The nodes and initializers of a graph; each layer method appends nodes and returns the name of its output."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.unused = set(weights.tensors)
        self.nodes: list[NodeProto] = []
        self.initializers: dict[str, TensorProto] = {}
        self.norms = 0
        self.half = False  # fp16

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        output = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(onnx_messages.node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initializers.setdefault(name, onnx_messages.tensor(name, value))
        return name

    def narrowed(self, x: str) -> str:
        """A float32 value as a feature map or a factor of one: in float16 if the graph is in fp16."""
        return self.node("Cast", x, to=onnx_messages.FLOAT16) if self.half else x

    def widened(self, x: str) -> str:
        """A feature map in float32."""
        return self.node("Cast", x, to=onnx_messages.FLOAT) if self.half else x

    def integers(self, *values: int) -> str:
        return self.constant("integers_" + "_".join(map(str, values)), np.array(values, np.int64))

    def tensor(self, name: str, *shape: int) -> np.ndarray:
        value = self.weights.tensors.get(name)
        if value is None or value.shape != shape:
            found = "missing" if value is None else list(value.shape)
            raise InputError(f"{self.weights.style}: tensor {name}: {found}, the network wants {list(shape)}")
        self.unused.discard(name)
        return value

    def conv(self, x: str, name: str, cin: int, cout: int, k: int = 3, s: int = 1, groups: int = 1) -> str:
        tensor = self.tensor(f"{name}.weight", cout, cin // groups, k, k)
        weight = self.constant(f"{name}.weight", np.float16(tensor) if self.half else tensor)
        return self.node("Conv", x, weight, kernel_shape=[k, k], strides=[s, s], pads=self.padding(k), group=groups)

    def padding(self, k: int) -> list[int]:
        return [(k - 1) // 2] * 4

    def inner(self, x: str) -> str:
        """The part of x that a 3x3 convolution keeps."""
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
        return self.node("Add", self.node("Mul", x, self.narrowed(scale)), self.narrowed(shift))

    def statistics(self, x: str) -> tuple[str, str]:
        """Mean and variance to normalize x by: its own over C, H and W, each [N, 1, 1, 1]."""
        x = self.widened(x)
        mean = self.mean(x)
        centered = self.node("Sub", x, mean)
        return mean, self.mean(self.node("Mul", centered, centered))

    def mean(self, x: str, axes: tuple[int, ...] = (3, 2, 1)) -> str:
        """Mean of x, axis by axis: one float32 sum over all axes is off by percents on large images."""
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
    """Folds each LN, with known statistics, into the convolution before it."""

    def __init__(self, weights: Weights, stats: np.ndarray) -> None:
        super().__init__(weights)
        self.stats = stats.astype(np.float64)

    def conv_norm(
        self, x: str, conv: str, norm: str, cin: int, cout: int, k: int = 3, s: int = 1, groups: int = 1
    ) -> str:
        mean, variance = self.stats[self.norms]
        self.norms += 1
        scale = self.tensor(f"{norm}.weight", cout) / np.sqrt(variance + EPSILON)
        shift = self.tensor(f"{norm}.bias", cout) - mean * scale
        x = self.conv(x, conv, cin, cout, k, s, groups)
        weight = self.weights.tensors[f"{conv}.weight"] * scale[:, None, None, None]
        self.initializers[f"{conv}.weight"] = onnx_messages.tensor(f"{conv}.weight", np.float32(weight))
        self.nodes[-1].input.append(self.constant(f"{conv}.bias", np.float32(shift)))
        return x


class Measuring(Nodes):
    """Records the statistics that each LN uses."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self.used: list[tuple[str, str]] = []

    def statistics(self, x: str) -> tuple[str, str]:
        self.used.append(super().statistics(x))
        return self.used[-1]

    def add_statistics_output(self) -> None:
        """Appends the output "statistics", [N, L, 2]."""
        means, variances = (self.node("Concat", *column, axis=1) for column in zip(*self.used))  # [N, L, 1, 1]
        self.node("Squeeze", self.node("Concat", means, variances, axis=2), self.integers(3), output="statistics")


class Given(Nodes):
    """Each LN uses the statistics of the input "given"."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self.given = self.node("Unsqueeze", "given", self.integers(3, 4, 5))  # [N, L, 2, 1, 1, 1]

    def statistics(self, x: str) -> tuple[str, str]:
        row = self.node("Gather", self.given, self.constant(f"index_{self.norms}", np.int64(self.norms)), axis=1)
        mean, variance = (self.node("Gather", row, self.constant(f"index_{j}", np.int64(j)), axis=1) for j in (0, 1))
        return mean, variance


class Blended(Given, Measuring):
    """Each LN uses alpha * its own statistics + (1 - alpha) * those of the input "given"."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self.rest = self.node("Sub", self.constant("one", np.float32(1)), "alpha")  # 1 - alpha

    def statistics(self, x: str) -> tuple[str, str]:
        mean, variance = (
            self.node("Add", self.node("Mul", own, "alpha"), self.node("Mul", given, self.rest))
            for own, given in zip(self.fast_statistics(x), super().statistics(x))
        )
        self.used.append((mean, variance))
        return mean, variance

    def fast_statistics(self, x: str) -> tuple[str, str]:
        """Mean and variance of x, each [N, 1, 1, 1], as E[x^2] - E[x]^2, without a temporary feature map."""
        x = self.widened(x)
        mean, row = self.mean(x), self.node("ReduceL2", x, self.integers(3))  # [N, C, H, 1]
        width = self.node("Cast", self.node("Shape", x, start=3, end=4), to=onnx_messages.FLOAT)
        square = self.node("Div", self.mean(self.node("Mul", row, row), (2, 1)), width)
        return mean, self.node("Relu", self.node("Sub", square, self.node("Mul", mean, mean)))


class Pooled(Measuring):
    """Statistics over a batch of samples of one image; nothing is padded, and borders are cropped."""

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
KINDS = {"own": Nodes, "measured": Measuring, "given": Given, "blended": Blended, "pooled": Pooled}


def build(
    weights: Weights, kind: Literal["own", "measured", "given", "blended", "pooled"] = "own", half: bool = False
) -> ModelProto:
    """The ONNX model of a style.

    Args:
        weights: tensors and network of the style.
        kind: "own": image -> cartoon; each LN normalizes by the statistics of its input. "measured": image -> the same
            cartoon, and those statistics. "given": image, given [N or 1, L, 2] -> cartoon; each LN normalizes by
            `given`. "blended": image, given, alpha [1] -> cartoon, statistics; each LN normalizes by alpha * the
            statistics of its input + (1 - alpha) * given, and "statistics" are these. "pooled": image -> statistics
            [1, L, 2] over all images of the batch, without padding, so that borders do not count.
        half: compute in fp16, apart from the statistics.

    Raises:
        InputError: a tensor is missing, unknown or of the wrong shape; or the weights are a baseline's.
    """
    g = KINDS[kind](weights)
    g.half = half
    cartoon = _cartoonizer(g)
    inputs, outputs = [_image("image")], [cartoon]
    if kind in ("given", "blended"):
        inputs.append(float_value("given", "S", g.norms, 2))
    if kind == "blended":
        inputs.append(float_value("alpha", 1))
    if isinstance(g, Measuring):
        g.add_statistics_output()
        outputs.append(float_value("statistics", "N", g.norms, 2))
    return _model(g, inputs, outputs[-1:] if kind == "pooled" else outputs)


def with_fixed_stats(weights: Weights, stats: np.ndarray) -> ModelProto:
    """The ONNX model of a style with LN statistics [L, 2] built in: convolutions only, hence faster.

    Raises:
        InputError: see `build`.
    """
    g = Folded(weights, stats)
    cartoon = _cartoonizer(g)
    return _model(g, [_image("image")], [cartoon])


def _cartoonizer(g: Nodes) -> ValueInfoProto:
    """Appends all nodes of G(E(x)); returns its output."""
    network, style = require_cartoonizer(g.weights).network, g.weights.style
    encoder, generator = network["encoder"], network["generator"]
    z, channels = ENCODERS[encoder["name"]](g, g.narrowed("image"), encoder["channels"])
    if channels != generator["in_channels"]:
        raise InputError(f"{style}: encoder gives {channels} channels, generator takes {generator['in_channels']}")
    g.node("Tanh", g.widened(_generator(g, z, **generator)), output="cartoon")
    if g.unused:
        raise InputError(f"{style}: the network does not have these tensors: {sorted(g.unused)[:3]}")
    return _image("cartoon")


def _model(g: Nodes, inputs: list[ValueInfoProto], outputs: list[ValueInfoProto]) -> ModelProto:
    graph = {
        "name": "cartoonizer",
        "node": g.nodes,
        "initializer": g.initializers.values(),
        "input": inputs,
        "output": outputs,
    }
    model = ModelProto(ir_version=8, producer_name="ppcartoon", graph=graph, opset_import=[{"version": OPSET}])
    onnx_messages.set_metadata(model, {key: getattr(g.weights, key) for key in ("style", "attribution", "licence")})
    return model


def _image(name: str) -> ValueInfoProto:
    return float_value(name, "N", 3, "H", "W")


def _encoder(g: Nodes, image: str, c: int) -> tuple[str, int]:
    x = g.lrelu(g.conv(image, "encoder.0", 3, c))
    x = g.lrelu(g.conv(x, "encoder.2", c, 2 * c, s=2))
    x = g.lrelu(g.conv_norm(x, "encoder.4", "encoder.5", 2 * c, 4 * c))
    return g.lrelu(g.conv(x, "encoder.7", 4 * c, 4 * c, s=2)), 4 * c


def _n_layer_encoder(g: Nodes, image: str, c: int) -> tuple[str, int]:
    x = g.lrelu(g.conv(image, "encoder.0", 3, c, k=4, s=2))
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
