"""Frames of a film that flicker less than if each were cartoonized alone.

Two things change from frame to frame that nobody sees in the film: the statistics of LN, which move all colours a
little, and noise, which the network turns into other strokes. So the statistics follow the film slowly, and fine detail
is averaged over time, along the motion, where the film itself shows the same as before. Both begin anew at cuts.
"""

from __future__ import annotations

import math

import numpy as np

from .errors import InputError
from .predictor import CartoonPredictor

try:
    import cv2
except ImportError as error:
    raise InputError('films need OpenCV: pip install "ppcartoon[video]"') from error

SECONDS = 0.5  # in which LN statistics follow the film
KEPT = 0.85  # of the detail of the frame before, at most
DETAIL = 10.0  # pixels: the width of what counts as detail, and of what is compared
LEAST, MOST = 2.0, 12.0  # steps of 8 bits that two frames may differ by in their detail, to show the same
FACTOR = 3  # times the usual difference
CUT = 0.15  # of the range: mean change of brightness, beyond that of the whole, at a cut
SMALL = 64, 36  # pixels of the pictures that cuts are found in


class Steady:
    """Cartoons of the frames of one film, in their order.

    Args:
        predictor: it makes them; its statistics are blended here.
    """

    def __init__(self, predictor: CartoonPredictor) -> None:
        self._predictor = predictor
        self._flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._time, self._statistics = 0.0, np.zeros((1, 0, 2), np.float32)
        self._gray: np.ndarray | None = None
        self._cartoon: np.ndarray | None = None

    def __call__(self, frame: np.ndarray, time: float) -> np.ndarray:
        """The cartoon of the frame [H, W, 3] at a time in seconds, both uint8 in RGB.

        Raises:
            InputError: the frame is too large for this machine's memory.
        """
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        before, self._gray = self._gray, gray
        anew = before is None or before.shape != gray.shape or _is_cut(before, gray)
        share = 1.0 if anew else 1 - math.exp(-max(time - self._time, 0.0) / SECONDS)
        cartoon, self._statistics = self._predictor.blended(frame, self._statistics, share)
        self._time = time
        self._cartoon = np.float32(cartoon) if anew else self._averaged(np.float32(cartoon), before, gray)
        return np.uint8(self._cartoon + 0.5)

    def _averaged(self, cartoon: np.ndarray, before: np.ndarray, gray: np.ndarray) -> np.ndarray:
        """The cartoon with detail of the one before where the film shows the same; gray is the film, uint8 [H, W]."""
        if min(gray.shape) < 16:  # too small for a flow
            return cartoon
        flow = self._flow.calc(gray, before, None)
        y, x = np.indices(gray.shape, np.float32)
        places = x + flow[..., 0], y + flow[..., 1]
        moved, film = (
            cv2.remap(each, *places, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
            for each in (self._cartoon, np.float32(before))
        )
        difference = _detail(np.float32(gray) - film)
        deviation = np.sqrt(_blur(np.square(difference)))
        usual = min(max(FACTOR * float(np.median(deviation)), LEAST), MOST)
        inside = (places[0] >= 0) & (places[0] < gray.shape[1]) & (places[1] >= 0) & (places[1] < gray.shape[0])
        kept = KEPT * np.exp(-np.square(deviation / usual)) * inside
        return (cartoon + kept[..., None] * _detail(moved - cartoon)).clip(0, 255)


def _blur(x: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(x, (0, 0), DETAIL)


def _detail(x: np.ndarray) -> np.ndarray:
    return x - _blur(x)


def _is_cut(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether two frames [H, W] show different things; brighter or darker ones of the same scene do not."""
    one, other = (cv2.resize(x, SMALL, interpolation=cv2.INTER_AREA).astype(np.float32) / 255 for x in (before, after))
    change = other - one
    return float(np.abs(change - change.mean()).mean()) > CUT
