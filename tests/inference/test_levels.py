"""Black stays black and white stays white."""

import dataclasses

import numpy as np
from PIL import Image

import ppcartoon
from ppcartoon import weights
from ppcartoon.inference import levels
from tests.helpers.samples import photo


def test_measured_levels_are_a_share_of_the_shift_of_black_and_white():
    image = np.repeat(np.uint8([0] * 64 + [100] * 32 + [255] * 64), 32).reshape(160, 32, 1).repeat(3, 2)
    washed_out = np.uint8(40 + image * (180 / 255))  # black becomes 40, white 220
    assert levels.measure([(image, washed_out)]) == (18, 239)
    assert levels.measure([(image[64:96], washed_out[64:96])]) == (0, 255)


def test_levels_stretch_luma_and_keep_chroma():
    cartoon = photo(30, 40) // 6 + 100  # no color leaves the range of RGB
    before, after = (np.int16(Image.fromarray(x).convert("YCbCr")) for x in (cartoon, levels.apply(cartoon, (20, 240))))
    np.testing.assert_allclose(after[..., 0], (before[..., 0] - 20) * 255 / 220, atol=3)
    np.testing.assert_allclose(after[..., 1:], before[..., 1:], atol=3)


def test_predictor_applies_the_levels_of_its_weights(tiny_weights, predictor, tmp_path):
    weights.save(tmp_path / "a.safetensors", dataclasses.replace(tiny_weights, levels=(30, 200)))
    other = ppcartoon.CartoonPredictor(weights_file=tmp_path / "a.safetensors")
    assert (other(photo(24, 36)) == levels.apply(predictor(photo(24, 36)), (30, 200))).all()
