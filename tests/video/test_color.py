"""Matrices between primaries, from their chromaticities."""

import numpy as np
import pytest

from ppcartoon.video import color

D65 = 0.3127, 0.3290
BT709 = (0.640, 0.330), (0.300, 0.600), (0.150, 0.060)
OTHERS = {9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), 12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))}


def xyz(primaries):
    """The matrix from linear RGB to XYZ, with white at (1, 1, 1)."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in (*primaries, D65)]).T
    return columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])


@pytest.mark.parametrize("primaries", OTHERS)
def test_wide_primaries_are_those_of_the_standards(primaries):
    wanted = np.linalg.solve(xyz(BT709), xyz(OTHERS[primaries]))
    assert np.abs(np.array(color.WIDE[primaries]) - wanted).max() < 2e-4


def test_what_has_neither_hdr_nor_wide_primaries_is_left_alone():
    assert not any(color.beyond_srgb(transfer, primaries) for transfer in (1, 2, 6, 13) for primaries in (1, 2, 5, 6))
    assert all(color.beyond_srgb(*each) for each in ((16, 1), (18, 9), (1, 9), (13, 12)))
