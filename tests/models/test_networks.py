"""The networks against an independent implementation, the paper's table, and each other."""

import numpy as np
import paddle
import pytest

from ppcartoon import weights
from ppcartoon.models.networks import Cartoonizer, Discriminator, Generator, NLayerDiscriminator, Statistics, encoder
from tests.helpers.samples import archives
from tests.helpers.tiny import relative


def load(net, table, prefix):
    state = {k.removeprefix(prefix): table[k] for k in table if k.startswith(prefix)}
    missing, unexpected = net.set_state_dict(state)
    assert not missing and not unexpected
    net.eval()
    return net


def arrays(net):
    return {name: value.numpy() for name, value in net.state_dict().items()}


@pytest.fixture(params=archives(), ids=lambda path: path.stem)
def table(request):
    with np.load(request.param) as archive:
        return dict(archive)


@pytest.fixture
def nets(table):
    c, z, out = (
        table[k].shape for k in ("netD.encoder.0.weight_orig", "netD.encoder.7.weight_orig", "netG.out.weight")
    )
    return load(Discriminator(c[0]), table, "netD."), load(Generator(z[0], 2 * out[1]), table, "netG.")


@paddle.no_grad()
def test_outputs_equal_the_independent_implementation(table, nets):
    netD, netG = nets
    photo = paddle.to_tensor(table["image"] if "image" in table else table["photo"])
    z = netD.encoder(photo)
    assert relative(z, table["out.encoder"]) < 1e-4
    assert relative(netD(photo), table["out.logits"]) < 1e-4
    assert relative(netG(z), table["out.fake"]) < 1e-4


@paddle.no_grad()
def test_folded_cartoonizer_equals_the_networks(table, nets):
    netD, netG = nets
    image = paddle.to_tensor(table["image"] if "image" in table else table["photo"])
    channels, z = netD.encoder[0].weight_orig.shape[0], netD.encoder[7].weight_orig.shape[0]
    network = {"name": "CartoonLossDiscriminator", "channels": channels}
    folded = Cartoonizer(network, {"in_channels": z, "channels": 2 * netG.out.weight.shape[1]})
    missing, unexpected = folded.set_state_dict(weights.fold(arrays(netD), arrays(netG)))
    assert not missing and not unexpected
    assert relative(folded(image), netG(netD.encoder(image))) < 1e-5


def conv(cin, cout, k=3):
    return cin * cout * k * k


def norm(*channels):
    return sum(2 * c for c in channels)


def inverted_residual(cin, cout):
    return conv(cin, 2 * cin, 1) + conv(2 * cin, 2 * cin) + conv(2 * cin, cout, 1) + norm(2 * cin, 2 * cin, cout)


def count(layer):
    return sum(int(np.prod(p.shape)) for p in layer.parameters())


def test_parameter_counts_equal_those_of_the_design():
    netD, netG = Discriminator(), Generator()
    E = conv(3, 32) + conv(32, 64) + conv(64, 128) + norm(128) + conv(128, 128)
    classifier = conv(128, 256) + norm(256) + conv(256, 256) + norm(256) + conv(256, 1)
    body = inverted_residual(128, 256) + 3 * inverted_residual(256, 256) + conv(256, 128) + norm(128)
    up1 = conv(128, 128) + norm(128) + conv(128, 128) + norm(128)
    up2 = conv(128, 64) + norm(64) + conv(64, 64) + norm(64) + conv(64, 32, 7) + norm(32)
    assert count(netD.encoder) == E == 240_736
    assert count(netD.classifier) == classifier == 888_064
    assert count(netG) == body + up1 + up2 + conv(32, 3, 1) == 9_363_616


def test_depthwise_separable_convolutions_have_the_parameters_of_one_channel_and_of_one_pixel():
    saved = 9 * 256 * 255 + 3 * (9 * 512 * 511)  # in the inverted residuals
    for cin, cout in ((256, 128), (128, 128), (128, 128), (128, 64), (64, 64)):
        saved += 9 * cin * cout - (9 * cin + cin * cout)
    assert count(Generator()) - count(Generator(depthwise=True)) == saved


@pytest.mark.parametrize("discriminator", [Discriminator, NLayerDiscriminator])
def test_initial_weights_have_the_paper_s_distribution(discriminator):
    paddle.seed(0)
    net = discriminator()
    for name, value in net.named_parameters():
        if name.endswith("weight_orig") and np.prod(value.shape) > 10_000:
            assert abs(float(value.std()) - 0.02) < 0.002, name
            assert abs(float(value.mean())) < 0.002, name


@pytest.mark.parametrize("discriminator", [Discriminator, NLayerDiscriminator])
def test_sigma_of_a_new_network_is_the_largest_singular_value(discriminator):
    paddle.seed(0)
    state = arrays(discriminator(8))
    names = [n.removesuffix("_orig") for n in state if n.endswith("_orig")]
    assert len(names) >= 5
    for name in names:
        w = state[f"{name}_orig"].reshape(len(state[f"{name}_u"]), -1)
        sigma = state[f"{name}_u"] @ w @ state[f"{name}_v"]
        assert sigma == pytest.approx(np.linalg.svd(w, compute_uv=False)[0], rel=0.1)


@paddle.no_grad()
def test_eval_mode_does_not_change_the_discriminator():
    net = Discriminator(4)
    net.eval()
    before = arrays(net)
    net(paddle.randn([1, 3, 16, 16]))
    assert all((before[name] == value).all() for name, value in arrays(net).items())


@paddle.no_grad()
def test_n_layer_discriminator_has_cyclegan_s_shapes_and_parameters():
    net = NLayerDiscriminator()
    assert net.encoder(paddle.zeros([1, 3, 64, 48])).shape == [1, 128, 16, 12]
    assert net(paddle.zeros([1, 3, 256, 256])).shape == [1, 1, 30, 30]
    convs = conv(3, 64, 4) + conv(64, 128, 4) + conv(128, 256, 4) + conv(256, 512, 4) + conv(512, 1, 4)
    assert count(net) == convs + norm(128, 256, 512)


@paddle.no_grad()
@pytest.mark.parametrize("name, z", [("CartoonLossDiscriminator", 16), ("CartoonLossNLayerDiscriminator", 8)])
def test_measured_statistics_can_be_given_and_blended(name, z):
    paddle.seed(0)
    net = Cartoonizer({"name": name, "channels": 4}, {"in_channels": z, "channels": 4})
    for value in net.parameters():  # otherwise all statistics are nearly equal
        value.set_value(paddle.randn(value.shape) * 0.3)
    image = paddle.rand([2, 3, 16, 24])
    plain = net(image)
    measured = Statistics()
    assert relative(net(image, measured), plain) < 1e-5
    table = measured.used()
    assert table.shape == [2, 19, 2]
    assert relative(net(image, Statistics(table)), plain) < 1e-5
    first = net(image, Statistics(table[:1]))
    assert relative(first[0], plain[0]) < 1e-5
    assert relative(first[1], plain[1]) > 1e-3
    assert relative(net(image, Statistics(table[:1], share=1.0)), plain) < 1e-5
    third = Statistics(table[:1], share=1 / 3)
    assert relative(net(image, third)[0], plain[0]) < 1e-5
    assert relative(third.used()[1, 0], table[1, 0] / 3 + table[0, 0] * 2 / 3) < 1e-5


@paddle.no_grad()
def test_measured_statistics_are_mean_and_variance_of_the_layer_norm_s_input():
    paddle.seed(0)
    net = encoder(4)
    net.eval()
    image = paddle.rand([1, 3, 16, 16])
    x = image
    for layer in net[:5]:
        x = layer(x)
    statistics = Statistics()
    net(image, statistics)
    np.testing.assert_allclose(statistics.used().numpy()[0, 0], [x.numpy().mean(), x.numpy().var()], rtol=1e-4)
