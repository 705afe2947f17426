"""The ONNX graph against Paddle's Cartoonizer."""

import dataclasses

import numpy as np
import onnx
import onnxruntime
import paddle
import pytest

from ppcartoon import InputError, graph, networks
from ppcartoon.networks import Cartoonizer, Statistics
from ppcartoon.weights import ENCODERS, Weights, load_style

NETWORKS = {
    "D": {
        "encoder": {"name": "CartoonLossDiscriminator", "channels": 8},
        "generator": {"in_channels": 32, "channels": 6},
    },
    "n-layer": {  # where in_channels = 4 channels the first inverted residual adds its input, too
        "encoder": {"name": "CartoonLossNLayerDiscriminator", "channels": 8},
        "generator": {"in_channels": 16, "channels": 4},
    },
}


def run(weights, mode, **inputs):
    model = graph.build(weights, mode)
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, inputs)


@pytest.fixture(params=NETWORKS)
def pair(request):
    """A Cartoonizer and its weights, scaled so that signals neither vanish nor saturate."""
    paddle.seed(1)
    network = NETWORKS[request.param]
    net = Cartoonizer(**network)
    for value in net.parameters():
        value.set_value(paddle.randn(value.shape) * (1 / np.prod(value.shape[1:]) ** 0.5 if value.ndim == 4 else 0.5))
    tensors = {name: value.numpy() for name, value in net.state_dict().items()}
    return net, Weights(tensors, network, "test", "", "", "")


def image(n=2, height=36, width=20):
    return np.random.default_rng(0).uniform(-1, 1, (n, 3, height, width)).astype(np.float32)


@paddle.no_grad()
def test_agrees_with_paddle(pair):
    net, weights = pair
    wanted = net(paddle.to_tensor(image())).numpy()
    assert wanted.std() > 0.05
    (cartoon,) = run(weights, "own", image=image())
    np.testing.assert_allclose(cartoon, wanted, atol=1e-4)


@paddle.no_grad()
def test_statistics_agree_with_paddle_and_can_be_given(pair):
    net, weights = pair
    statistics = Statistics()
    wanted = net(paddle.to_tensor(image()), statistics).numpy()
    cartoon, measured = run(weights, "measured", image=image())
    np.testing.assert_allclose(cartoon, wanted, atol=1e-4)
    np.testing.assert_allclose(measured, statistics.measured().numpy(), rtol=1e-3, atol=1e-4)
    (same,) = run(weights, "given", image=image(), statistics=measured)
    np.testing.assert_allclose(same, wanted, atol=1e-4)
    (shared,) = run(weights, "given", image=image(), statistics=measured[:1])
    np.testing.assert_allclose(shared, net(paddle.to_tensor(image()), Statistics(statistics.measured()[:1])), atol=1e-4)


@paddle.no_grad()
def test_statistics_of_large_images_are_exact(tiny_weights):
    """16 million values: a plain float32 sum over them is per mille to percents off."""
    x = np.random.default_rng(0).random((1, 16, 1024, 1024), np.float32)
    mean, variance = x.mean(dtype=np.float64), x.var(dtype=np.float64)
    statistics = Statistics()
    statistics.of(paddle.to_tensor(x))
    np.testing.assert_allclose(statistics.measured().numpy()[0, 0], [mean, variance], rtol=1e-5)
    g = graph._Graph(tiny_weights, given=False)
    names = g._measure("x")
    values = [graph._value("x", *x.shape)], [graph._value(name, 1, 1, 1, 1) for name in names]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(g.nodes, "measure", *values, list(g.initializers.values())),
        opset_imports=[onnx.helper.make_opsetid("", graph.OPSET)],
        ir_version=8,
    )
    measured = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(np.ravel(measured), [mean, variance], rtol=1e-5)


@paddle.no_grad()
def test_shipped_style_agrees_with_paddle():
    weights = load_style("peppercarrot")
    net = Cartoonizer(**weights.network)
    net.set_state_dict(weights.tensors)
    (cartoon,) = run(weights, "own", image=image(1, 64, 96))
    np.testing.assert_allclose(cartoon, net(paddle.to_tensor(image(1, 64, 96))).numpy(), atol=1e-4)


def test_the_encoders_are_the_same_everywhere():
    assert set(graph.ENCODERS) == set(networks.ENCODERS) == set(ENCODERS)


def test_names_who_made_the_style(tiny_weights):
    properties = {p.key: p.value for p in graph.build(tiny_weights).metadata_props}
    assert properties == {"style": "tiny", "attribution": "nobody", "licence": "CC0"}


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t.pop("generator.out.weight"), "generator.out.weight: missing"),
        (
            lambda t: t.update({"encoder.5.bias": np.zeros(3, np.float32)}),
            r"encoder.5.bias: \[3\], the network wants \[8\]",
        ),
        (lambda t: t.update(stranger=np.zeros(3, np.float32)), "does not have these tensors: .'stranger'"),
    ],
)
def test_refuses_tensors_that_are_not_the_network_s(tiny_weights, change, message):
    tensors = dict(tiny_weights.tensors)
    change(tensors)
    with pytest.raises(InputError, match=message):
        graph.build(dataclasses.replace(tiny_weights, tensors=tensors))
