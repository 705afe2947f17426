"""Frames of a film that flicker less than if each were cartoonized alone.

Two things change from frame to frame that nobody sees in the film: the statistics of LN, which move all colours a
little, and noise, which the network turns into other strokes. So the statistics follow the film slowly, and the cartoon
is averaged over time, along the motion, where the film itself shows the same as before. Both begin anew at cuts.

Left out of the average are the finest detail, which would blur, and what is wider than strokes and shades: brightness
that changes on the whole, as in fades, is the film's own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from ..inference.predictor import CartoonPredictor

try:
    import cv2
except ImportError as error:
    raise InputError('films need OpenCV: pip install "ppcartoon[video]"') from error

SECONDS = 0.5  # in which LN statistics follow the film, unless it changes fast
DUE = 0.15  # of their change: with less they are left as they are, which is faster than to measure them
KEPT = 0.85  # of the cartoon before, at most
FINE, WIDE = 0.7, 32  # pixels, as Gaussians' deviations: between them is what is averaged
AROUND = 10  # pixels, likewise, that are compared around each
LEAST, MOST = 2.0, 12.0  # steps of 8 bits that two frames may differ by to show the same
FACTOR = 3  # times the usual difference, which is noise
CUT, VISIBLE = 0.45, 0.01  # a cut changes more than this part of the contrast, and of the range
SMALL = 64, 36  # pixels of the pictures that cuts are found in
COARSE = 8  # pixels that become one where blurring is wide
SMALLEST = 32  # pixels of a side; with less, OpenCV's search for motion ends the process


class Deflicker:
    """Cartoons of the frames of one film, in their order.

    Args:
        predictor: it makes them; its statistics are blended here.
    """

    def __init__(self, predictor: CartoonPredictor) -> None:
        self._predictor = predictor
        self._flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._time = 0.0
        self._left = 1.0  # of the statistics, when what is due has been taken off
        self._statistics: np.ndarray | None = None
        self._gray: np.ndarray | None = None
        self._cartoon: np.ndarray | None = None

    def __call__(self, frame: np.ndarray, time: float) -> np.ndarray:
        """The cartoon of the frame [H, W, 3] at a time in seconds, both uint8 in RGB.

        Raises:
            InputError: the frame is too large for this machine's memory.
        """
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        before, self._gray = self._gray, gray
        change = 1.0 if before is None or before.shape != gray.shape else _change(before, gray)
        self._left *= min(1 - change, math.exp(-max(time - self._time, 0.0) / SECONDS))
        alpha = 1 - self._left if self._left <= 1 - DUE else 0.0
        cartoon, self._statistics = self._predictor.with_stats(frame, self._statistics, alpha)
        self._left = 1.0 if alpha else self._left
        self._time = time
        if change == 1 or min(gray.shape) < SMALLEST:
            self._cartoon = np.float32(cartoon)
            return cartoon
        self._cartoon = self._averaged(np.float32(cartoon), before, gray)
        return np.uint8(self._cartoon + 0.5)

    def _averaged(self, cartoon: np.ndarray, before: np.ndarray, gray: np.ndarray) -> np.ndarray:
        """The cartoon with some of the one before where the film, uint8 [H, W], shows the same; float32 [H, W, 3]."""
        places = self._flow.calc(gray, before, None)  # [H, W, 2]: x and y, of where each pixel was
        places += np.stack(np.meshgrid(*(np.arange(side, dtype=np.float32) for side in gray.shape[::-1])), -1)
        kept = _likeness(gray, _moved(before, places))
        change = cv2.subtract(_moved(self._cartoon, places), cartoon)
        change = cv2.GaussianBlur(change, (0, 0), FINE)
        change -= _blurred(change, WIDE)
        change *= kept[..., None]
        change += cartoon
        return np.clip(change, 0, 255, out=change)


def _likeness(gray: np.ndarray, film: np.ndarray) -> np.ndarray:
    """How much of the film before, uint8 [H, W], may be kept at each pixel, float32 in [0, KEPT]."""
    difference = cv2.subtract(gray, film, dtype=cv2.CV_32F)
    difference -= _blurred(difference, WIDE)
    deviation = np.sqrt(_blurred(cv2.multiply(difference, difference), AROUND))
    usual = min(max(FACTOR * float(np.median(deviation)), LEAST), MOST)
    return KEPT * np.exp(-np.square(deviation / usual))


def _moved(x: np.ndarray, places: np.ndarray) -> np.ndarray:
    return cv2.remap(x, places, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _blurred(x: np.ndarray, deviation: float) -> np.ndarray:
    """An image [H, W, ...] blurred widely."""
    height, width = x.shape[:2]
    coarse = cv2.resize(x, (-(-width // COARSE), -(-height // COARSE)), interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(coarse, (0, 0), deviation / COARSE), (width, height))


def _change(before: np.ndarray, after: np.ndarray) -> float:
    """How much of two frames [H, W] differs, brightness on the whole apart: from 0, and 1 if there is a cut between."""
    one, other = (cv2.resize(x, SMALL, interpolation=cv2.INTER_AREA).astype(np.float32) / 255 for x in (before, after))
    return min(_contrast(other - one) / max(CUT * (_contrast(one) + _contrast(other)), VISIBLE), 1.0)


def _contrast(x: np.ndarray) -> float:
    return float(np.abs(x - x.mean()).mean())
