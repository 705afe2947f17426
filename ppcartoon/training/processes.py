"""How the processes of a run end, and that no two runs share a folder."""

from __future__ import annotations

import ctypes
import fcntl
import multiprocessing
import signal
import sys
from pathlib import Path
from typing import TextIO

from ..errors import InputError

PR_SET_PDEATHSIG = 1


def signal_when_parent_ends(number: int) -> None:
    """Lets Linux send this process a signal when the one that started it has gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def start_worker(_: int) -> None:
    """In a worker of a data loader: it ends with the run, and by no signal that goes to the whole group."""
    signal_when_parent_ends(signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def end_workers() -> None:
    """Ends the workers of data loaders, which would not listen to Paddle's SIGTERM."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # Paddle's handler would take it for an accident
    for worker in multiprocessing.active_children():
        worker.kill()
        worker.join()


def lock(folder: Path) -> TextIO:
    """Keeps other runs out of a folder for as long as the returned file is open.

    Raises:
        InputError: another process is training there, or the folder cannot be written.
    """
    try:
        file = open(folder / ".lock", "w")  # noqa: SIM115  it stays open
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(f"{folder}: another process is training there") from error
    except OSError as error:
        raise InputError(f"{folder}: cannot be locked ({error.strerror})") from error
    return file
