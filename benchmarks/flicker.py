"""How much the cartoons of a film flicker where the film itself does not, or by noise alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from . import harness
from .subject import Subject
from .tables import ratios, spread, table

if TYPE_CHECKING:
    import numpy as np

COUNT, HEIGHT, WIDTH = 24, 360, 640


def measure(subject: Subject, threads: int) -> Iterator[str]:
    """Lines of Markdown: mean absolute changes in steps of 8 bits, median (range) over the frames.

    Raises:
        InputError: PyAV or OpenCV is not installed.
    """
    head = [f"{COUNT} frames, {WIDTH}x{HEIGHT}: mean absolute change", "film itself", "frame by frame", "steady"]
    rows = harness.apart(_rows, subject, COUNT, HEIGHT, WIDTH, threads)
    yield from table([*head, "times as steady"], rows)


def _rows(subject: Subject, count: int, height: int, width: int, threads: int) -> list[list[str]]:
    from ppcartoon.video.deflicker import Deflicker

    from . import scenes

    predictor, rows = subject.predictor(threads), []
    for kind in (scenes.STILL, scenes.PAN, scenes.FADE):
        frames = scenes.frames(kind, count, height, width)
        steady = Deflicker(predictor)
        films = frames, predictor(frames), [steady(frame, i / scenes.FPS) for i, frame in enumerate(frames)]
        shift = scenes.SHIFT if kind == scenes.PAN else 0
        rows.append(_row(f"{kind}, from frame to frame along the motion", [changes(film, shift) for film in films]))
        if kind == scenes.FADE:
            rows.append(_row(f"{kind}, from the mean of the frames before and after", [*map(jumps, films)]))
    return rows


def _row(what: str, films: list[list[float]]) -> list[str]:
    _, alone, steady = films
    return [what, *map(spread, films), ratios(alone, steady)]


def changes(film: list[np.ndarray], shift: float) -> list[float]:
    """Mean absolute change from each frame, moved `shift` pixels to the left, to the next."""
    from .scenes import moved

    return [_mean(moved(one, shift) - other) for one, other in pairwise(film)]


def jumps(film: list[np.ndarray]) -> list[float]:
    """Mean absolute difference of each frame from the mean of its neighbours: none in a fade of steady speed."""
    return [_mean(one / 2 + other / 2 - middle) for one, middle, other in zip(film, film[1:], film[2:])]


def _mean(difference: np.ndarray) -> float:
    from .scenes import EDGE

    return float(abs(difference[EDGE:-EDGE, EDGE:-EDGE]).mean())
