"""int8: convolutions on 8-bit integers, two to three times as fast as fp32 on CPUs with VNNI.

Post-training static quantization: the input of a convolution has one scale and zero point, from its range on
calibration photos, and each output channel of its weights has a scale. All else, LN above all, stays in floating point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .. import images
from ..errors import InputError
from ..weights import Weights
from . import onnx_graph, onnx_messages, working_size
from .onnx_messages import ModelProto, NodeProto

Ranges = Mapping[str, Sequence[float]]
PHOTOS = 40  # for calibration, at most
RANKED_ON = 8  # photos on which convolutions are tried one by one
MIN_PSNR = 40.0  # dB between int8 and fp32 on each calibration photo; other photos get a few dB less
# Without an operation right after it, OpenVINO 2026.4 moves the scale of an int8 convolution past the statistics of LN,
# which are wrong then. It removes an addition of 0, and adds this one within the convolution.
TINY = np.float32(1e-30)


def quantize(model: ModelProto, ranges: Ranges) -> ModelProto:
    """A model of `onnx_graph` with convolutions in int8, as pairs of QuantizeLinear and DequantizeLinear.

    Args:
        model: is not changed.
        ranges: lowest and highest value of the input of each convolution, by name; others stay in floating point.
    """
    tensors = {tensor.name: onnx_messages.array(tensor) for tensor in model.graph.initializer}
    nodes, added = [], {"tiny": TINY}

    def node(kind: str, *inputs: str, **attributes: int) -> str:
        nodes.append(onnx_messages.node(kind, inputs, [f"{inputs[0]}.{kind}"], **attributes))
        return nodes[-1].output[0]

    for each in model.graph.node:
        name = _convolution(each)
        if name not in ranges:
            nodes.append(each)
            continue
        image, weight, *bias = each.input
        low, high = ranges[name]
        scale = (high - low) / 255
        added |= {f"{name}.scale": np.float32(scale), f"{name}.zero": np.uint8(round(-low / scale))}
        quantized = node("QuantizeLinear", image, f"{name}.scale", f"{name}.zero")
        image = node("DequantizeLinear", quantized, f"{name}.scale", f"{name}.zero")
        scales = np.maximum(np.abs(tensors[weight]).max((1, 2, 3)), 1e-12) / 127
        tensors[weight] = np.int8(np.rint(tensors[weight] / scales[:, None, None, None]))
        added[f"{name}.scales"] = scales
        weight = node("DequantizeLinear", weight, f"{name}.scales", axis=0)
        nodes.append(onnx_messages.node("Conv", [image, weight, *bias], [f"{each.output[0]}.int8"]))
        nodes[-1].attribute.extend(each.attribute)
        nodes.append(onnx_messages.node("Add", [f"{each.output[0]}.int8", "tiny"], each.output))
    result = ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:], result.graph.initializer[:]
    result.graph.node.extend(nodes)
    result.graph.initializer.extend(onnx_messages.tensor(k, v) for k, v in (tensors | added).items())
    return result


def calibrate(weights: Weights, folder: Path) -> dict[str, list[float]]:
    """Finds which convolutions of a style can run in int8, and the ranges of their inputs.

    A range is the mean over the photos of the lowest and of the highest value. While the cartoon of a photo agrees with
    fp32 to less than `MIN_PSNR`, the convolution that costs most when it alone is in int8 returns to floating point.

    Args:
        weights: of the style.
        folder: with photos; `PHOTOS` of them are used, evenly chosen.

    Returns:
        Lowest and highest value of the input of each convolution in int8, by name.

    Raises:
        InputError: there is no image in the folder, one cannot be read, the weights are a baseline's, or cartoons
            differ too much.
    """
    photos = _photos(folder)
    model = onnx_graph.build(weights)
    ranges = _ranges(model, photos)
    expected = [cartoon for (cartoon,) in map(_compile(model), photos)]

    def agreement(ranges: Ranges, count: int = PHOTOS) -> float:
        run = _compile(quantize(model, ranges))
        return min(images.psnr(run(photo)[0], cartoon, 2) for photo, cartoon in zip(photos[:count], expected))

    each = tqdm(ranges, "calibration", unit="convolution", disable=None)
    costliest = sorted(each, key=lambda name: agreement({name: ranges[name]}, RANKED_ON))
    while ranges and agreement(ranges) < MIN_PSNR:
        del ranges[costliest.pop(0)]
    if not ranges:
        raise InputError(f"{weights.style}: no convolution can run in int8, cartoons differ too much")
    return ranges


def _photos(folder: Path) -> list[np.ndarray]:
    """Photos of a folder at the smallest working size, as inputs of the network."""
    files = sorted(p for p in folder.glob("*") if p.suffix.lower() in images.endings())
    if not files:
        raise InputError(f"{folder}: no such folder, or no image in it")
    chosen = [files[i] for i in np.unique(np.linspace(0, len(files) - 1, PHOTOS).round().astype(int))]
    photos = (working_size.reduce(images.read(file).rgb, working_size.SMALLEST) for file in chosen)
    return [images.to_network(images.pad(photo)[None]) for photo in photos]


def _ranges(model: ModelProto, photos: Sequence[np.ndarray]) -> dict[str, list[float]]:
    """Mean over the photos of the lowest and highest value of the input of each convolution, by name; all contain 0.

    The first and the last convolution are left out: they are cheap, and their steps would be visible on skies.
    """
    measured = ModelProto()
    measured.CopyFrom(model)
    inputs = dict([(name, node.input[0]) for node in model.graph.node if (name := _convolution(node))][1:-1])
    del measured.graph.output[:]
    for name, image in inputs.items():
        for kind in ("ReduceMin", "ReduceMax"):
            output = f"{name}.{kind}"
            measured.graph.node.append(onnx_messages.node(kind, [image], [output], keepdims=0))
            measured.graph.output.append(onnx_messages.float_value(output))
    run = _compile(measured)
    means = np.mean([run(photo) for photo in photos], 0).reshape(-1, 2).tolist()
    ranges = {name: [min(low, 0.0), max(high, 0.0)] for name, (low, high) in zip(inputs, means)}
    return {name: [float(f"{x:.4g}") for x in pair] for name, pair in ranges.items() if pair[0] < pair[1]}


def _convolution(node: NodeProto) -> str:
    """The name of a convolution in the weights; empty for any other node."""
    return node.input[1].removesuffix(".weight") if node.op_type == "Conv" else ""


def _compile(model: ModelProto) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Compiles a model with ONNX Runtime, which computes pairs of QuantizeLinear and DequantizeLinear exactly."""
    from .engines.onnx_engines import runtime  # which imports this module

    session = runtime().InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda photo: session.run(None, {"image": photo})
