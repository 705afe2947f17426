"""Computed costs against formulas, and the memory of a step against that of a process."""

import subprocess
import sys
from pathlib import Path

import paddle
import pytest
from paddle import nn

from benchmarks import compositions
from ppcartoon.models import cost, networks
from ppcartoon.models.cartoonlossgan import CartoonLossGANModel

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
G, D = {"name": "CartoonLossGenerator", "in_channels": 8, "channels": 4}, {"name": "CartoonLossDiscriminator"}


def model(**options):
    return CartoonLossGANModel(G, {**D, "channels": 2}, vgg_layer="conv2_1", vgg_path="random", **options)


def discriminator_flops(c, pixels):
    e = 9 * (3 * c + 2 * c * c / 4 + 8 * c * c / 4 + 16 * c * c / 16)
    return 2 * pixels * (e + 9 * (4 * c * 8 * c + 8 * c * 8 * c + 8 * c) / 16)


def generator_flops(z, c, pixels):
    def residual(cin, cout):
        return cin * 2 * cin + 9 * (2 * cin) ** 2 + 2 * cin * cout

    quarter = residual(z, 4 * c) + 3 * residual(4 * c, 4 * c) + 9 * 4 * c * 2 * c
    half = 2 * 9 * (2 * c) ** 2
    full = 9 * 2 * c * c + 9 * c * c + 49 * c * c / 2 + 3 * c / 2
    return 2 * pixels * (quarter / 16 + half / 4 + full)


def test_cost_of_a_convolution():
    counted = cost.forward_cost(nn.Conv2D(6, 8, 3, stride=2, padding=1, groups=2), paddle.zeros([2, 6, 16, 20]))
    assert counted.flops == counted.first == 2 * (2 * 8 * 8 * 10) * (3 * 9)
    assert counted.kept == 4 * 2 * 6 * 16 * 20
    assert counted.output.shape == [2, 8, 8, 10]


def test_activation_that_two_layers_keep_is_counted_once():
    net = nn.Sequential(nn.Conv2D(3, 4, 1), nn.ReLU(), nn.Conv2D(4, 5, 1), networks.LayerNorm(5), networks.lrelu())
    kept = cost.forward_cost(net, paddle.zeros([1, 3, 8, 8])).kept
    assert kept == 4 * 64 * (3 + 4 + 5 + 5)  # the image, ReLU's output, LN's input and its output


@pytest.mark.parametrize("c", [2, 8])
def test_cost_of_the_networks(c):
    image = paddle.zeros([1, 3, 32, 64])
    netD = networks.Discriminator(c)
    assert cost.forward_cost(netD, image).flops == discriminator_flops(c, 32 * 64)
    z = cost.forward_cost(netD.encoder, image).output
    netG = networks.Generator(4 * c, 2 * c)
    counted = cost.forward_cost(netG, z)
    assert counted.flops == generator_flops(4 * c, 2 * c, 32 * 64)
    assert counted.first == 2 * (4 * c * 8 * c) * 8 * 16


def test_counting_does_not_change_the_model():
    paper_model = model()
    netD = paper_model.nets["netD"].train()
    before = {name: value.numpy() for name, value in netD.state_dict().items()}
    cost.step_cost(paper_model, 1, 64)
    assert all((value.numpy() == before[name]).all() for name, value in netD.state_dict().items())
    assert all(layer.training for layer in netD.sublayers(True))
    assert not any(layer._forward_post_hooks for layer in netD.sublayers(True))


def test_cost_of_a_step_equals_the_formula():
    pixels, paper_model = 32 * 32, model()
    e, g, d, vgg = (part.flops * pixels / cost.SIDE**2 for part in cost.forwards(paper_model))
    first_g, first_d = 2 * 8 * 16 * pixels / 16, 2 * 27 * 2 * pixels
    assert (g, d) == (generator_flops(8, 4, pixels), discriminator_flops(2, pixels))
    once = 2 * e + 2 * (3 * g - first_g) + 3 * (3 * d - first_d) + 2 * d + 2 * vgg + 2 * 2 * vgg
    assert cost.step_cost(paper_model, 4, 32).flops == 4 * once


def test_costs_grow_with_batch_size_and_area():
    paper_model = model()
    one, two, three, large = (cost.step_cost(paper_model, *of) for of in ((1, 64), (2, 64), (3, 64), (1, 128)))
    assert (two.flops, three.flops, large.flops) == (2 * one.flops, 3 * one.flops, 4 * one.flops)
    assert three.bytes - two.bytes == pytest.approx(two.bytes - one.bytes)
    assert large.bytes - one.bytes == pytest.approx(3 * (two.bytes - one.bytes))


def test_losses_that_are_off_cost_nothing():
    full = model()
    e, g, d, vgg = cost.forwards(full)

    def saved(**options):
        return cost.step_cost(full, 1, cost.SIDE).flops - cost.step_cost(model(**options), 1, cost.SIDE).flops

    assert saved(adv_weight=0) == 2 * d.flops
    assert saved(edge_weight=0) == 3 * d.flops - d.first
    assert saved(color_weight=0) == e.flops + 3 * g.flops - g.first
    assert saved(content_weight=0) == saved(gray_weight=0) == 3 * vgg.flops
    assert saved(content_weight=0, gray_weight=0) == 6 * vgg.flops
    assert saved(tv_weight=0) == 0


def test_costs_of_animegan_s_losses():
    full = model()
    e, g, d, vgg = cost.forwards(full)

    def saved(**options):
        return cost.step_cost(full, 1, cost.SIDE).flops - cost.step_cost(model(**options), 1, cost.SIDE).flops

    assert saved(adv_loss="animegan") == d.first - 3 * d.flops  # D also gets gray cartoons
    assert saved(style_loss="animegan") == 2 * vgg.flops  # one image for both losses of features
    assert saved(style_loss="animegan", content_weight=0) == saved(content_weight=0)
    assert saved(color_loss="animegan") == saved(color_weight=0) == e.flops + 3 * g.flops - g.first


def test_costs_of_what_goes_beyond_the_paper():
    full = model()
    d = cost.forwards(full)[2]

    def added(size=cost.SIDE, **options):
        more, less = cost.step_cost(model(**options), 2, size), cost.step_cost(full, 2, size)
        return more.flops - less.flops, more.bytes - less.bytes

    once = 3 * d.flops - d.first
    parameters = {name: 4 * sum(p.size for p in net.parameters()) for name, net in full.nets.items()}
    encoder = 4 * sum(p.size for p in full.nets["netD"].encoder.parameters())
    assert added(photo_negatives=0.5)[0] == added(color_head=1.0)[0] == 2 * once
    assert added(d_steps=2) == (2 * 3 * once, 0)  # D's steps are one after the other
    assert added(d_steps=2, photo_negatives=0.5)[0] == 2 * (2 * 4 - 3) * once
    assert added(pool_size=5, size=32) == (0, 5 * 4 * 3 * 32 * 32)
    assert added(ema_decay=0.9) == (0, parameters["netG"] + encoder)
    assert added(encoder_ema_decay=0.9) == (0, encoder)
    assert added(diffaugment="color", match_tint=0.5, chroma_weight=1.0, luma_weight=1.0) == (0, 0)


def test_separate_encoder_of_g_costs_more():
    shared, own = (cost.step_cost(model(reuse_encoder=reuse), 1, cost.SIDE) for reuse in (True, False))
    assert own.flops > shared.flops
    assert own.bytes > shared.bytes


def test_reference_composition_costs_more():
    paper_model = model()
    _, _, d, vgg = cost.forwards(paper_model)
    more = compositions.reference_flops(paper_model, 1, cost.SIDE) - cost.step_cost(paper_model, 1, cost.SIDE).flops
    assert more == d.flops + 6 * vgg.flops - 2 * vgg.first


def test_memory_is_within_a_factor_of_two_of_a_process():
    code = """if True:
        import resource
        from ppcartoon.models import cost
        from benchmarks import compositions
        model = compositions.build(compositions.CartoonLossGANModel, 4, 128, 16, "conv4_4")
        nets = (*model.nets.values(), model.vgg)
        there = sum(4 * parameter.size for net in nets for parameter in net.parameters())
        with open("/proc/self/statm") as file:
            before = int(file.read().split()[1]) * resource.getpagesize()
        model.train_iter()
        with open("/proc/self/status") as file:  # getrusage would include the test's own process
            after = 1024 * next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
        print(after - before, cost.step_cost(model, 4, 128).bytes - there)
    """
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    measured, estimate = map(float, out.split())
    assert 0.5 < estimate / measured < 2
