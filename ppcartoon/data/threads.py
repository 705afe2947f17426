"""Threads that are gone when their work is, or nobody wants it any more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool


@contextmanager
def threads(count: int | None = None) -> Iterator[ThreadPool]:
    """A pool of `count` threads, or as many as there are cores; it waits for what they are at, and drops the rest.

    Threads that still run OpenCV's code when Python ends would abort the process.
    """
    pool = ThreadPool(count)
    try:
        yield pool
    finally:
        pool.terminate()
        pool.join()
