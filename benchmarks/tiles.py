"""Time and memory of large photos, and how closely a tiled cartoon matches one without tiles."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ppcartoon.utils.tables import markdown_table

from . import harness
from .common import Style, add_noise, format_number, median_range, mosaic, photos

if TYPE_CHECKING:
    import numpy as np

SIDE, TILE = 2048, 512  # pixels, of the comparison with the untiled cartoon
CELLS = 7  # photos per row of the mosaic
PHOTO, MOSAIC = "photo", f"mosaic of {CELLS}x{CELLS} photos"


def measure(style: Style, megapixels: list[float], rounds: int, threads: int) -> Iterator[str]:
    """Measures photos of several sizes and the effect of tiles; yields lines of Markdown.

    Args:
        style: the measured style.
        megapixels: sizes of the photos, which are 4:3, read as JPEG and written as PNG.
        rounds: measurements of each size, each in its own process.
        threads: CPU threads.
    """
    header = ["photo, JPEG to PNG", "tile size", "s, median (range)", "s per megapixel", "peak memory in MB"]
    yield from markdown_table(header, (_measure_size(style, each, rounds, threads) for each in megapixels))
    header = [
        f"{SIDE}x{SIDE} in tiles of {TILE}",
        "PSNR to the untiled cartoon in dB",
        "gradient at tile borders relative to the untiled cartoon, mean (range over borders)",
    ]
    yield from markdown_table(header, (_measure_seams(style, kind, threads) for kind in (PHOTO, MOSAIC)))


def _measure_size(style: Style, megapixels: float, rounds: int, threads: int) -> list[str]:
    with tempfile.TemporaryDirectory() as work:
        file = Path(work) / "photo.jpg"
        harness.run_once(write_photo, file, megapixels)
        results = [harness.run(_prepare, [(style, file, threads)], 1, threads)[0] for _ in range(rounds)]
    seconds = [result.measurements[0] for result in results]
    size, tile = results[0].info
    return [
        f"{megapixels:g} MP, {size}",
        tile,
        median_range(seconds),
        median_range([s / megapixels for s in seconds]),
        median_range([result.peak_bytes / 1e6 for result in results]),
    ]


def write_photo(file: Path, megapixels: float) -> None:
    """Writes an enlarged photo with camera noise as JPEG."""
    from ppcartoon import images

    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    (rgb,) = photos(1, height, round(megapixels * 1e6 / height))
    images.write(file, images.Picture(add_noise(rgb, 0)))


def _prepare(style: Style, file: Path, threads: int) -> tuple[tuple[str, str], Callable[[], float]]:
    """Returns the image size and tile size, and a function that measures seconds from file to file, without warm-up."""
    from PIL import Image

    from ppcartoon import images

    predictor = style.predictor(threads)
    with Image.open(file) as image:
        width, height = image.size
    tile = predictor.tile_size(height, width)

    def measure() -> float:
        start = time.perf_counter()
        images.write(file.with_suffix(".png"), images.Picture(predictor(images.read(file).rgb)))
        return time.perf_counter() - start

    return (f"{width}x{height}", str(tile) if tile else "no tiles"), measure


def _measure_seams(style: Style, kind: str, threads: int) -> list[str]:
    similarity, gradients, engine = harness.run_once(compare, style, kind, SIDE, threads, threads=threads)
    borders = f"({format_number(min(gradients))} to {format_number(max(gradients))})"
    return [f"{kind}, {engine}", f"{similarity:.1f}", f"{format_number(statistics.mean(gradients))} {borders}"]


def compare(style: Style, kind: str, side: int, threads: int) -> tuple[float, list[float], str]:
    """Compares a tiled and an untiled cartoon of the same image.

    Returns:
        PSNR in dB, the ratio of their gradients at each tile border, and the engine's description.
    """
    from ppcartoon import images

    image = add_noise(photos(1, side, side)[0] if kind == PHOTO else mosaic(CELLS, side), 0)
    untiled, tiled = (style.predictor(threads, tile) for tile in (0, TILE))
    one, other = tiled(image), untiled(image)
    gradients = [ours / reference for ours, reference in zip(_border_gradients(one), _border_gradients(other))]
    return images.psnr(one, other), gradients, untiled.engine.description


def _border_gradients(image: np.ndarray) -> list[float]:
    """Mean difference across each tile border of a square image."""
    import numpy as np

    from ppcartoon.inference.tiling import spans

    borders = [span.low for span in spans(len(image), TILE)][1:]
    return [
        float(np.abs(view[border].astype(float) - view[border - 1]).mean())
        for view in (image, image.swapaxes(0, 1))
        for border in borders
    ]
