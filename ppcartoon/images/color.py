"""Converts colors that are described without an ICC profile to sRGB: HDR, wide primaries, linear light and gamma."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

LINEAR, SRGB, PQ, HLG = 8, 13, 16, 18  # transfer characteristics of ITU-T H.273
Chromaticities = tuple[float, ...]  # x and y of white, red, green and blue
BT709 = (0.3127, 0.3290, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
WIDE_PRIMARIES = {  # color primaries of H.273: BT.2020 and Display P3
    9: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    12: (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
LUMA = (0.2627, 0.6780, 0.0593)  # BT.2020
WHITE, PEAK = 203, 1000  # nits: HDR reference white (ITU-R BT.2408), peak of an HLG display
GAMMA = 2.4  # of displays for SDR
TOLERANCE = 0.05, 0.01  # of a gamma (relative) and of chromaticities, within which libpng, too, takes them for sRGB's


def coding(head: bytes) -> tuple[int, int] | None:
    """Color primaries and transfer characteristics of an image file, numbered by ITU-T H.273; None if not stated.

    Args:
        head: the first bytes of the file; PNG (chunk cICP), AVIF and HEIF (box nclx).
    """
    if head[4:8] == b"ftyp":
        found = re.search(rb"colrnclx\0(.)\0(.)", head, re.DOTALL)
        return (found[1][0], found[2][0]) if found else None
    at = 8 if head.startswith(b"\x89PNG") else len(head)
    while (kind := head[at + 4 : at + 8]) not in (b"IDAT", b""):
        if kind == b"cICP" and len(head) > at + 9:
            return head[at + 8], head[at + 9]
        at += 12 + int.from_bytes(head[at : at + 4], "big")
    return None


def beyond_srgb(transfer: int, primaries: int) -> bool:
    """Whether a signal is HDR or linear or has wide primaries, and needs `to_srgb`."""
    return transfer in (LINEAR, PQ, HLG) or primaries in WIDE_PRIMARIES


def to_srgb(signal: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """Converts HDR or wide-gamut R'G'B' to sRGB: reference white becomes 255, values outside sRGB are clipped.

    Args:
        signal: R'G'B' uint8 or uint16 [H, W, 3], full range.
        transfer: transfer characteristics, numbered by ITU-T H.273.
        primaries: color primaries, likewise.

    Returns:
        uint8 [H, W, 3].
    """
    light = _light(transfer)[_16_bits(signal)]
    if transfer == HLG:
        light *= (light @ np.float32(LUMA))[..., None] ** 0.2 * np.float32(PEAK / WHITE)
    if primaries in WIDE_PRIMARIES:
        light = light @ to_bt709(WIDE_PRIMARIES[primaries]).T
    if transfer in (LINEAR, SRGB, PQ, HLG):
        return _encoded(light)
    return np.uint8(255 * light.clip(0, 1) ** np.float32(1 / GAMMA) + 0.5)  # SDR keeps its own curve


def is_srgb(gamma: float, chromaticities: Chromaticities) -> bool:
    """Whether a PNG's gAMA and cHRM describe sRGB, or values that cannot be used, on which sRGB is assumed.

    Args:
        gamma: the exponent of the encoding, such as 0.45455.
        chromaticities: x and y of white, red, green and blue.
    """
    near = np.abs(np.subtract(chromaticities, BT709)).max() <= TOLERANCE[1]
    valid = 0.05 <= gamma <= 20 and to_bt709(chromaticities) is not None
    return not valid or (near and abs(gamma * 2.2 - 1) <= TOLERANCE[0])


def from_gamma(signal: np.ndarray, gamma: float, chromaticities: Chromaticities) -> np.ndarray:
    """Converts R'G'B' with the given gamma and primaries to sRGB; see `is_srgb` for both.

    Args:
        signal: R'G'B' uint8 or uint16 [H, W, 3], full range.
        gamma: the exponent of the encoding.
        chromaticities: x and y of white, red, green and blue.

    Returns:
        uint8 [H, W, 3].
    """
    light = np.float32(np.linspace(0, 1, 1 << 16) ** (1 / gamma))[_16_bits(signal)]
    if chromaticities != BT709:
        light = light @ to_bt709(chromaticities).T
    return _encoded(light)


@lru_cache(maxsize=8)
def to_bt709(chromaticities: Chromaticities) -> np.ndarray | None:
    """The matrix, float32 [3, 3], from linear RGB to that of BT.709 and sRGB; None if there is none.

    Other whites are adapted to D65 by the method of Bradford.
    """
    try:
        with np.errstate(all="ignore"):
            source, white = _to_xyz(chromaticities)
            target, d65 = _to_xyz(BT709)
            scale = np.diag((BRADFORD @ d65) / (BRADFORD @ white))
            matrix = np.linalg.solve(target, np.linalg.solve(BRADFORD, scale @ BRADFORD @ source))
    except (np.linalg.LinAlgError, ZeroDivisionError):
        return None
    return np.float32(matrix) if np.abs(matrix).max() < 100 else None


def _to_xyz(chromaticities: Chromaticities) -> tuple[np.ndarray, np.ndarray]:
    """The matrix from linear RGB to XYZ, [3, 3], and the XYZ of white, [3]."""
    white, *columns = (np.array((x / y, 1, (1 - x - y) / y)) for x, y in zip(*[iter(chromaticities)] * 2))
    primaries = np.transpose(columns)
    return primaries * np.linalg.solve(primaries, white), white


def _16_bits(signal: np.ndarray) -> np.ndarray:
    return signal if signal.dtype == np.uint16 else signal.astype(np.uint16) * 257


def _encoded(light: np.ndarray) -> np.ndarray:
    """sRGB uint8 of linear light, float32, clipped to [0, 1]."""
    light = light.clip(0, 1)
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** np.float32(1 / 2.4) - 0.055)
    return np.uint8(255 * curve + 0.5)


@lru_cache(maxsize=4)
def _light(transfer: int) -> np.ndarray:
    """Linear light of the 65,536 signal values: display light with reference white at 1, or scene light of HLG."""
    signal = np.linspace(0, 1, 1 << 16)
    if transfer == PQ:  # SMPTE ST 2084
        root = signal ** (32 / 2523)
        y = np.maximum(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)
        return np.float32(y ** (16384 / 2610) * 10000 / WHITE)
    if transfer == HLG:  # ITU-R BT.2100
        high = (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
        return np.float32(np.where(signal <= 0.5, signal**2 / 3, high))
    if transfer == SRGB:  # IEC 61966-2-1
        return np.float32(np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4))
    return np.float32(signal if transfer == LINEAR else signal**GAMMA)
