"""Scoped worker threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from .machine import cores

if TYPE_CHECKING:
    from multiprocessing.pool import ThreadPool

T = TypeVar("T")


@contextmanager
def threads(count: int | None = None) -> Iterator[ThreadPool]:
    """A pool of `count` threads, by default one per core; on exit running calls end and pending ones are dropped.

    Threads that still run OpenCV code when Python exits would abort the process.
    """
    from multiprocessing.pool import ThreadPool  # slow to import, and photos do not need it

    pool = ThreadPool(count or cores())
    try:
        yield pool
    finally:
        pool.terminate()
        pool.join()


@contextmanager
def prefetch(items: Iterator[T], depth: int = 2) -> Iterator[Iterator[T]]:
    """Iterates over items that a background thread produces in advance.

    An error in producing an item is raised where the item would be returned. On exit the thread ends after its current
    item.

    Args:
        items: iterated by the thread alone.
        depth: maximum number of items produced in advance.
    """
    end = object()  # marks the end of the items
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(next, items, end) for _ in range(depth))

        def results() -> Iterator[T]:
            item = waiting.popleft().result()
            while item is not end:
                waiting.append(pool.submit(next, items, end))
                yield item
                item = waiting.popleft().result()

        try:
            yield results()
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def write_behind(work: Callable[[T], object], depth: int = 2) -> Iterator[Callable[[T], None]]:
    """Runs `work` in a background thread: the yielded function queues a call and blocks only if the queue is full.

    The block waits for all calls on exit. An error in `work` is raised by a later call, or on exit. If the block
    raises, pending calls are dropped.

    Args:
        work: called in the order of the calls.
        depth: maximum number of pending calls.
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
