"""Whether memory grows with the number of images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ppcartoon.errors import InputError

from . import harness
from .common import Subject, table

POINTS = 10
LEAST, MOST = 64, 256  # pixels of a side
STATUS = Path("/proc/self/statm")


def measure(subject: Subject, count: int, threads: int) -> Iterator[str]:
    """Lines of Markdown: resident memory after so many images of random sizes, in one process.

    Raises:
        InputError: the system does not tell.
    """
    if not STATUS.exists():
        raise InputError(f"memory: there is no {STATUS}, which Linux has; choose other sections with --only")
    points = min(count, POINTS)
    totals = [count * (i + 1) // points for i in range(points)]
    ((description, resident, _),) = harness.take(_prepare, [(subject, totals, threads)], points)
    head = [f"images with sides of {LEAST} to {MOST} pixels, {description}", "resident memory"]
    yield from table(head, ([str(total), f"{size / 1e6:.0f} MB"] for total, size in zip(totals, resident)))


def _prepare(subject: Subject, totals: list[int], threads: int) -> tuple[str, Callable[[], int]]:
    """What runs, and what goes on up to the next total and gives the memory in bytes."""
    import os

    import numpy as np

    from .common import photos

    predictor, rng = subject.predictor(threads), np.random.default_rng(0)
    (photo,) = photos(1, MOST, MOST)
    steps = iter(np.diff(totals, prepend=0))

    def turn() -> int:
        for height, width in rng.integers(LEAST, MOST + 1, (next(steps), 2)):
            predictor(np.ascontiguousarray(photo[:height, :width]))
        return int(STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    return predictor.engine.description, turn
