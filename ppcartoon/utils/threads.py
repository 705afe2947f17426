"""The cores of the machine, and threads that are gone when their work is, or when nobody wants it any more."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from typing import TypeVar

T = TypeVar("T")


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


@contextmanager
def prefetch(items: Iterator[T], depth: int = 2) -> Iterator[Iterator[T]]:
    """The items, each made in a thread of its own while the one before it is in use.

    An error in making one comes up where it would be taken. When the block ends, the thread ends too, after the item
    that it is at.

    Args:
        items: where they come from; nobody else may take from it.
        depth: so many of them wait at most.
    """
    end = object()
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(next, items, end) for _ in range(depth))

        def taken() -> Iterator[T]:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(pool.submit(next, items, end))
                yield item

        try:
            yield taken()
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def write_behind(work: Callable[[T], object], depth: int = 2) -> Iterator[Callable[[T], None]]:
    """`work` for a thread of its own: what is called in its place comes back at once, unless too much waits already.

    The block ends when all is done; an error in the work comes up in a later call, or there. If the block ends by an
    error, what waits is dropped.

    Args:
        work: is called in the order of the calls.
        depth: so many calls wait at most.
    """
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future] = deque()

        def call(item: T) -> None:
            waiting.append(pool.submit(work, item))
            if len(waiting) > depth:
                waiting.popleft().result()

        try:
            yield call
            while waiting:
                waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
