"""Speed of videos compared with the engine alone, and how much deflickering helps."""

from __future__ import annotations

import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from ppcartoon.utils.tables import markdown_table

from . import common, harness
from .common import Style, format_number, median_range, ratio_range

if TYPE_CHECKING:
    import numpy as np

COUNT, HEIGHT, WIDTH = 120, 360, 640
DEFLICKERED, FRAME_BY_FRAME, ENGINE = "video, deflickered", "video, frame by frame", "engine alone, on tensors"
NAMES = (DEFLICKERED, FRAME_BY_FRAME, ENGINE)
FLICKER_COUNT, FLICKER_HEIGHT, FLICKER_WIDTH = 24, 360, 640


def measure(style: Style, rounds: int, threads: int) -> Iterator[str]:
    """Measures a video from file to file; yields lines of Markdown.

    Raises:
        ModuleNotFoundError: PyAV or OpenCV is not installed.
    """
    with tempfile.TemporaryDirectory() as work:
        file = Path(work) / "video.mp4"
        harness.run_once(write_pan, file, COUNT, HEIGHT, WIDTH)
        results = harness.run(_prepare, [(name, style, file, threads) for name in NAMES], rounds, threads)
    rows = []
    for name, (_, seconds, _) in zip(NAMES, results):
        speed = format_number(1 / statistics.median(seconds))
        fraction = ratio_range(results[-1].measurements, seconds)
        rows.append([name, median_range([1000 * s for s in seconds]), speed, fraction])
    yield results[0].info
    yield ""
    header = [f"{COUNT} frames, {WIDTH}x{HEIGHT}, H.264", "ms per frame, median (range)", "frames/s"]
    yield from markdown_table([*header, "fraction of the engine's speed"], rows)


def write_pan(file: Path, count: int, height: int, width: int) -> None:
    common.write_video(file, common.video_frames(common.PAN, count, height, width))


def _prepare(name: str, style: Style, file: Path, threads: int) -> tuple[str, Callable[[], float]]:
    """Returns the engine's description and a function that measures the seconds per frame, after a warm-up."""
    import av

    from ppcartoon.images import to_network
    from ppcartoon.video import cartoonize

    predictor = style.predictor(threads)
    with av.open(str(file)) as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    tensors = [to_network(frame[None]) for frame in frames] if name == ENGINE else []

    def process(target: Path) -> None:
        if name == ENGINE:
            for tensor in tensors:
                predictor.engine(tensor)
            return
        with contextlib.redirect_stderr(io.StringIO()):  # hides the progress bar
            cartoonize(file, target, predictor, deflicker=name == DEFLICKERED)

    def measure() -> float:
        with tempfile.TemporaryDirectory() as work:
            start = time.perf_counter()
            process(Path(work) / "cartoon.mp4")
            return (time.perf_counter() - start) / len(frames)

    measure()
    return predictor.engine.description, measure


def measure_flicker(style: Style, threads: int) -> Iterator[str]:
    """Measures changes between frames, for pixel values of 0 to 255; yields lines of Markdown.

    Raises:
        ModuleNotFoundError: PyAV or OpenCV is not installed.
    """
    size = (FLICKER_COUNT, FLICKER_HEIGHT, FLICKER_WIDTH)
    header = [
        f"{FLICKER_COUNT} frames, {FLICKER_WIDTH}x{FLICKER_HEIGHT}: mean absolute difference, median (range)",
        "input video",
        "frame by frame",
        "deflickered",
        "frame by frame / deflickered",
    ]
    yield from markdown_table(header, harness.run_once(_flicker_rows, style, *size, threads, threads=threads))


def _flicker_rows(style: Style, count: int, height: int, width: int, threads: int) -> list[list[str]]:
    from ppcartoon.video.deflicker import Deflicker

    predictor, rows = style.predictor(threads), []
    for kind in (common.STILL, common.PAN, common.FADE):
        frames = common.video_frames(kind, count, height, width)
        deflicker = Deflicker(predictor)
        deflickered = [deflicker(frame, i / common.FPS) for i, frame in enumerate(frames)]
        videos = frames, predictor(frames), deflickered
        shift = common.SHIFT if kind == common.PAN else 0
        rows.append(
            _row(f"{kind}, to the previous frame, motion-compensated", [frame_changes(v, shift) for v in videos])
        )
        if kind == common.FADE:
            rows.append(
                _row(f"{kind}, to the mean of the previous and next frame", [neighbor_changes(v) for v in videos])
            )
    return rows


def _row(label: str, changes: list[list[float]]) -> list[str]:
    _, frame_by_frame, deflickered = changes
    return [label, *map(median_range, changes), ratio_range(frame_by_frame, deflickered)]


def frame_changes(frames: list[np.ndarray], shift: float) -> list[float]:
    """Mean absolute difference of each frame to the previous one moved `shift` pixels to the left."""
    return [_mean_absolute(common.shift_left(one, shift) - other) for one, other in pairwise(frames)]


def neighbor_changes(frames: list[np.ndarray]) -> list[float]:
    """Mean absolute difference of each frame to the mean of its neighbors; zero in a linear fade."""
    return [
        _mean_absolute(before / 2 + after / 2 - frame) for before, frame, after in zip(frames, frames[1:], frames[2:])
    ]


def _mean_absolute(difference: np.ndarray) -> float:
    inner = difference[common.EDGE : -common.EDGE, common.EDGE : -common.EDGE]
    return float(abs(inner).mean())
