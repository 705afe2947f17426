"""Fixture files, and small images that tests share."""

import os
from pathlib import Path

import numpy as np

FIXTURES = Path(__file__).parents[1] / "fixtures"


def archives() -> list[Path]:
    """Networks with inputs and outputs, by an independent implementation in PyTorch: a small one, and the oracle's.

    PPCARTOON_ORACLE may name a folder with golden.npz, the figures of a larger network.
    """
    oracle = os.environ.get("PPCARTOON_ORACLE")
    return [FIXTURES / "networks.npz"] + ([Path(oracle) / "golden.npz"] if oracle else [])


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth RGB uint8 image with an edge in it."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    rgb = np.stack([x, y, (x + y + seed / 7) % 1 > 0.5], -1)
    return np.uint8(255 * rgb)
