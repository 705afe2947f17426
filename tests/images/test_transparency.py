"""Colors under fully transparent pixels."""

import numpy as np
import pytest
from PIL import Image

from ppcartoon import images
from ppcartoon.images.transparency import ROWS, fill_hidden
from tests.helpers.samples import photo


@pytest.mark.parametrize("height, width", [(1, 1), (5, 1), (2 * ROWS + 3, 40)])
@pytest.mark.parametrize("share", [0, 0.02, 0.5])
def test_hidden_colors_depend_on_visible_ones_alone_and_those_are_kept(height, width, share):
    rng = np.random.default_rng(0)
    alpha = np.uint8(rng.random((height, width)) < share) * 128
    one, other = photo(height, width), photo(height, width)
    one[alpha == 0], other[alpha == 0] = 0, (250, 3, 99)
    fill_hidden(one, alpha)
    fill_hidden(other, alpha)
    assert (one == other).all()
    assert (one[alpha > 0] == photo(height, width)[alpha > 0]).all()


def test_hidden_pixels_have_the_color_of_visible_ones_nearby():
    rgb, alpha = np.zeros((300, 200, 3), np.uint8), np.zeros((300, 200), np.uint8)
    rgb[:, :20], rgb[:, 180:] = (200, 100, 0), (0, 100, 200)
    alpha[:, :20] = alpha[:, 180:] = 255
    fill_hidden(rgb, alpha)
    assert np.abs(np.int16(rgb[:, 20:40]) - (200, 100, 0)).max() < 30
    assert np.abs(np.int16(rgb[:, 160:180]) - (0, 100, 200)).max() < 30


def test_photos_that_look_the_same_give_the_same_cartoon(tmp_path, predictor):
    alpha = np.full((48, 64), 255, np.uint8)
    alpha[:, 30:] = 0
    hidden = photo(48, 64, 3), np.zeros((48, 64, 3), np.uint8)
    for name, rgb in zip(("own.png", "black.png"), hidden):
        rgb[:, :30] = photo(48, 64)[:, :30]
        Image.fromarray(np.dstack([rgb, alpha])).save(tmp_path / name)
    own, black = (predictor(images.shrink(images.read(tmp_path / name), 40).rgb) for name in ("own.png", "black.png"))
    assert (own == black).all()
