"""How the processes of a run end, and that no two runs share a folder."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TextIO

from .errors import InputError

PR_SET_PDEATHSIG = 1


def signal_when_parent_ends(number: int) -> None:
    """Lets Linux send this process a signal when the one that started it has gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def start_worker(_: int) -> None:
    """In a worker of a data loader: it ends with the run, or when the run ends it, and by no signal to the whole group.

    Paddle ends its workers with SIGTERM, and takes one that was ended by somebody else for an accident.
    """
    signal_when_parent_ends(signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

    def wait() -> None:
        while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
            pass
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


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
