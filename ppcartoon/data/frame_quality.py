"""Finds frames that are useless for training (black, blank, credits, blurred), and crops black bars."""

from __future__ import annotations

import cv2
import numpy as np

DARK = 32  # luma of 255 below which a pixel is black, as in FFmpeg's blackframe
NEARLY_ALL = 0.98  # share of the pixels, as in blackframe
BAR = 24, 0.015, 0.35  # maximum luma of bars; minimum and maximum height, relative to the frame's
MARGIN = 2  # pixels cropped beside a bar, which compression blurs
FLAT = 24  # of 255: maximum difference of background colors from the most common one
TEXT = 0.001, 0.4  # share of the pixels that text covers, minimum and maximum
GRAIN = 6  # standard deviation of the background's luma behind text, at most
SHARP = 0.26  # sharpness below which a frame is blurred
HASH = 10  # bits of 64 that may differ between near-duplicates


def crop_black_bars(rgb: np.ndarray) -> np.ndarray:
    """Crops RGB uint8 [H, W, 3] to the inside of black bars at top and bottom, or both sides, of equal size."""
    luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    black, least, greatest = BAR
    for axis in (0, 1):
        lines = (luma < black).mean(1 - axis) > 0.995
        if lines.all():
            continue
        bar = min(np.argmin(lines), np.argmin(lines[::-1]))  # a dark area at one side only is no bar
        if least < bar / lines.size < greatest and 2 * (bar + MARGIN) < lines.size:
            inside = slice(bar + MARGIN, lines.size - bar - MARGIN)
            luma, rgb = (luma[inside], rgb[inside]) if axis == 0 else (luma[:, inside], rgb[:, inside])
    return rgb


def find_defect(whole: np.ndarray, inside: np.ndarray, size: int) -> str | None:
    """Why a frame is useless for training at a size, or None.

    Args:
        whole: RGB uint8 [H, W, 3].
        inside: the same after `crop_black_bars`.
        size: pixels of the shorter side in training; blur that is invisible at that size does not count.

    Returns:
        "credits" (only lines of text on one color), "black", "blank" (one color), "blurred", or None.
    """
    if _is_text(inside) or (inside is not whole and _is_text(whole)):
        return "credits"
    luma = cv2.cvtColor(inside, cv2.COLOR_RGB2GRAY)
    if (luma < DARK).mean() > NEARLY_ALL:
        return "black"
    if _foreground(inside).mean() < 1 - NEARLY_ALL:
        return "blank"
    return "blurred" if sharpness(luma, size) < SHARP else None


def _foreground(rgb: np.ndarray) -> np.ndarray:
    """Pixels that differ from the most common color: bool [H, W]."""
    common = np.array([cv2.calcHist([rgb], [channel], None, [256], [0, 256]).argmax() for channel in range(3)], float)
    return cv2.inRange(rgb, common - FLAT, common + FLAT) == 0


def _is_text(rgb: np.ndarray) -> bool:
    """Whether the foreground is nothing but small parts in rows, like letters, on a flat background."""
    foreground = _foreground(rgb)
    height, width = foreground.shape
    if not TEXT[0] < foreground.mean() < TEXT[1] or cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[~foreground].std() > GRAIN:
        return False
    foreground = foreground.astype(np.uint8)
    parts = cv2.connectedComponentsWithStats(foreground)[2][1:]
    letters = parts[parts[:, cv2.CC_STAT_HEIGHT] < 0.15 * height]
    if len(letters) < 6 or letters[:, cv2.CC_STAT_AREA].sum() < 0.9 * foreground.sum():
        return False
    joined = cv2.morphologyEx(foreground, cv2.MORPH_CLOSE, np.ones((1, max(3, width // 25)), np.uint8))
    lines = cv2.connectedComponentsWithStats(joined)[2][1:]
    long = lines[lines[:, cv2.CC_STAT_WIDTH] > 2.5 * lines[:, cv2.CC_STAT_HEIGHT]]
    return long[:, cv2.CC_STAT_AREA].sum() > 0.6 * joined.sum()


def sharpness(luma: np.ndarray, size: int) -> float:
    """Share of a strong edge's height between two neighboring pixels, 75th percentile: 1 for a step, 0.2 for blur.

    Args:
        luma: uint8 [H, W].
        size: pixels of the shorter side at which sharpness is measured.
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
    """Perceptual hash (pHash), bool [64]: whether each of the 64 lowest DCT coefficients exceeds their median."""
    small = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:8, :8].ravel()
    return low > np.median(low[1:])
