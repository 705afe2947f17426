"""Ctrl-C and its like, when what was begun is to be ended well."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

HEEDED = signal.SIGINT, signal.SIGTERM


@contextmanager
def graceful_interrupt(on_first: Callable[[], None]) -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets in the block; a second one does what it always does.

    Threads other than the main one get none: the event stays as it is there.

    Args:
        tell: called when the first one comes.
    """
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    def note(*_: object) -> None:
        restore()
        came.set()
        on_first()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, note) for number in HEEDED}
    try:
        yield came
    finally:
        restore()
