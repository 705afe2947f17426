"""Temporal smoothing that reduces flicker in cartoonized video.

Frames that are cartoonized independently flicker for two reasons: the statistics of layer normalization (LN) vary from
frame to frame, which shifts all colors slightly, and the network turns noise into different strokes. So the statistics
follow the video slowly, and the cartoon is averaged over time, along the optical flow, where the video itself is
unchanged. Both restart at cuts.

The average excludes the finest detail, which would blur, and everything wider than strokes and shades: global changes
of brightness, such as fades, belong to the video.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..utils.libraries import needs

if TYPE_CHECKING:
    from ..inference.predictor import CartoonPredictor

with needs("videos"):
    import cv2

TIME_CONSTANT = 0.5  # seconds, of the exponential decay with which LN statistics follow the video between cuts
MIN_UPDATE = 0.15  # smallest share of new LN statistics; below it they are reused, which is faster than measuring
MAX_KEPT = 0.85  # largest weight of the previous cartoon in the average
FINE, WIDE = 0.7, 32  # pixels: standard deviations of the Gaussians that bound the band that is averaged
NEIGHBORHOOD = 10  # pixels: standard deviation of the Gaussian over which frames are compared at each pixel
MIN_DIFFERENCE, MAX_DIFFERENCE = 2.0, 12.0  # bounds of the tolerated difference between frames, in 8-bit steps
NOISE_FACTOR = 3  # tolerated difference, as a multiple of the median, which is noise
CUT, VISIBLE = 0.45, 0.01  # a cut changes more than this part of the contrast, and of the value range
CUT_SIZE = 64, 36  # width and height in pixels at which cuts are detected
COARSE = 8  # pixels per pixel of the reduced image in which wide blurs are computed
MIN_SIDE = 32  # pixels; on smaller images OpenCV's optical flow crashes


class Deflicker:
    """Cartoonizes the frames of one video, in their order, with less flicker.

    Args:
        predictor: cartoonizes the frames; its LN statistics are blended over time. With the working size "auto", the
            first frame decides for all.
    """

    def __init__(self, predictor: CartoonPredictor) -> None:
        self._predictor = predictor
        self._flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._time = 0.0
        self._kept = 1.0  # share of the current statistics that the next update keeps
        self._statistics: np.ndarray | None = None
        self._gray: np.ndarray | None = None
        self._cartoon: np.ndarray | None = None

    @property
    def working_size(self) -> int | str:
        """Longer side in pixels at which the network sees the frames; 0: full resolution; "auto" before the first."""
        return self._predictor.working_size

    def __call__(self, frame: np.ndarray, time: float) -> np.ndarray:
        """Cartoonizes the frame at a time in seconds; RGB uint8 [H, W, 3] in and out.

        Raises:
            InputError: the frame is too large for this machine's memory.
        """
        return self.finish(self.draw(frame, time), frame)

    def draw(self, frame: np.ndarray, time: float) -> np.ndarray:
        """The first part of a call, which needs the frames in order; returns RGB uint8 [h, w, 3], not yet enlarged.

        Raises:
            InputError: the frame is too large for this machine's memory.
        """
        if self._predictor.working_size == "auto":
            self._predictor = self._predictor.replace(working_size=self._predictor.choose_size([frame]))
        frame = self._predictor.reduce(frame)
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        before, self._gray = self._gray, gray
        change = 1.0 if before is None or before.shape != gray.shape else _change(before, gray)
        self._kept *= min(1 - change, math.exp(-max(time - self._time, 0.0) / TIME_CONSTANT))
        alpha = 1 - self._kept if self._kept <= 1 - MIN_UPDATE else 0.0
        cartoon, self._statistics = self._predictor.with_stats(frame, self._statistics, alpha)
        self._kept = 1.0 if alpha else self._kept
        self._time = time
        if change == 1 or min(gray.shape) < MIN_SIDE:
            self._cartoon = np.float32(cartoon)
            return cartoon
        self._cartoon = self._average(np.float32(cartoon), before, gray)
        return np.uint8(self._cartoon + 0.5)

    def finish(self, cartoon: np.ndarray, frame: np.ndarray) -> np.ndarray:
        """The second part: enlarges what `draw` returned to its frame; may run in another thread."""
        return self._predictor.finish(cartoon, frame)

    def _average(self, cartoon: np.ndarray, before: np.ndarray, gray: np.ndarray) -> np.ndarray:
        """Averages the cartoon with the previous one where the gray frames, uint8 [H, W], agree; float32 [H, W, 3]."""
        sources = self._flow.calc(gray, before, None)  # [H, W, 2]: x and y of each pixel in the previous frame
        sources += np.stack(np.meshgrid(*(np.arange(side, dtype=np.float32) for side in gray.shape[::-1])), -1)
        weight = _weight(gray, _warp(before, sources))
        change = cv2.subtract(_warp(self._cartoon, sources), cartoon)
        change = cv2.GaussianBlur(change, (0, 0), FINE)
        change -= _wide_blur(change, WIDE)
        change *= weight[..., None]
        change += cartoon
        return np.clip(change, 0, 255, out=change)


def _weight(gray: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Weight of the previous cartoon at each pixel, float32 [H, W] in [0, MAX_KEPT]; frames are uint8 [H, W]."""
    difference = cv2.subtract(gray, before, dtype=cv2.CV_32F)
    difference -= _wide_blur(difference, WIDE)
    deviation = np.sqrt(_wide_blur(cv2.multiply(difference, difference), NEIGHBORHOOD))
    tolerated = min(max(NOISE_FACTOR * float(np.median(deviation)), MIN_DIFFERENCE), MAX_DIFFERENCE)
    return MAX_KEPT * np.exp(-np.square(deviation / tolerated))


def _warp(x: np.ndarray, sources: np.ndarray) -> np.ndarray:
    return cv2.remap(x, sources, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _wide_blur(x: np.ndarray, deviation: float) -> np.ndarray:
    """Gaussian blur of an image [H, W, ...], computed at 1 / COARSE of its size."""
    height, width = x.shape[:2]
    coarse = cv2.resize(x, (-(-width // COARSE), -(-height // COARSE)), interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(coarse, (0, 0), deviation / COARSE), (width, height))


def _change(before: np.ndarray, after: np.ndarray) -> float:
    """Difference of two frames [H, W], regardless of brightness, in [0, 1]; 1 is a cut."""
    one, other = (
        cv2.resize(x, CUT_SIZE, interpolation=cv2.INTER_AREA).astype(np.float32) / 255 for x in (before, after)
    )
    return min(_contrast(other - one) / max(CUT * (_contrast(one) + _contrast(other)), VISIBLE), 1.0)


def _contrast(x: np.ndarray) -> float:
    return float(np.abs(x - x.mean()).mean())
