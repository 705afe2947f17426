"""The engines side by side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from . import turns

WARM_UP = 2


class Row(NamedTuple):
    """One engine at one size.

    Attributes:
        engine: its description.
        size: height and width in pixels.
        seconds: of each round, for one image.
        peak: resident memory at most, in bytes, of the engine's process.
    """

    engine: str
    size: int
    seconds: list[float]
    peak: int


def measure(engines: list[str], style: str, size: int, rounds: int, threads: int) -> list[Row]:
    """Times every engine once a round, for `rounds` rounds, on one image of size x size."""
    results = turns.take(_prepare, [(name, style, size, threads) for name in engines], rounds)
    return [Row(result.facts, size, result.turns, result.peak) for result in results]


def _prepare(name: str, style: str, size: int, threads: int) -> tuple[str, Callable[[], float]]:
    """The engine's description, and what times it on one image."""
    import numpy as np

    from ppcartoon import engines, weights

    engine = engines.create(weights.load_style(style), name, "cpu", threads)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 3, size, size)).astype(np.float32)
    for _ in range(WARM_UP):
        engine(image)

    def turn() -> float:
        start = time.perf_counter()
        engine(image)
        return time.perf_counter() - start

    return engine.description, turn


def table(rows: list[Row]) -> Iterator[str]:
    """Lines of Markdown; ratios are to the last row, round by round: median (least to most)."""
    yield "| engine | size | ms, median (range) | images/s | times as fast | peak memory |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        ratios = [slow / fast for slow, fast in zip(rows[-1].seconds, row.seconds)]
        ms = [1000 * s for s in row.seconds]
        yield (
            f"| {row.engine} | {row.size}x{row.size} | {statistics.median(ms):.0f} ({min(ms):.0f} to {max(ms):.0f}) "
            f"| {1000 / statistics.median(ms):.2f} | {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}) | {row.peak / 1e6:.0f} MB |"
        )
