"""Atomic file writes, whose temporary files do not outlive their process for long, and bounded reads."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import stat
import tempfile
import threading
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import DiskFullError, InputError, OutputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
HOST = zlib.crc32(socket.gethostname().encode())  # containers have different names
TEMPORARY = re.compile(r"\.([0-9a-f]{8})-(\d+)-[0-9a-f]{32}(\..*)?")  # host and process
DAY = 86400  # seconds after which a temporary file of another machine or container is a leftover

_cleaned: set[Path] = set()
_cleaning = threading.Lock()


def cache_home() -> Path:
    """~/.cache; for a user without a home folder, a folder of this user among the temporary files."""
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"cache-{os.getuid()}"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` to write to, and renames it to `path` if the block ends without error.

    Raises:
        OutputError: the file or its folder cannot be written; a DiskFullError if there is no space.
        InputError: the name is too long, or that of a folder.
    """
    temporary = None
    with output_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = _temporary(path)
            yield temporary
            os.replace(temporary, path)
        except FileExistsError as error:
            raise OutputError(f"{path.parent}: a file is there, where a folder is needed") from error
        finally:
            if temporary:
                _remove(temporary)


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A folder inside `parent`, for a `with` block. Both are made, and removed at the end; `parent` only if empty.

    Raises:
        OutputError: it cannot be made.
    """
    with output_errors(parent):
        parent.mkdir(parents=True, exist_ok=True)
        folder = _temporary(parent / "folder")
        folder.mkdir()
    try:
        yield folder
    finally:
        _remove(folder)
        with suppress(OSError):
            parent.rmdir()


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Raises errors of the system in the block, which writes to `path`, as errors that name it.

    Raises:
        OutputError: it cannot be written; a DiskFullError if there is no space.
        InputError: the name is too long, or that of a folder.
    """
    try:
        yield
    except OSError as error:
        kind = DiskFullError if error.errno in FULL else OutputError
        kind = InputError if error.errno in (errno.ENAMETOOLONG, errno.EISDIR) else kind
        raise kind(f"{path}: cannot be written ({error.strerror or error})") from error


def _temporary(path: Path) -> Path:
    """A name beside a path for a temporary file. Before the first in a folder, leftovers there are removed."""
    with _cleaning:
        folder = Path(os.path.realpath(path.parent))
        if folder not in _cleaned:
            remove_leftovers(folder)
            _cleaned.add(folder)
    return path.with_name(f".{HOST:08x}-{os.getpid()}-{uuid.uuid4().hex}{path.suffix}")


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary files and folders whose process is gone, or that another machine left a day ago."""
    with suppress(OSError):
        for path in folder.iterdir():
            match = TEMPORARY.fullmatch(path.name)
            if match and (_is_gone(int(match[2])) if int(match[1], 16) == HOST else _is_old(path)):
                _remove(path)


def _is_gone(process: int) -> bool:
    if process == os.getpid():  # of an earlier process of this number: this one has written nothing in the folder yet
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _is_old(path: Path) -> bool:
    with suppress(OSError):
        return path.stat().st_mtime < time.time() - DAY
    return False


def _remove(path: Path) -> None:
    with suppress(OSError):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a regular file; pipes and devices, which may never end, are refused.

    Args:
        path: of the file.
        limit: bytes of the largest file that is read.

    Raises:
        InputError: it is larger, or not a regular file.
        OSError: it cannot be read.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: a pipe or device, not a file")
    if status.st_size > limit:
        raise InputError(f"{path}: larger than such a file can be ({limit >> 20} MB)")
    with open(path, "rb") as file:
        return file.read(limit)
