"""The losses against closed forms and an independent implementation in PyTorch."""

import math
import os
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle import nn

from ppcartoon import ppgan_compat  # noqa: F401  compat before ppgan, which it makes importable
from ppcartoon.models import losses
from tests.helpers.samples import FIXTURES

# isort: split
from ppgan.models.animeganv2_model import AnimeGANV2Model

from ppcartoon.models.networks import Discriminator, Generator

BLACK, WHITE, RED, GREEN, BLUE = (-1, -1, -1), (1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)
ORACLE = os.environ.get("PPCARTOON_ORACLE")
ARCHIVES = [FIXTURES / "losses.npz"] + ([Path(ORACLE) / "golden.npz"] if ORACLE else [])
GAN_MODES = ("vanilla", "lsgan")
CASES = {  # name in losses.npz: inputs, options
    **{f"discriminator_loss.{m}": (["real", "fake", "smooth"], {"omega": 0.3, "mode": m}) for m in GAN_MODES},
    **{f"initial_discriminator_loss.{m}": (["real", "fake"], {"mode": m}) for m in GAN_MODES},
    **{f"adversarial_loss.{m}": (["fake"], {"mode": m}) for m in GAN_MODES},
    "content_loss": (["f_fake", "f_photo"], {}),
    "gray_style_loss": (["f_fake", "f_photo"], {}),
    **{f"color_style_loss.{delta}": (["output", "cartoon"], {"delta": delta}) for delta in (0.1, 1.0)},
}


def tensor(values, dtype="float32"):
    return paddle.to_tensor(np.asarray(values), dtype)


def image(color, dtype="float32"):
    return tensor(np.broadcast_to(np.reshape(color, (1, 3, 1, 1)), (2, 3, 4, 5)), dtype)


def numbers(terms):
    return {name: float(value) for name, value in terms.items()}


def relative(a, b):
    return np.linalg.norm(np.asarray(a) - b) / np.linalg.norm(b)


def test_discriminator_loss_is_eq_1():
    real, fake, smooth = (tensor([[math.log(odds)], [0.0]]) for odds in (3, 4, 7))  # sigmoids 3/4, 4/5, 7/8, and 1/2
    terms = numbers(losses.discriminator_loss(real, fake, smooth, omega=0.3))
    wanted = {
        "d_real": -(math.log(3 / 4) + math.log(1 / 2)) / 2,
        "d_fake": -(math.log(1 / 5) + math.log(1 / 2)) / 2,
        "d_smooth": -0.3 * (math.log(1 / 8) + math.log(1 / 2)) / 2,
    }
    assert terms == pytest.approx({"d_loss": sum(wanted.values()), **wanted}, rel=1e-6)


def test_discriminator_loss_with_lsgan_is_squared_distance_to_1_and_0():
    terms = numbers(losses.discriminator_loss(tensor([3.0, 1.0]), tensor([3.0, 1.0]), tensor([2.0]), 0.5, "lsgan"))
    assert terms == pytest.approx({"d_loss": 9.0, "d_real": 2.0, "d_fake": 5.0, "d_smooth": 2.0})


def test_edge_term_has_weight_a_tenth_by_default_and_is_absent_without_smoothed_cartoons():
    logits = tensor([0.0])
    assert float(losses.discriminator_loss(logits, logits, logits)["d_smooth"]) == pytest.approx(0.1 * math.log(2))
    without = numbers(losses.discriminator_loss(logits, logits))
    assert without == pytest.approx({"d_loss": 2 * math.log(2), "d_real": math.log(2), "d_fake": math.log(2)})


@pytest.mark.parametrize(
    "mode, real, fake", [("vanilla", math.log(4 / 3), math.log(5)), ("lsgan", (math.log(3) - 1) ** 2, math.log(4) ** 2)]
)
def test_initial_discriminator_loss_is_eq_6(mode, real, fake):
    terms = losses.initial_discriminator_loss(tensor([math.log(3)]), tensor([math.log(4)]), mode)
    assert numbers(terms) == pytest.approx({"d_loss": real + fake, "d_real": real, "d_fake": fake}, rel=1e-6)


def test_animegan_discriminator_loss_adds_gray_cartoons():
    real, fake, gray, smooth = (tensor([math.log(odds)]) for odds in (3, 4, 1, 7))  # sigmoids 3/4, 4/5, 1/2 and 7/8
    terms = numbers(losses.animegan_discriminator_loss(real, fake, gray, smooth, omega=0.3))
    wanted = {
        "d_real": -math.log(3 / 4), "d_fake": -math.log(1 / 5),
        "d_gray": -math.log(1 / 2), "d_smooth": -0.3 * math.log(1 / 8),
    }  # fmt: skip
    assert terms == pytest.approx({"d_loss": sum(wanted.values()), **wanted}, rel=1e-6)


def test_animegan_discriminator_loss_with_lsgan_and_without_smoothed_cartoons():
    real, fake, gray = tensor([3.0]), tensor([2.0, 0.0]), tensor([5.0])
    terms = numbers(losses.animegan_discriminator_loss(real, fake, gray, mode="lsgan"))
    assert terms == pytest.approx({"d_loss": 31.0, "d_real": 4.0, "d_fake": 2.0, "d_gray": 25.0})


def test_adversarial_loss_decreases_with_the_logits():
    assert float(losses.adversarial_loss(tensor([math.log(3), 0.0]))) == pytest.approx(math.log(8 / 3) / 2, rel=1e-6)
    assert float(losses.adversarial_loss(tensor([3.0, 1.0]), "lsgan")) == pytest.approx(2)


def test_saturating_adversarial_loss_is_g_s_side_of_eq_1_as_written():
    fake = tensor([math.log(1 / 3), 0.0, -200.0, 200.0])  # D: 1/4, 1/2, nearly 0, nearly 1
    fake.stop_gradient = False
    loss = losses.adversarial_loss(fake, "saturating")
    loss.backward()
    assert float(loss) == pytest.approx((math.log(3 / 4) + math.log(1 / 2) - 200) / 4)
    np.testing.assert_allclose(fake.grad.numpy(), [-1 / 16, -1 / 8, 0, -1 / 4], rtol=1e-6)  # -D, over four logits
    terms = (losses.discriminator_loss(fake, fake, fake, mode=mode)["d_loss"] for mode in ("vanilla", "saturating"))
    assert len(set(map(float, terms))) == 1


def test_content_loss_is_the_mean_absolute_distance():
    f = np.zeros((2, 3, 4, 5), np.float32)
    f[0, 1], f[1, 2] = 6, -3
    assert float(losses.content_loss(tensor(f), tensor(np.zeros_like(f)))) == pytest.approx((6 + 3) / 6)


def test_gram_of_constant_channels_is_their_outer_product_over_their_number():
    v = np.array([[1.0, 2.0], [3.0, -1.0]])
    f = np.broadcast_to(v[..., None, None], (2, 2, 3, 5))
    np.testing.assert_allclose(losses.gram(tensor(f)), [np.outer(a, a) / 2 for a in v], rtol=1e-6)


def test_gray_style_loss_is_the_mean_distance_of_gram_matrices():
    f = np.broadcast_to(np.reshape([1.0, 2.0], (1, 2, 1, 1)), (1, 2, 3, 5))
    assert float(losses.gray_style_loss(tensor(f), tensor(0 * f))) == pytest.approx((1 + 2 + 2 + 4) / 2 / 4)
    mirrored = f * np.array([1.0, -1.0]).reshape(1, 2, 1, 1)  # the mixed products change their sign
    assert float(losses.gray_style_loss(tensor(f), tensor(mirrored))) == pytest.approx((4 + 4) / 2 / 4)


def test_gray_style_loss_ignores_positions():
    f = np.random.default_rng(0).standard_normal((1, 3, 4, 4))
    assert float(losses.gray_style_loss(tensor(f), tensor(f[..., ::-1, ::-1].copy()))) < 1e-6


def test_animegan_style_loss_of_constant_features_is_the_distance_of_their_products():
    f, g = image((1.0, 2.0, 0.0)), image((1.0, 1.0, 1.0))  # the images serve as features
    products = np.outer([1, 2, 0], [1, 2, 0]) - 1
    assert float(losses.animegan_style_loss(f, g)) == pytest.approx(np.abs(products).mean() / 3, rel=1e-6)


@pytest.mark.parametrize("color, luma", [(WHITE, 1), (BLACK, -1), (RED, -0.402), (GREEN, 0.174), (BLUE, -0.772)])
def test_gray_is_luma_in_three_channels(color, luma):
    np.testing.assert_allclose(losses.gray(image(color)), np.full((2, 3, 4, 5), luma), atol=1e-6)


def test_yuv_of_primary_colors():
    table = {BLACK: (0, 0, 0), WHITE: (1, 0, 0), RED: (0.299, -0.14714, 0.61498), BLUE: (0.114, 0.43601, -0.10001)}
    for color, wanted in {**table, GREEN: (0.587, -0.28887, -0.51497)}.items():
        np.testing.assert_allclose(losses.yuv(image(color))[1, :, 2, 3], wanted, atol=1e-5)


def test_color_style_loss_of_grays_is_their_distance_in_luma():
    assert float(losses.color_style_loss(image(WHITE), image(BLACK))) == pytest.approx(1, rel=1e-6)
    assert float(losses.color_style_loss(image((0, 0, 0)), image(WHITE))) == pytest.approx(0.5, rel=1e-6)


def test_color_style_loss_is_quadratic_below_delta_and_linear_above():
    y, u, v = 0.299, 0.14714119, 0.61497538  # what red has and black has not
    red = {d: float(losses.color_style_loss(image(RED), image(BLACK), d)) for d in (0.1, 0.3, 1.0)}
    assert red[1.0] == float(losses.color_style_loss(image(RED), image(BLACK)))
    assert red[1.0] == pytest.approx(y + u * u / 2 + v * v / 2, rel=1e-5)
    assert red[0.3] == pytest.approx(y + u * u / 2 + 0.3 * (v - 0.15), rel=1e-5)
    assert red[0.1] == pytest.approx(y + 0.1 * (u - 0.05) + 0.1 * (v - 0.05), rel=1e-5)


def test_color_style_loss_with_unit_slope_is_the_l1_distance_beyond_delta():
    y, u, v = 0.299, 0.14714119, 0.61497538
    unit = float(losses.color_style_loss(image(RED), image(BLACK), 0.02, "unit"))
    assert unit == pytest.approx(y + (u - 0.01) + (v - 0.01), rel=1e-5)
    assert losses.color_style_loss(image(RED), image(BLACK), 1.0, "unit") == losses.color_style_loss(
        image(RED), image(BLACK)
    )


def test_photo_negative_loss_is_the_loss_of_another_fake():
    logits = tensor([[math.log(3)], [0.0]])
    assert float(losses.photo_negative_loss(logits)) == pytest.approx((math.log(4) + math.log(2)) / 2, rel=1e-6)
    assert float(losses.photo_negative_loss(tensor([3.0, 1.0]), "lsgan")) == pytest.approx(5)


def test_chroma_loss_is_the_sum_of_the_distances_in_u_and_v_and_ignores_luma():
    assert float(losses.chroma_loss(image(RED), image(BLACK))) == pytest.approx(0.14714119 + 0.61497538, rel=1e-5)
    assert float(losses.chroma_loss(image(WHITE), image(BLACK))) == pytest.approx(0, abs=1e-6)


def test_luma_loss_compares_means_of_squares():
    lines = np.ones((1, 3, 32, 40), np.float32)
    lines[..., ::2] = -1
    assert float(losses.luma_loss(tensor(lines), tensor(0 * lines))) == pytest.approx(0, abs=1e-6)
    lines[..., :16, :16] = 1  # one of four whole squares: half of it becomes brighter
    assert float(losses.luma_loss(tensor(lines), tensor(0 * lines))) == pytest.approx(0.5 / 4, rel=1e-5)


def test_color_head_loss_compares_with_pooled_u_and_v():
    red = tensor(np.broadcast_to(np.reshape(RED, (1, 3, 1, 1)), (1, 3, 8, 8)))
    exact = tensor(np.broadcast_to(np.reshape([-0.14714119, 0.61497538], (1, 2, 1, 1)), (1, 2, 2, 2)))
    assert float(losses.color_head_loss(exact, red)) == pytest.approx(0, abs=1e-6)
    assert float(losses.color_head_loss(exact + tensor([0.25]), red)) == pytest.approx(0.5, rel=1e-5)


def test_animegan_color_loss_of_a_red_cartoon_of_a_black_photo():
    y, u, v = 0.299, 0.14714119, 0.61497538
    wanted = y + u * u / 2 + v * v / 2
    assert float(losses.animegan_color_loss(image(RED), image(BLACK))) == pytest.approx(wanted, rel=1e-5)
    assert float(losses.animegan_color_loss(image(RED), image(BLACK), 0.3)) < wanted
    assert float(losses.animegan_color_loss(image(RED), image(RED))) == 0


def test_animegan_losses_equal_ppgan_s():
    theirs = AnimeGANV2Model.__new__(AnimeGANV2Model)
    theirs.criterionL1, theirs.criterionHub = nn.L1Loss(), nn.SmoothL1Loss()
    fake, photo = (tensor(np.random.default_rng(i).uniform(-1, 1, (2, 3, 8, 6))) for i in (0, 1))
    wanted = float(theirs.color_loss(photo, fake))
    assert float(losses.animegan_color_loss(fake, photo)) == pytest.approx(wanted, rel=1e-5)
    wanted = float(theirs.style_loss(losses.gray(photo), fake))
    assert float(losses.animegan_style_loss(fake, losses.gray(photo))) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("sign", [-1, 1])
def test_large_logits_give_finite_losses_and_gradients(sign):
    logits = tensor([sign * 1e4])
    logits.stop_gradient = False
    terms = losses.discriminator_loss(logits, logits, logits, omega=1.0)
    assert float(terms["d_loss"]) == pytest.approx(2e4 if sign > 0 else 1e4)
    (terms["d_loss"] + losses.adversarial_loss(logits)).backward()
    assert float(logits.grad.sum()) == pytest.approx(2 * sign)


def test_half_precision_is_computed_in_float32():
    def half(value):
        return tensor(np.full((1, 2, 4, 4), value), "float16")

    results = {  # every exact value is above 65504, the largest float16
        90_000.0: losses.adversarial_loss(half(301), "lsgan"),
        120_000.0: losses.content_loss(half(60_000), half(-60_000)),
        2e8: losses.gray_style_loss(half(20_000), half(0)),
        16e4: losses.discriminator_loss(half(1), half(400), mode="lsgan")["d_loss"],
    }
    for wanted, result in results.items():
        assert result.dtype == paddle.float32
        assert float(result) == pytest.approx(wanted, rel=1e-6)
    red, black = image(RED, "float16"), image(BLACK, "float16")
    assert losses.gray(red).dtype == losses.yuv(red).dtype == paddle.float32
    assert float(losses.color_style_loss(red, black)) == float(losses.color_style_loss(image(RED), image(BLACK)))


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_equal_the_independent_implementation(case):
    table = load(FIXTURES / "losses.npz")
    names, options = CASES[case]
    inputs = [paddle.to_tensor(table[name], stop_gradient=False) for name in names]
    result = getattr(losses, case.split(".")[0])(*inputs, **options)
    total = result["d_loss"] if isinstance(result, dict) else result
    total.backward()
    assert float(total) == pytest.approx(float(table[case]), rel=1e-5)
    for name, value in zip(names, inputs):
        assert relative(value.grad, table[f"{case}.grad.{name}"]) < 1e-4, name


@paddle.no_grad()
@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.stem)
def test_transforms_and_colors_equal_the_independent_implementation(path):
    table = load(path)
    assert relative(losses.gray(tensor(table["photo"])), table["out.gray"]) < 1e-4
    assert relative(losses.yuv(tensor(table["photo"])), table["out.yuv"]) < 1e-4
    assert relative(losses.gram(tensor(table["out.encoder"])), table["out.gram"]) < 1e-4
    output, cartoon = reconstruction(table), tensor(table["cartoon"])
    for delta in (0.1, 1.0):
        color = float(losses.color_style_loss(output, cartoon, delta))
        assert color == pytest.approx(float(table[f"color.delta{delta}"]), rel=1e-4)


def load(path):
    with np.load(path) as archive:
        return dict(archive)


def reconstruction(table):
    """c_g = G(E(c)), from the archive or computed with the archive's networks."""
    if "output" in table:
        return tensor(table["output"])
    netD, netG = Discriminator(8), Generator(32, 16)
    for name, net in {"netD.": netD, "netG.": netG}.items():
        net.set_state_dict({key.removeprefix(name): table[key] for key in table if key.startswith(name)})
        net.eval()
    return netG(netD.encoder(tensor(table["cartoon"])))
