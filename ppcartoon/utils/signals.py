"""Graceful shutdown on Ctrl-C and SIGTERM, and the end of worker processes."""

from __future__ import annotations

import ctypes
import math
import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PR_SET_PDEATHSIG = 1
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # that stop a program; Windows lacks SIGHUP, only it has SIGBREAK
STOPS = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]


class Stop:
    """True once a signal has requested a shutdown.

    Attributes:
        number: of the signal; 0 before the first.
        time: when it came, in seconds of `time.monotonic`; infinite before.
    """

    number, time = 0, math.inf

    def __bool__(self) -> bool:
        return bool(self.number)


_latest = Stop()


def time_of_stop() -> float:
    """When the current `graceful_interrupt` was requested to stop, in seconds of `time.monotonic`; infinite if not."""
    return _latest.time


@contextmanager
def graceful_interrupt(on_first: Callable[[], None] = lambda: None) -> Iterator[Stop]:
    """Within the block Ctrl-C and the others of `STOPS` only set the yielded flag; a second Ctrl-C acts as usual.

    Launchers may send SIGTERM twice, so a second one does not abort the shutdown. Outside the main thread signals are
    not handled. A SIGHUP that is ignored, as under nohup, stays ignored.

    Args:
        on_first: called on the first signal.
    """
    global _latest
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, _: object) -> None:
        signal.signal(signal.SIGINT, before[signal.SIGINT])
        if not stop:
            stop.number, stop.time = number, time.monotonic()
            on_first()

    always = (signal.SIGINT, signal.SIGTERM)
    numbers = [number for number in STOPS if number in always or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in numbers}
    _latest = stop
    try:
        yield stop
    finally:
        _latest = Stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def signal_when_parent_ends(number: int) -> None:
    """Requests a signal for this process when its parent ends; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def start_worker(_: int) -> None:
    """Initializes a data loader worker: it ends with its parent and ignores signals to the process group."""
    signal_when_parent_ends(signal.SIGKILL)
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)


def end_workers() -> None:
    """Kills all data loader workers, which ignore Paddle's SIGTERM."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # Paddle's handler would report a crash
    for worker in multiprocessing.active_children():
        worker.kill()
        worker.join()
