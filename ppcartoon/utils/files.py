"""Atomic file writes, whose temporary files do not outlive their process for long, and bounded reads."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import stat
import sys
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
TEMPORARY = re.compile(r"\.([0-9a-f]{8})-(\d{1,9})-[0-9a-f]{32}(\..*)?")  # host and process
CACHES = {"win32": "AppData/Local", "darwin": "Library/Caches"}  # in the home folder, by platform
# In names of files on Windows: characters, the end, and devices.
ILLEGAL = re.compile(r'[<>:"/\\|?*\0-\x1f]|[. ]$|^((con|prn|aux|nul|com\d|lpt\d)(\..*)?)?$', re.IGNORECASE)
DAY = 86400  # seconds after which a temporary file of another machine or container is a leftover

_cleaned: set[Path] = set()
_cleaning = threading.Lock()


def cache_home() -> Path:
    """The user's cache folder; for a user without a home folder, one among the temporary files."""
    try:
        return Path.home() / CACHES.get(sys.platform, ".cache")
    except RuntimeError:
        return user_folder("cache")


def user_folder(name: str) -> Path:
    """The path of a folder of this user among the temporary files."""
    user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""  # Windows has temporary files by user
    return Path(tempfile.gettempdir()) / f"{name}{user}"


def is_legal_name(name: str) -> bool:
    """Whether a file can have a name on Linux, macOS and Windows."""
    return not ILLEGAL.search(name)


def is_hidden(path: Path) -> bool:
    """Whether a file or folder is hidden, by a dot in its name, or on Windows by an attribute."""
    with suppress(OSError):
        if getattr(path.lstat(), "st_file_attributes", 0) & stat.FILE_ATTRIBUTE_HIDDEN:
            return True
    return path.name.startswith(".")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` to write to, and renames it to `path` if the block ends without error.

    Raises:
        OutputError: the file or its folder cannot be written; a DiskFullError if there is no space.
        InputError: the name is too long, or that of a folder; or see `replace`.
    """
    temporary = None
    with output_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = _temporary(path)
            yield temporary
            replace(temporary, path)
        except FileExistsError as error:
            raise OutputError(f"{path.parent}: a file is there, where a folder is needed") from error
        finally:
            if temporary:
                remove(temporary)


def replace(temporary: Path, path: Path) -> None:
    """Renames a file, also over an existing one.

    Raises:
        InputError: the existing file cannot be replaced, on Windows because a program has it open; the message names
            the file beside it that has the new content.
    """
    try:
        os.replace(temporary, path)
    except PermissionError as error:
        new = path.with_name(f"{path.stem}.new{path.suffix}")
        os.replace(temporary, new)
        raise InputError(
            f"{path}: cannot be replaced, perhaps because another program has it open; the new file is {new}"
        ) from error


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A folder inside `parent` that only this user can read, for a `with` block.

    Both are made, and removed at the end; `parent` only if empty.

    Raises:
        OutputError: it cannot be made.
    """
    with output_errors(parent):
        parent.mkdir(parents=True, exist_ok=True)
        folder = _temporary(parent / "folder")
        folder.mkdir(0o700)
    try:
        yield folder
    finally:
        remove(folder)
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
                remove(path)


def _is_gone(process: int) -> bool:
    import psutil  # slow to import, and --help does not need it

    # With our number: of an earlier process, since this one has written nothing in the folder yet.
    return process == os.getpid() or not psutil.pid_exists(process)


def _is_old(path: Path) -> bool:
    with suppress(OSError):
        return path.stat().st_mtime < time.time() - DAY
    return False


def remove(path: Path) -> None:
    """Removes a file or folder if that is possible."""
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
