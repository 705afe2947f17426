"""Colours of HDR films, and of others with wide primaries, as sRGB."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

PQ, HLG = 16, 18  # transfer characteristics of ITU-T H.273
WIDE = {  # its colour primaries wider than BT.709's, BT.2020 and Display P3, as a matrix to those
    9: ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),
    12: ((1.2249, -0.2249, 0.0), (-0.0421, 1.0421, 0.0), (-0.0196, -0.0786, 1.0983)),
}
LUMA = (0.2627, 0.6780, 0.0593)  # of BT.2020
WHITE, PEAK = 203, 1000  # nits of HDR's reference white, by ITU-R BT.2408, and of HLG's display
GAMMA = 2.4  # of displays for everything else


def beyond_srgb(transfer: int, primaries: int) -> bool:
    """Whether `to_srgb` has anything to do."""
    return transfer in (PQ, HLG) or primaries in WIDE


def to_srgb(signal: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """Reference white becomes 255; what is brighter, or too vivid for sRGB, is cut off.

    Args:
        signal: R'G'B' uint16 [H, W, 3], full range.
        transfer: characteristics as ITU-T H.273 numbers them.
        primaries: likewise.

    Returns:
        uint8 [H, W, 3].
    """
    light = _light(transfer)[signal]
    if transfer == HLG:
        light *= (light @ np.float32(LUMA))[..., None] ** 0.2 * np.float32(PEAK / WHITE)
    if primaries in WIDE:
        light = light @ np.float32(WIDE[primaries]).T
    light = light.clip(0, 1)
    if transfer in (PQ, HLG):  # sRGB's own curve; others keep theirs
        light = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** np.float32(1 / 2.4) - 0.055)
    else:
        light **= np.float32(1 / GAMMA)
    return np.uint8(255 * light + 0.5)


@lru_cache(maxsize=4)
def _light(transfer: int) -> np.ndarray:
    """Linear light of each of the 65,536 signals: of a display with reference white at 1, or with HLG of the scene."""
    signal = np.linspace(0, 1, 1 << 16)
    if transfer == PQ:  # SMPTE ST 2084
        root = signal ** (32 / 2523)
        y = np.maximum(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)
        return np.float32(y ** (16384 / 2610) * 10000 / WHITE)
    if transfer == HLG:  # ITU-R BT.2100
        high = (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
        return np.float32(np.where(signal <= 0.5, signal**2 / 3, high))
    return np.float32(signal**GAMMA)
