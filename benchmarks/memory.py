"""Checks whether memory grows with the number of images."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ppcartoon.utils.tables import markdown_table

from . import harness
from .common import Style, photos

POINTS = 10
MIN_SIDE, MAX_SIDE = 64, 256  # pixels


def measure(style: Style, count: int, threads: int) -> Iterator[str]:
    """Measures resident memory while one process cartoonizes images of random sizes; yields lines of Markdown."""
    points = min(count, POINTS)
    totals = [count * (i + 1) // points for i in range(points)]
    ((description, resident_bytes, _),) = harness.run(_prepare, [(style, totals, threads)], points, threads)
    header = [f"images, {MIN_SIDE} to {MAX_SIDE} pixels per side, {description}", "resident memory"]
    rows = ((total, f"{size / 1e6:.0f} MB") for total, size in zip(totals, resident_bytes))
    yield from markdown_table(header, rows)


def _prepare(style: Style, totals: list[int], threads: int) -> tuple[str, Callable[[], int]]:
    """Returns the engine's description and a function that continues to the next total and measures the bytes."""
    import numpy as np
    import psutil

    predictor, rng = style.predictor(threads), np.random.default_rng(0)
    (photo,) = photos(1, MAX_SIDE, MAX_SIDE)
    steps = iter(np.diff(totals, prepend=0))

    def measure() -> int:
        for height, width in rng.integers(MIN_SIDE, MAX_SIDE + 1, (next(steps), 2)):
            predictor(np.ascontiguousarray(photo[:height, :width]))
        return psutil.Process().memory_info().rss

    return predictor.engine.description, measure
