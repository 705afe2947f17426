"""Large images in bounded memory: tiles that are normalised alike, so that no seams can show.

LN takes its statistics over a whole feature map. Here they are measured once, layer by layer, over many samples of the
image that are normalised together; then each tile goes through the network with those statistics built in. Tiles
overlap by all that the network sees around a pixel, so that with the whole image's statistics they would be exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..images import from_network, pad, to_network
from .engines import Engine

MARGIN = 44  # pixels around a tile; the network sees 41
SMALLEST = 64  # pixels of a tile
SIDE, SAMPLES = 96, 196  # of the samples: pixels, and how many; more of them and smaller ones are more alike the image


class Span(NamedTuple):
    """Of a tile, in one direction, in pixels: what it yields, and what goes into the network for that."""

    low: int
    high: int
    start: int
    stop: int


def spans(length: int, tile: int) -> Iterator[Span]:
    """Spans of at most `tile` pixels, a multiple of 4, that cover `length`; all take in equally many pixels.

    What they take in begins at multiples of 4, as the network's strides do, and ends with `length` or, if that is no
    multiple of 4, up to 3 pixels beyond.
    """
    padded = length + -length % 4
    step = math.ceil(length / math.ceil(length / tile) / 4) * 4
    taken = min(step + 2 * MARGIN, padded)
    for low in range(0, length, step):
        start = min(max(low - MARGIN, 0), padded - taken)
        yield Span(low, min(low + step, length), start, start + taken)


def statistics(engine: Engine, image: np.ndarray, samples: int = SAMPLES) -> np.ndarray:
    """LN statistics [L, 2] of an image [H, W, 3], uint8 in RGB, by about so many samples of it."""
    return engine.pooled_stats(to_network(_samples(image, samples)))


def cartoonize(engine: Engine, image: np.ndarray, tile: int, statistics: np.ndarray) -> np.ndarray:
    """The cartoon of an image [H, W, 3], uint8 in RGB, by tiles of at most `tile` pixels a side, a multiple of 4."""
    network = engine.with_fixed_stats(statistics)
    cartoon = np.empty_like(image)
    for y in spans(image.shape[0], tile):
        for x in spans(image.shape[1], tile):
            taken = pad(image[y.start : y.stop, x.start : x.stop])
            made = from_network(network(to_network(taken[None])))[0]
            cartoon[y.low : y.high, x.low : x.high] = made[
                y.low - y.start : y.high - y.start, x.low - x.start : x.high - x.start
            ]
    return cartoon


def _samples(image: np.ndarray, count: int) -> np.ndarray:
    """About `count` squares of the image, [N, SIDE, SIDE, 3]: one somewhere in each field of a grid over it."""
    height, width = image.shape[:2]
    rows = min(count, max(1, round((count * height / width) ** 0.5)))
    columns = max(1, count // rows)
    shift = np.random.default_rng(0).random((rows, columns, 2))
    grid = np.stack(np.mgrid[:rows, :columns], -1)  # [rows, columns, 2]
    room = np.maximum((height - SIDE, width - SIDE), 0)
    places = ((grid + shift) / (rows, columns) * (height, width) - SIDE / 2).clip(0, room)
    taken = []
    for y, x in np.int64(places).reshape(-1, 2) // 4 * 4 + 2:  # where the strides of the encoder fall as in the whole
        square = image[y : y + SIDE, x : x + SIDE]
        lack = [(0, SIDE - side) for side in square.shape[:2]]
        taken.append(np.pad(square, (*lack, (0, 0)), "reflect"))
    return np.stack(taken)
