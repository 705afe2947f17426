"""Time and memory of a large photo and of a video, drawn at working sizes and at full resolution."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ppcartoon.utils.tables import markdown_table

from . import harness
from .common import Style, median_range, ratio_range
from .tiles import write_photo
from .video import write_pan

MEGAPIXELS = 24
FRAMES, HEIGHT, WIDTH = 8, 1080, 1920


def measure(style: Style, chosen: Sequence[int | str], rounds: int, threads: int) -> Iterator[str]:
    """Measures from file to file; yields lines of Markdown.

    Args:
        style: the measured style.
        chosen: working sizes in pixels or "auto"; full resolution is added.
        rounds: measurements of each size.
        threads: CPU threads.

    Raises:
        ModuleNotFoundError: PyAV or OpenCV is not installed.
    """
    with tempfile.TemporaryDirectory() as work:
        photo, video = Path(work) / "photo.jpg", Path(work) / "video.mp4"
        harness.run_once(write_photo, photo, MEGAPIXELS)
        harness.run_once(write_pan, video, FRAMES, HEIGHT, WIDTH)
        header = ["", "working size", "s, median (range)", "speedup over full resolution", "peak memory in MB"]
        rows = _rows(f"photo of {MEGAPIXELS} MP, JPEG to JPEG", _prepare_photo, (style, photo, threads), chosen, rounds)
        rows += _rows(f"frame of a {WIDTH}x{HEIGHT} video", _prepare_video, (style, video, threads), chosen, rounds)
    yield from markdown_table(header, rows)


def _rows(what: str, prepare: Callable, arguments: tuple, chosen: Sequence[int | str], rounds: int) -> list[list[str]]:
    results = harness.run(prepare, [(*arguments, size) for size in (*chosen, 0)], rounds, arguments[-1])
    full = results[-1].measurements
    return [
        [
            what,
            result.info,
            median_range(result.measurements),
            ratio_range(full, result.measurements),
            f"{result.peak_bytes / 1e6:.0f}",
        ]
        for result in results
    ]


def _prepare_photo(style: Style, file: Path, threads: int, size: int | str) -> tuple[str, Callable[[], float]]:
    """Returns the working size and a function that measures seconds."""
    from ppcartoon import images

    predictor = style.predictor(threads, working_size=size)

    def measure() -> float:
        start = time.perf_counter()
        images.write(file.with_name("cartoon.jpg"), images.Picture(predictor(images.read(file).rgb)))
        return time.perf_counter() - start

    return str(predictor.choose_size([images.read(file).rgb]) or "full"), measure


def _prepare_video(style: Style, file: Path, threads: int, size: int | str) -> tuple[str, Callable[[], float]]:
    """Returns the working size and a function that measures seconds per frame, after a warm-up."""
    from ppcartoon.video import cartoonize
    from ppcartoon.video.pipeline import VideoOptions, with_fixed_size

    predictor = with_fixed_size(style.predictor(threads, working_size=size), file, VideoOptions())

    def measure() -> float:
        start = time.perf_counter()
        with contextlib.redirect_stderr(io.StringIO()):  # hides the progress bar
            cartoonize(file, file.with_name("cartoon.mp4"), predictor)
        return (time.perf_counter() - start) / FRAMES

    measure()
    return str(predictor.working_size or "full"), measure
