"""From the launch of tools/infer.py to its end, less the inference itself."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ppcartoon.errors import InputError

from . import harness
from .folder import HEIGHT, WIDTH, write_photos
from .subject import Subject
from .tables import spread, table

INFER = Path(__file__).parents[1] / "tools/infer.py"
COLD, WARM = "process, from launch to exit", "the same image, once more in a process that runs"
NAMES = (COLD, WARM)


def measure(subject: Subject, rounds: int, threads: int) -> Iterator[str]:
    """Lines of Markdown; the difference is taken round by round."""
    with tempfile.TemporaryDirectory() as work:
        harness.apart(write_photos, Path(work), 1, HEIGHT, WIDTH, 1)
        file = Path(work) / "00.jpg"
        cold, warm = (r.turns for r in harness.take(_prepare, [(n, subject, file, threads) for n in NAMES], rounds))
    rows = [[name, spread(seconds)] for name, seconds in zip(NAMES, (cold, warm))]
    rows.append(["the start: the difference", spread([long - short for long, short in zip(cold, warm)])])
    yield from table([f"one JPEG file, {WIDTH}x{HEIGHT}", "s, median (range)"], rows)


def _prepare(name: str, subject: Subject, file: Path, threads: int) -> tuple[None, Callable[[], float]]:
    """What gives the seconds of a turn, after a first time, when all files are in the system's memory."""
    once = _process(subject, file, threads) if name == COLD else _call(subject, file, threads)

    def turn() -> float:
        start = time.perf_counter()
        once()
        return time.perf_counter() - start

    turn()
    return None, turn


def _process(subject: Subject, file: Path, threads: int) -> Callable[[], object]:
    command = [sys.executable, INFER, "-i", file, "-o", file.parent / "cold", *subject.options()]
    command += ["--device", "cpu", "--threads", str(threads)]

    def once() -> None:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise InputError(f"{INFER} failed: {done.stderr}")

    return once


def _call(subject: Subject, file: Path, threads: int) -> Callable[[], object]:
    from ppcartoon import images

    predictor = subject.predictor(threads)
    return lambda: images.write(file.parent / "warm.jpg", images.Picture(predictor(images.read(file).rgb)))
