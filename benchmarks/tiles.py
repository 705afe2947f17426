"""Photos of any size: time and memory from file to file, and how well tiles agree with the whole."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from . import harness
from .common import Subject, number, spread, table

if TYPE_CHECKING:
    import numpy as np

SIDE, TILE, CELLS = 2048, 512, 7  # of the comparison with the whole: pixels, of a tile, and photos a row
PHOTO, MOSAIC = "photo", f"mosaic of {CELLS}x{CELLS} photos"


def measure(subject: Subject, megapixels: list[float], rounds: int, threads: int) -> Iterator[str]:
    """Lines of Markdown.

    Args:
        subject: the weights.
        megapixels: of photos 4:3, read as JPEG and written as PNG.
        rounds: how often each, in a process of its own each time.
        threads: of the CPU.
    """
    head = ["photo, JPEG to PNG", "tiles of", "s, median (range)", "s a megapixel", "peak memory in MB"]
    yield from table(head, (_size(subject, each, rounds, threads) for each in megapixels))
    head = [f"{SIDE}x{SIDE} by tiles of {TILE}, against the whole", "PSNR in dB"]
    head.append("gradient across tiles' borders / the whole's there, mean (range over borders)")
    yield from table(head, (_seams(subject, what, threads) for what in (PHOTO, MOSAIC)))


def _size(subject: Subject, megapixels: float, rounds: int, threads: int) -> list[str]:
    with tempfile.TemporaryDirectory() as work:
        file = Path(work) / "photo.jpg"
        harness.apart(write_photo, file, megapixels, 1)
        results = [harness.take(_prepare, [(subject, file, threads)], 1)[0] for _ in range(rounds)]
    seconds, peaks = [result.turns[0] for result in results], [result.peak / 1e6 for result in results]
    size, tile = results[0].facts
    return [
        f"{megapixels:g} MP, {size}",
        tile,
        spread(seconds),
        spread([s / megapixels for s in seconds]),
        spread(peaks),
    ]


def write_photo(file: Path, megapixels: float, _: int) -> None:
    """A photo, enlarged, with the noise of a camera, as JPEG."""
    from ppcartoon import images

    from .common import noisy, photos

    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    (rgb,) = photos(1, height, round(megapixels * 1e6 / height))
    images.write(file, images.Picture(noisy(rgb, 0)))


def _prepare(subject: Subject, file: Path, threads: int) -> tuple[tuple[str, str], Callable[[], float]]:
    """Size of the image and of its tiles, and what gives the seconds from file to file, the first time."""
    from PIL import Image

    from ppcartoon import images

    predictor = subject.predictor(threads)
    with Image.open(file) as image:
        width, height = image.size
    tile = predictor.tile_size(height, width)

    def turn() -> float:
        start = time.perf_counter()
        images.write(file.with_suffix(".png"), images.Picture(predictor(images.read(file).rgb)))
        return time.perf_counter() - start

    return (f"{width}x{height}", str(tile) if tile else "none, whole"), turn


def _seams(subject: Subject, what: str, threads: int) -> list[str]:
    agreement, gradients, engine = harness.apart(compare, subject, what, SIDE, threads)
    mean = number(statistics.mean(gradients))
    between = f"({number(min(gradients))} to {number(max(gradients))})"
    return [f"{what}, {engine}", f"{agreement:.1f}", f"{mean} {between}"]


def compare(subject: Subject, what: str, side: int, threads: int) -> tuple[float, list[float], str]:
    """PSNR in dB of the image made of tiles against the whole; gradients across the borders of tiles, as parts of the
    whole's in the same places; and what ran both.
    """
    from .common import mosaic, noisy, photos, psnr

    image = photos(1, side, side)[0] if what == PHOTO else mosaic(CELLS, side)
    whole, tiled = (subject.predictor(threads, tile) for tile in (0, TILE))
    one, other = tiled(noisy(image, 0)), whole(noisy(image, 0))
    gradients = [ours / theirs for ours, theirs in zip(_gradients(one), _gradients(other))]
    return psnr(one, other), gradients, whole.engine.description


def _gradients(image: np.ndarray) -> list[float]:
    """Mean steps across each border of tiles of a square image."""
    import numpy as np

    from ppcartoon.inference.tiling import spans

    lines = [span.low for span in spans(len(image), TILE)][1:]
    return [
        float(np.abs(view[line].astype(float) - view[line - 1]).mean())
        for view in (image, image.swapaxes(0, 1))
        for line in lines
    ]
