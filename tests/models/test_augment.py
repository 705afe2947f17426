"""Changes of color in a training batch, and losses that the paper does not have, against closed forms and PyTorch."""

import math
import os
from pathlib import Path

import numpy as np
import paddle
import pytest

from ppcartoon.models import augment, losses
from tests.helpers.samples import FIXTURES
from tests.helpers.tiny import relative

ORACLE = os.environ.get("PPCARTOON_ORACLE")
ARCHIVES = [FIXTURES / "training.npz"] + ([Path(ORACLE) / "golden_train.npz"] if ORACLE else [])
LOSSES = {  # name in the archive: the image that is compared with, the loss
    "color_loss.0.02": ("cartoon", lambda fake, cartoon: losses.color_style_loss(fake, cartoon, 0.02, "unit")),
    "chroma_loss": ("photo", losses.chroma_loss),
    "luma_loss": ("photo", losses.luma_loss),
}
UNCHANGED = {"shift": 0.0, "saturation": 1.0, "hue": 0.0, "cast_u": 0.0, "cast_v": 0.0, "contrast": 1.0}


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.stem)
def table(request):
    return {name: paddle.to_tensor(value) for name, value in np.load(request.param).items()}


def image(*rows):
    """An image [1, 3, len(rows), 1] with one color per row."""
    return paddle.to_tensor(np.float32(rows).T[None, :, :, None])


def draws(**values):
    return augment.ColorDraws(*(paddle.full([1, 1, 1, 1], x) for x in {**UNCHANGED, **values}.values()))


def test_cartoons_with_matched_tint_equal_the_independent_implementation(table):
    matched = augment.match_tint(table["photo"], table["cartoon"], table["smooth"], 0.85)
    for name, found in zip(("cartoon", "smooth"), matched):
        assert relative(found, table[f"retint.{name}"].numpy()) < 1e-4


def test_changed_colors_equal_the_independent_implementation_with_its_draws(table):
    given = augment.ColorDraws(*(table[f"jitter.{name}"] for name in augment.ColorDraws._fields))
    assert relative(augment.change_colors(table["photo"], given), table["jitter"].numpy()) < 1e-4


@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_gradients_equal_the_independent_implementation(table, name):
    other, loss = LOSSES[name]
    fake = paddle.to_tensor(table["fake"], stop_gradient=False)
    value = loss(fake, table[other])
    value.backward()
    if name in table:
        assert float(value) == pytest.approx(float(table[name]), rel=1e-4)
    assert relative(fake.grad, table[f"{name}.grad"].numpy()) < 1e-4


def test_tint_of_a_red_photo_makes_a_gray_cartoon_red_and_keeps_black():
    photo, gray = image((0.5, -0.5, -0.5)), image((0, 0, 0), (-1, -1, -1))
    cartoon, smooth = augment.match_tint(photo, gray, gray, 1.0)
    assert bool((cartoon == smooth).all())
    light = np.array([0.75, 0.25, 0.25]) ** augment.GAMMA
    gain = np.clip(light / light.mean(), 0.5, 2)
    wanted = (0.5**augment.GAMMA * gain) ** (1 / augment.GAMMA) * 2 - 1
    np.testing.assert_allclose(cartoon[0, :, 0, 0], wanted, atol=0.03)  # black is not quite black in linear light
    assert float(cartoon[0, :, 1, 0].max()) < -0.9


def test_tint_of_strength_zero_changes_nothing():
    cartoon = image((0.1, -0.4, 0.9))
    same, _ = augment.match_tint(image((0.5, -0.5, -0.5)), cartoon, cartoon, 0.0)
    np.testing.assert_allclose(same, cartoon, atol=1e-6)


@pytest.mark.parametrize(
    "values, wanted",
    [
        ({}, [(0.8, -0.4, 0.2), (-0.6, 0.0, 0.3)]),
        ({"shift": 0.1}, [(0.9, -0.3, 0.3), (-0.5, 0.1, 0.4)]),
        ({"saturation": 0.0}, [(0.2, 0.2, 0.2), (-0.1, -0.1, -0.1)]),
        ({"contrast": 0.0}, [(0.05, 0.05, 0.05), (0.05, 0.05, 0.05)]),  # the mean of all values
        ({"hue": 2 * math.pi}, [(0.8, -0.4, 0.2), (-0.6, 0.0, 0.3)]),
    ],
)
def test_each_draw_changes_the_colors_in_its_own_way(values, wanted):
    changed = augment.change_colors(image((0.8, -0.4, 0.2), (-0.6, 0.0, 0.3)), draws(**values))
    np.testing.assert_allclose(changed[0, :, :, 0].t(), wanted, atol=1e-6)


def test_hue_and_cast_keep_the_luma():
    before = image((0.8, -0.4, 0.2), (-0.6, 0.0, 0.3))
    after = augment.change_colors(before, draws(hue=1.0, cast_u=0.1, cast_v=-0.1))
    np.testing.assert_allclose(losses.gray(after), losses.gray(before), atol=1e-5)
    assert float((after - before).abs().max()) > 0.1


def test_each_image_has_its_own_draws_within_the_limits_that_the_seed_repeats():
    paddle.seed(3)
    first = augment.draw_colors(500)
    paddle.seed(3)
    for name, values, again in zip(first._fields, first, augment.draw_colors(500)):
        low, high = augment.LIMITS[name]
        assert values.shape == [500, 1, 1, 1] and bool((values == again).all())
        assert low <= float(values.min()) < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < float(values.max()) <= high
