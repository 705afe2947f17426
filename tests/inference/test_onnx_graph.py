"""The ONNX graphs agree with Paddle's Cartoonizer."""

import dataclasses

import numpy as np
import onnx
import onnxruntime
import paddle
import pytest

from ppcartoon import InputError
from ppcartoon.inference import onnx_graph, onnx_messages
from ppcartoon.models import networks
from ppcartoon.models.networks import Cartoonizer, Statistics
from ppcartoon.weights import ENCODERS, Weights, load_style

NETWORKS = {
    "D": {
        "encoder": {"name": "CartoonLossDiscriminator", "channels": 8},
        "generator": {"in_channels": 32, "channels": 6},
    },
    "n-layer": {  # with in_channels = 4 channels, the first inverted residual has a skip connection, too
        "encoder": {"name": "CartoonLossNLayerDiscriminator", "channels": 8},
        "generator": {"in_channels": 16, "channels": 4},
    },
    "depthwise": {
        "encoder": {"name": "CartoonLossDiscriminator", "channels": 8},
        "generator": {"in_channels": 32, "channels": 6, "depthwise": True},
    },
}


def run(model, **inputs):
    onnx.checker.check_model(onnx.load_from_string(model.SerializeToString()), full_check=True)
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
def test_the_graph_agrees_with_paddle(pair):
    net, weights = pair
    wanted = net(paddle.to_tensor(image())).numpy()
    assert wanted.std() > 0.05
    (cartoon,) = run(onnx_graph.build(weights), image=image())
    np.testing.assert_allclose(cartoon, wanted, atol=1e-4)


@paddle.no_grad()
def test_measured_statistics_agree_with_paddle(pair):
    net, weights = pair
    own = Statistics()
    wanted = net(paddle.to_tensor(image()), own).numpy()
    cartoon, measured = run(onnx_graph.build(weights, "measured"), image=image())
    np.testing.assert_allclose(cartoon, wanted, atol=1e-4)
    np.testing.assert_allclose(measured, own.used().numpy(), rtol=1e-3, atol=1e-4)


@paddle.no_grad()
@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
def test_blended_statistics_agree_with_paddle(pair, alpha):
    net, weights = pair
    own = Statistics()
    net(paddle.to_tensor(image()[:1]), own)
    mixed = Statistics(own.used(), alpha)
    wanted = net(paddle.to_tensor(image()), mixed).numpy()
    given = {"given": own.used().numpy(), "alpha": np.float32([alpha])}
    cartoon, used = run(onnx_graph.build(weights, "blended"), image=image(), **given)
    np.testing.assert_allclose(cartoon, wanted, atol=1e-4)
    np.testing.assert_allclose(used, np.broadcast_to(mixed.used().numpy(), used.shape), rtol=1e-3, atol=1e-4)


@paddle.no_grad()
def test_given_statistics_agree_with_paddle_and_none_are_measured(pair):
    net, weights = pair
    own = Statistics()
    net(paddle.to_tensor(image()[:1]), own)
    wanted = net(paddle.to_tensor(image()), Statistics(own.used())).numpy()
    model = onnx_graph.build(weights, "given")
    assert not {"ReduceMean", "ReduceL2"} & {node.op_type for node in model.graph.node}
    (cartoon,) = run(model, image=image(), given=own.used().numpy())
    np.testing.assert_allclose(cartoon, wanted, atol=1e-4)


@paddle.no_grad()
def test_folded_statistics_agree_with_paddle(pair):
    net, weights = pair
    own = Statistics()
    net(paddle.to_tensor(image()[:1]), own)
    wanted = net(paddle.to_tensor(image()), Statistics(own.used())).numpy()
    model = onnx_graph.with_fixed_stats(weights, own.used().numpy()[0])
    assert not {"ReduceMean", "Sqrt", "Mul"} & {node.op_type for node in model.graph.node}
    (cartoon,) = run(model, image=image())
    np.testing.assert_allclose(cartoon, wanted, atol=1e-4)


def test_pooled_statistics_are_those_of_all_images_without_borders(pair):
    """Of one image, close to its own; of two images, their joint mean and variance in the first LN."""
    _, weights = pair
    large = image(2, 258, 258)
    _, whole = run(onnx_graph.build(weights, "measured"), image=large[:, :, :256, :256])
    (each,) = run(onnx_graph.build(weights, "pooled"), image=large[:1])
    deviation = np.sqrt(whole[0, :, 1])
    assert (np.abs(each[0, :, 0] - whole[0, :, 0]) < 0.1 * deviation).all()
    np.testing.assert_allclose(each[0, :, 1], whole[0, :, 1], rtol=0.3)

    dark = np.concatenate([large[:1], large[1:] / 4 - 0.5])
    alone = [run(onnx_graph.build(weights, "pooled"), image=x[None])[0][0, 0] for x in dark]
    (joint,) = run(onnx_graph.build(weights, "pooled"), image=dark)
    (m0, v0), (m1, v1) = alone
    np.testing.assert_allclose(joint[0, 0], [(m0 + m1) / 2, (v0 + v1) / 2 + (m0 - m1) ** 2 / 4], rtol=1e-3)


@paddle.no_grad()
def test_statistics_of_large_images_are_exact(tiny_weights):
    """16 million values: one float32 sum over them is off by up to percents."""
    x = np.random.default_rng(0).random((1, 16, 1024, 1024), np.float32)
    mean, variance = x.mean(dtype=np.float64), x.var(dtype=np.float64)
    statistics = Statistics()
    statistics.of(paddle.to_tensor(x))
    np.testing.assert_allclose(statistics.used().numpy()[0, 0], [mean, variance], rtol=1e-5)
    g = onnx_graph.Nodes(tiny_weights)
    names = g.statistics("x")
    outputs = [onnx_messages.float_value(name, 1, 1, 1, 1) for name in names]
    model = onnx_graph._model(g, [onnx_messages.float_value("x", *x.shape)], outputs)
    measured = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(np.ravel(measured), [mean, variance], rtol=1e-5)


@paddle.no_grad()
def test_the_shipped_style_agrees_with_paddle():
    weights = load_style("peppercarrot")
    net = Cartoonizer(**weights.network)
    net.set_state_dict(weights.tensors)
    (cartoon,) = run(onnx_graph.build(weights), image=image(1, 64, 96))
    np.testing.assert_allclose(cartoon, net(paddle.to_tensor(image(1, 64, 96))).numpy(), atol=1e-4)


def test_graph_networks_and_weights_know_the_same_encoders():
    assert set(onnx_graph.ENCODERS) == set(networks.ENCODERS) == set(ENCODERS)


def test_metadata_has_the_attribution(tiny_weights):
    properties = {p.key: p.value for p in onnx_graph.build(tiny_weights).metadata_props}
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
def test_tensors_that_do_not_fit_the_network_are_refused(tiny_weights, change, message):
    tensors = dict(tiny_weights.tensors)
    change(tensors)
    with pytest.raises(InputError, match=message):
        onnx_graph.build(dataclasses.replace(tiny_weights, tensors=tensors))
