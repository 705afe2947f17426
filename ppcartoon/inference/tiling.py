"""Cartoonizes large images in bounded memory: tiles that share LN statistics, hence without seams.

LN takes its statistics over a whole feature map. Here they are measured once, over many samples of the image that are
normalized together; then each tile runs through the network with those statistics built in. Tiles overlap by the
network's receptive field, so with the exact statistics of the whole image the result would be exact.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ..images import from_network, pad, to_network
from .engines import Engine

MARGIN = 44  # pixels around a tile; the receptive field reaches 41
SMALLEST = 64  # pixels, side of a tile
SIDE, SAMPLES = 96, 196  # pixels a side of a sample, and the number of samples


class Span(NamedTuple):
    """One dimension of a tile, in pixels: output range [low, high), input range [start, stop)."""

    low: int
    high: int
    start: int
    stop: int


def spans(length: int, tile: int) -> Iterator[Span]:
    """Spans that cover `length`; outputs of at most `tile` pixels, a multiple of 4, and inputs all of one size.

    Inputs begin at multiples of 4, the network's stride; the last ends at `length`, rounded up to a multiple of 4.
    """
    padded = length + -length % 4
    step = math.ceil(length / math.ceil(length / tile) / 4) * 4
    size = min(step + 2 * MARGIN, padded)
    for low in range(0, length, step):
        start = min(max(low - MARGIN, 0), padded - size)
        yield Span(low, min(low + step, length), start, start + size)


def sampled_stats(engine: Engine, image: np.ndarray, count: int = SAMPLES) -> np.ndarray:
    """LN statistics [L, 2] of an image, RGB uint8 [H, W, 3], measured on about `count` samples of it."""
    return engine.pooled_stats(to_network(_samples(image, count)))


def cartoonize_tiles(
    engine: Engine,
    image: np.ndarray,
    tile: int,
    stats: np.ndarray,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """The cartoon of an image, RGB uint8 [H, W, 3], in tiles.

    Args:
        engine: runs the network.
        image: RGB uint8 [H, W, 3].
        tile: pixels a side of a tile at most, a multiple of 4.
        stats: LN statistics [L, 2] that all tiles use.
        progress: called after each tile with the number of tiles so far, and of all.
    """
    network = engine.with_fixed_stats(stats)
    cartoon = np.empty_like(image)
    tiles = list(itertools.product(*(list(spans(length, tile)) for length in image.shape[:2])))
    for done, (y, x) in enumerate(tiles, 1):
        patch = pad(image[y.start : y.stop, x.start : x.stop])
        output = from_network(network(to_network(patch[None])))[0]
        cartoon[y.low : y.high, x.low : x.high] = output[
            y.low - y.start : y.high - y.start, x.low - x.start : x.high - x.start
        ]
        progress(done, len(tiles))
    return cartoon


def _samples(image: np.ndarray, count: int) -> np.ndarray:
    """About `count` squares of the image, [N, SIDE, SIDE, 3]: one at a random position in each cell of a grid."""
    height, width = image.shape[:2]
    rows = min(count, max(1, round((count * height / width) ** 0.5)))
    columns = max(1, count // rows)
    jitter = np.random.default_rng(0).random((rows, columns, 2))
    grid = np.stack(np.mgrid[:rows, :columns], -1)  # [rows, columns, 2]
    room = np.maximum((height - SIDE, width - SIDE), 0)
    corners = ((grid + jitter) / (rows, columns) * (height, width) - SIDE / 2).clip(0, room)
    samples = []
    for y, x in np.int64(corners).reshape(-1, 2) // 4 * 4 + 2:  # aligned with the strides of the encoder
        sample = image[y : y + SIDE, x : x + SIDE]
        missing = [(0, SIDE - side) for side in sample.shape[:2]]
        samples.append(np.pad(sample, (*missing, (0, 0)), "reflect"))
    return np.stack(samples)
