"""Films: frames a second from file to file, against the engine alone."""

from __future__ import annotations

import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from . import harness
from .subject import Subject
from .tables import number, ratios, spread, table

COUNT, HEIGHT, WIDTH = 120, 360, 640
FILM, ALONE, ENGINE = "film, steady", "film, frame by frame", "its engine alone, on tensors"
NAMES = (FILM, ALONE, ENGINE)


def measure(subject: Subject, rounds: int, threads: int) -> Iterator[str]:
    """Lines of Markdown; ratios round by round.

    Raises:
        InputError: PyAV or OpenCV is not installed.
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
    from . import scenes

    scenes.write(file, scenes.frames(scenes.PAN, count, height, width))


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
