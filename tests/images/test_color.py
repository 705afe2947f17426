"""Matrices between color primaries, computed from their chromaticities."""

import numpy as np
import pytest

from ppcartoon.images import color

D65 = 0.3127, 0.3290
BT709 = (0.640, 0.330), (0.300, 0.600), (0.150, 0.060)
WIDE = {9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), 12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))}


def rgb_to_xyz(primaries):
    """The matrix from linear RGB to XYZ, with white at (1, 1, 1)."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in (*primaries, D65)]).T
    return columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])


@pytest.mark.parametrize("primaries", WIDE)
def test_matrices_of_wide_primaries_agree_with_the_standards(primaries):
    expected = np.linalg.solve(rgb_to_xyz(BT709), rgb_to_xyz(WIDE[primaries]))
    assert np.abs(color.to_bt709(color.WIDE_PRIMARIES[primaries]) - expected).max() < 2e-4


def test_only_hdr_linear_light_and_wide_primaries_are_converted():
    assert not any(color.beyond_srgb(transfer, primaries) for transfer in (1, 2, 6, 13) for primaries in (1, 2, 5, 6))
    assert all(color.beyond_srgb(*tags) for tags in ((16, 1), (18, 9), (1, 9), (13, 12), (8, 1)))


def test_white_of_other_primaries_stays_white():
    prophoto = (0.3457, 0.3585, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001)
    assert np.abs(color.to_bt709(prophoto) @ np.ones(3) - 1).max() < 1e-3
    assert color.to_bt709((0.3, 0.3) * 4) is None
