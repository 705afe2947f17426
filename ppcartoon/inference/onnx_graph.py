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
from onnx import TensorProto, helper

from ..errors import InputError
from ..weights import Weights, require_cartoonizer
from .nodes import Blended, Folded, Given, Measuring, Nodes, Together

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
