"""Films: frames a second from file to file, against the engine alone."""

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

from . import harness
from .common import Subject, number, ratios, spread, table

COUNT, HEIGHT, WIDTH = 120, 360, 640
FILM, ALONE, ENGINE = "video, deflickered", "video, frame by frame", "its engine alone, on tensors"
NAMES = (FILM, ALONE, ENGINE)


def measure(subject: Subject, rounds: int, threads: int) -> Iterator[str]:
    """Lines of Markdown; ratios round by round.

    Raises:
        ModuleNotFoundError: PyAV or OpenCV is not installed.
    """
    with tempfile.TemporaryDirectory() as work:
        file = Path(work) / "film.mp4"
        harness.apart(_write, file, COUNT, HEIGHT, WIDTH, 1)
        results = harness.take(_prepare, [(name, subject, file, threads) for name in NAMES], rounds)
    rows = []
    for name, result in zip(NAMES, results):
        ms, rate = [1000 * s for s in result.turns], number(1 / statistics.median(result.turns))
        rows.append([name, spread(ms), rate, ratios(results[-1].turns, result.turns)])
    yield results[0].facts
    yield ""
    head = [f"{COUNT} frames, {WIDTH}x{HEIGHT}, H.264", "ms a frame, median (range)", "frames/s"]
    yield from table([*head, "part of the engine's rate"], rows)


def _write(file: Path, count: int, height: int, width: int, _: int) -> None:
    from . import common

    common.write_video(file, common.scene_frames(common.PAN, count, height, width))


def _prepare(name: str, subject: Subject, file: Path, threads: int) -> tuple[str, Callable[[], float]]:
    """What runs, and what gives the seconds it takes for a frame, after a first time."""
    import av

    from ppcartoon.images import to_network
    from ppcartoon.video import pipeline
    from ppcartoon.video.deflicker import Deflicker

    predictor = subject.predictor(threads)
    with av.open(str(file)) as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    tensors = [to_network(frame[None]) for frame in frames] if name == ENGINE else []

    def once(target: Path) -> None:
        if name == ENGINE:
            for tensor in tensors:
                predictor.engine(tensor)
            return
        cartoonize = Deflicker(predictor) if name == FILM else lambda frame, _: predictor(frame)
        with contextlib.redirect_stderr(io.StringIO()):  # the bar that a terminal would get
            pipeline.process(file, target, cartoonize)

    def turn() -> float:
        with tempfile.TemporaryDirectory() as work:
            start = time.perf_counter()
            once(Path(work) / "cartoon.mp4")
            return (time.perf_counter() - start) / len(frames)

    turn()
    return predictor.engine.description, turn


if TYPE_CHECKING:
    import numpy as np

SCENE_FRAMES, SCENE_HEIGHT, SCENE_WIDTH = 24, 360, 640


def measure_flicker(subject: Subject, threads: int) -> Iterator[str]:
    """Lines of Markdown: mean absolute changes in steps of 8 bits, median (range) over the frames.

    Raises:
        ModuleNotFoundError: PyAV or OpenCV is not installed.
    """
    head = [
        f"{SCENE_FRAMES} frames, {SCENE_WIDTH}x{SCENE_HEIGHT}: mean absolute change",
        "the video itself",
        "frame by frame",
        "deflickered",
    ]
    rows = harness.apart(_rows, subject, SCENE_FRAMES, SCENE_HEIGHT, SCENE_WIDTH, threads)
    yield from table([*head, "times less flicker"], rows)


def _rows(subject: Subject, count: int, height: int, width: int, threads: int) -> list[list[str]]:
    from ppcartoon.video.deflicker import Deflicker

    from . import common

    predictor, rows = subject.predictor(threads), []
    for kind in (common.STILL, common.PAN, common.FADE):
        frames = common.scene_frames(kind, count, height, width)
        steady = Deflicker(predictor)
        films = frames, predictor(frames), [steady(frame, i / common.FPS) for i, frame in enumerate(frames)]
        shift = common.SHIFT if kind == common.PAN else 0
        rows.append(_row(f"{kind}, from frame to frame along the motion", [changes(film, shift) for film in films]))
        if kind == common.FADE:
            rows.append(_row(f"{kind}, from the mean of the frames before and after", [*map(jumps, films)]))
    return rows


def _row(what: str, films: list[list[float]]) -> list[str]:
    _, alone, steady = films
    return [what, *map(spread, films), ratios(alone, steady)]


def changes(film: list[np.ndarray], shift: float) -> list[float]:
    """Mean absolute change from each frame, moved `shift` pixels to the left, to the next."""
    from .common import moved

    return [_mean(moved(one, shift) - other) for one, other in pairwise(film)]


def jumps(film: list[np.ndarray]) -> list[float]:
    """Mean absolute difference of each frame from the mean of its neighbors: none in a fade of steady speed."""
    return [_mean(one / 2 + other / 2 - middle) for one, middle, other in zip(film, film[1:], film[2:])]


def _mean(difference: np.ndarray) -> float:
    from .common import EDGE

    return float(abs(difference[EDGE:-EDGE, EDGE:-EDGE]).mean())
