"""Cartoons are enlarged with crisp outlines and without halos."""

import numpy as np
from PIL import Image

from ppcartoon.inference import upscale
from tests.helpers.samples import photo


def test_size_is_the_requested_one_and_an_equal_size_changes_nothing():
    cartoon = photo(30, 41)
    assert upscale.enlarge(cartoon, 30, 41) is cartoon
    for height, width in ((31, 42), (97, 133), (300, 410)):
        assert upscale.enlarge(cartoon, height, width).shape == (height, width, 3)


def test_outline_is_steeper_than_with_lanczos_and_has_no_halo():
    cartoon = np.full((40, 40, 3), 200, np.uint8)
    cartoon[:, 18:21] = 40
    ours = upscale.enlarge(cartoon, 160, 160)[80, :, 0].astype(int)
    lanczos = np.asarray(Image.fromarray(cartoon).resize((160, 160), Image.Resampling.LANCZOS))[80, :, 0].astype(int)
    assert (ours.min(), ours.max()) == (40, 200) and lanczos.max() > 205
    assert np.abs(np.diff(ours)).max() > 1.2 * np.abs(np.diff(lanczos)).max()


def test_bands_do_not_show(monkeypatch):
    cartoon = photo(30, 41)
    whole = upscale.enlarge(cartoon, 97, 133)
    monkeypatch.setattr(upscale, "BAND", 10 * 133)
    np.testing.assert_allclose(upscale.enlarge(cartoon, 97, 133).astype(int), whole, atol=1)
