"""Which pictures of a film are fit to train on; black bars are cut off."""

from __future__ import annotations

import cv2
import numpy as np

DARK = 32  # of 255: darker is black, as in FFmpeg's blackframe
NEARLY_ALL = 0.98  # of the pixels, as there
BAR = 24, 0.015, 0.35  # luma that bars stay below, and their least and greatest height to the picture's
MARGIN = 2  # pixels cut off beside a bar, which coding blurs
FLAT = 24  # of 255: colours as near as this to the commonest are background
TEXT = 0.001, 0.4  # share of the pixels that text covers
GRAIN = 6  # standard deviation of the background's luma behind text, at most
SHARP = 0.26  # steepness of edges, below which a picture is blurred
HASH = 10  # of its 64 bits may differ between near-duplicates


def without_bars(rgb: np.ndarray) -> np.ndarray:
    """The picture [H, W, 3] inside of black bars of equal height at top and bottom, or equal width at both sides."""
    luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    black, least, greatest = BAR
    for axis in (0, 1):
        lines = (luma < black).mean(1 - axis) > 0.995
        if lines.all():
            continue
        bar = min(np.argmin(lines), np.argmin(lines[::-1]))  # a dark sky at one side only is no bar
        if least < bar / lines.size < greatest and 2 * (bar + MARGIN) < lines.size:
            inside = slice(bar + MARGIN, lines.size - bar - MARGIN)
            luma, rgb = (luma[inside], rgb[inside]) if axis == 0 else (luma[:, inside], rgb[:, inside])
    return rgb


def fault(whole: np.ndarray, inside: np.ndarray, size: int) -> str | None:
    """Why a picture is of no use at that size, or None.

    Args:
        whole: uint8 [H, W, 3].
        inside: the same `without_bars`.
        size: pixels of the shorter side of what is trained on; blur that does not show there does not matter.

    Returns:
        "credits" (nothing but lines of text on one colour), "black", "blank" (one colour), "blurred", or None.
    """
    if _is_text(inside) or (inside is not whole and _is_text(whole)):
        return "credits"
    luma = cv2.cvtColor(inside, cv2.COLOR_RGB2GRAY)
    if (luma < DARK).mean() > NEARLY_ALL:
        return "black"
    if _marks(inside).mean() < 1 - NEARLY_ALL:
        return "blank"
    return "blurred" if sharpness(luma, size) < SHARP else None


def _marks(rgb: np.ndarray) -> np.ndarray:
    """What stands out of the commonest colour: bool [H, W]."""
    common = np.array([cv2.calcHist([rgb], [channel], None, [256], [0, 256]).argmax() for channel in range(3)], float)
    return cv2.inRange(rgb, common - FLAT, common + FLAT) == 0


def _is_text(rgb: np.ndarray) -> bool:
    """Whether nothing stands out of a flat background but small things side by side, as letters are."""
    marks = _marks(rgb)
    height, width = marks.shape
    if not TEXT[0] < marks.mean() < TEXT[1] or cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[~marks].std() > GRAIN:
        return False
    marks = marks.astype(np.uint8)
    parts = cv2.connectedComponentsWithStats(marks)[2][1:]
    letters = parts[parts[:, cv2.CC_STAT_HEIGHT] < 0.15 * height]
    if len(letters) < 6 or letters[:, cv2.CC_STAT_AREA].sum() < 0.9 * marks.sum():
        return False
    joined = cv2.morphologyEx(marks, cv2.MORPH_CLOSE, np.ones((1, max(3, width // 25)), np.uint8))
    lines = cv2.connectedComponentsWithStats(joined)[2][1:]
    long = lines[lines[:, cv2.CC_STAT_WIDTH] > 2.5 * lines[:, cv2.CC_STAT_HEIGHT]]
    return long[:, cv2.CC_STAT_AREA].sum() > 0.6 * joined.sum()


def sharpness(luma: np.ndarray, size: int) -> float:
    """Of the strong edges, how much of their height lies between two neighbouring pixels: 1 for a step, 0.2 for blur.

    Args:
        luma: uint8 [H, W].
        size: pixels of the shorter side at which it is looked at.
    """
    scale = min(1, size / min(luma.shape))
    small = cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.float32)
    window = np.ones((9, 9), np.uint8)
    step = np.zeros_like(small)
    step[:, 1:] = np.abs(np.diff(small, axis=1))
    step[1:] = np.maximum(step[1:], np.abs(np.diff(small, axis=0)))
    height = cv2.dilate(small, window) - cv2.erode(small, window)
    strong = height > max(16, 0.5 * np.percentile(height, 99))
    return float(np.percentile((cv2.dilate(step, window) / np.maximum(height, 1))[strong], 75)) if strong.any() else 0.0


def perceptual_hash(rgb: np.ndarray) -> np.ndarray:
    """The 64 signs of a picture's lowest frequencies about their median (pHash): bool [64]."""
    small = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:8, :8].ravel()
    return low > np.median(low[1:])
