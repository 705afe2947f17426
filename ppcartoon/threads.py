"""The cores of the machine, and threads that are gone when their work is, or when nobody wants it any more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool


def cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def threads(count: int | None = None) -> Iterator[ThreadPool]:
    """A pool of `count` threads, or as many as this process has cores; it ends what they are at, and drops the rest.

    Threads that still run OpenCV's code when Python ends would abort the process.
    """
    pool = ThreadPool(count or cores())
    try:
        yield pool
    finally:
        pool.terminate()
        pool.join()
